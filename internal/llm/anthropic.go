package llm

import (
	"encoding/json"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/anthropic"
)

const (
	anthropicBase  = "https://api.anthropic.com/v1"
	anthropicModel = "claude-sonnet-5-5"
)

// NewAnthropic returns the Client of Anthropic's messages API. Errors are Invalid and name ANTHROPIC_API_KEY,
// ANTHROPIC_MODEL and ANTHROPIC_API_BASE.
func NewAnthropic(e Endpoint) (*Remote, error) {
	if e.Base == "" {
		e.Base = anthropicBase
	}
	if e.Model == "" {
		e.Model = anthropicModel
	}
	r, err := newRemote("anthropic", "ANTHROPIC", e, anthropicFormat{})
	if err != nil {
		return nil, err
	}
	if err := r.needKey("ANTHROPIC_API_KEY"); err != nil {
		return nil, err
	}
	if r.endpoint.Base != anthropicBase {
		return r, nil
	}
	return r.withPrices()
}

// anthropicFormat is Anthropic's messages format. It has no JSON mode.
type anthropicFormat struct{}

func (anthropicFormat) open(e Endpoint, x *exchange) (llms.Model, error) {
	return anthropic.New(anthropic.WithToken(e.Key), anthropic.WithModel(e.Model), anthropic.WithBaseURL(e.Base),
		anthropic.WithHTTPClient(x))
}

func (anthropicFormat) options(_ Endpoint, tokens int, _ bool) []llms.CallOption {
	return []llms.CallOption{llms.WithMaxTokens(tokens)}
}

func (anthropicFormat) inspect(data []byte, seen *sighting) ([]byte, bool, error) {
	var v struct {
		Type       string          `json:"type"`
		Model      string          `json:"model"`
		StopReason string          `json:"stop_reason"`
		Error      json.RawMessage `json:"error"`
		Message    struct {
			Model string `json:"model"`
		} `json:"message"`
		Delta struct {
			StopReason string `json:"stop_reason"`
		} `json:"delta"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, false, err
	}
	switch v.Type {
	case "error":
		return v.Error, false, nil
	case "message":
		seen.model, seen.stop, seen.done = clip(v.Model, 100), v.StopReason, true
	case "message_start":
		seen.model = clip(v.Message.Model, 100)
	case "message_delta":
		if v.Delta.StopReason != "" {
			seen.stop = v.Delta.StopReason
		}
	case "message_stop":
		seen.done = seen.stop != ""
	case "content_block_start", "content_block_delta", "content_block_stop", "ping":
	default:
		return nil, false, nil // events of a later version; langchaingo would print them
	}
	return nil, true, nil
}

func (anthropicFormat) tokens(info map[string]any) tokens {
	cached := count(info, "CacheReadInputTokens")
	return tokens{
		input:  count(info, "InputTokens") + count(info, "CacheCreationInputTokens") + cached,
		cached: cached, output: count(info, "OutputTokens"),
	}
}
