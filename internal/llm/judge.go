package llm

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/anthropic"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// judge makes an answer or an error of what langchaingo returned and the exchange saw.
func (r *Remote) judge(ctx context.Context, req Request, x *exchange, content *llms.ContentResponse, err error) (Response, error) {
	seen, failed := x.outcome()
	switch {
	case ctx.Err() != nil:
		return Response{}, endedFault(ctx, r.provider)
	case failed != nil:
		return Response{}, failed
	case seen.stop == "":
		return Response{}, x.incomplete()
	}
	text, usage := textOf(content), r.account(seen)
	calls, wrong := seen.calls.calls(req.Tools, r.provider)
	switch verdict := verdictOn(seen); {
	case err != nil && !errors.Is(err, anthropic.ErrEmptyResponse):
		return Response{}, &fault.Error{
			Kind: fault.Unavailable, Message: r.provider + " sent an answer that cannot be read", Err: errors.New(x.clean(err.Error())),
		}
	case verdict != nil:
		return Response{}, unusable(verdict, text, usage)
	case !finished(seen.stop):
		return Response{}, fault.New(fault.Unavailable, "%s stopped its answer for the reason %q", r.provider, x.clean(seen.stop))
	case seen.text > 0 && len(text) != seen.text:
		return Response{}, fault.New(fault.Unavailable, "%s sent %d bytes of text, of which %d could be read", r.provider, seen.text, len(text))
	case wrong != nil:
		return Response{}, &InvalidOutputError{Details: wrong, LastText: clip(text, maxLastText), Usage: usage, Reason: ErrToolCall}
	case len(calls) > 0:
		calls[0].State = stateOr(calls[0].State, r.provider, seen.thoughts)
		return Response{Text: text, Calls: calls, Provider: r.provider, Model: r.modelName(seen), Usage: usage}, nil
	case asksForTools(seen.stop):
		return Response{}, fault.New(fault.Unavailable, "%s says that the model asks for a tool, and not for which", r.provider)
	case strings.TrimSpace(text) == "":
		return Response{}, unusable(ErrEmpty, text, usage)
	}
	if req.Schema != nil {
		value, err := extractJSON(text, asksObject(req.Schema))
		if err != nil {
			return Response{}, unusable(err, text, usage)
		}
		text = value
	}
	return Response{Text: text, Provider: r.provider, Model: r.modelName(seen), Usage: usage}, nil
}

// stateOr adds what the model thought to the state of its first call.
func stateOr(state json.RawMessage, provider string, t *thoughts) json.RawMessage {
	if raw := t.state(); raw != nil {
		return stateFrom(provider, raw)
	}
	return state
}

// textOf joins the answer's text. content may be nil.
func textOf(content *llms.ContentResponse) string {
	if content == nil {
		return ""
	}
	var text strings.Builder
	for _, c := range content.Choices {
		text.WriteString(c.Content)
	}
	return text.String()
}

// account says what the call cost.
func (r *Remote) account(seen sighting) Usage {
	usage := Usage{InputTokens: seen.used.input, OutputTokens: seen.used.output, CostKnown: r.free}
	if r.prices != nil && seen.used.output > 0 {
		usage.CostUSD, usage.CostKnown = r.prices.cost(r.provider, r.modelName(seen), seen.used)
	}
	return usage
}

func (r *Remote) modelName(seen sighting) string {
	if seen.model != "" {
		return seen.model
	}
	return r.endpoint.Model
}

// finished reports whether a stop reason says that the model was done.
func finished(stop string) bool {
	return stop == "stop" || stop == "end_turn" || stop == "stop_sequence" || stop == "eos" || asksForTools(stop)
}

// asksForTools reports whether a stop reason says that the model waits for tools. Some servers say "stop" of such answers, too.
func asksForTools(stop string) bool {
	return stop == "tool_calls" || stop == "tool_use" || stop == "function_call"
}

// verdictOn returns why an answer that ended so is of no use, nil when it may be of use.
func verdictOn(seen sighting) error {
	switch seen.stop {
	case "length", "max_tokens", "model_length", "model_context_window_exceeded":
		return ErrTruncated
	case "content_filter", "refusal", "safety", "SAFETY":
		return ErrRefused
	}
	if seen.refused {
		return ErrRefused
	}
	return nil
}
