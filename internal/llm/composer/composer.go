// Package composer writes starter content without a model: lessons, quizzes, places and scripts put together from a fact bank
// and the request. It serves where no provider is configured, and says so in every answer.
//
// It is deterministic: the same input gives the same answer, on every machine. What it knows are the ten subjects in the
// folder bank; of any other subject it writes a scaffold that says plainly what the teacher has to fill in. It reads no
// prompts: Request.Purpose says what is wanted and Request.Input, the step's input as JSON, what about.
package composer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// Names under which the composer's answers go out.
const (
	Provider = "offline"
	Model    = "composer-1"
)

// Composer is an llm.Client. It is immutable and safe for concurrent use.
type Composer struct {
	bank   *bank
	writer map[string]func(json.RawMessage) (any, error)
}

var _ llm.Client = (*Composer)(nil)

// New returns a composer. It panics when the embedded bank is broken, which is a mistake in this package.
func New() *Composer {
	b, err := openBank()
	if err != nil {
		panic(err)
	}
	c := &Composer{bank: b}
	c.writer = map[string]func(json.RawMessage) (any, error){
		"code_review.review":      with(c.review),
		"content.outline":         with(c.contentOutline),
		"content.draft":           with(c.contentDraft),
		"content.assessment":      with(c.contentAssessment),
		"quiz.outline":            with(c.quizOutline),
		"quiz.draft":              with(c.quizDraft),
		"terrain.outline":         with(c.terrainOutline),
		"terrain.draft":           with(c.terrainDraft),
		"script.outline":          with(c.scriptOutline),
		"script.draft":            with(c.scriptDraft),
		"roblox_testing.plan":     with(c.testingPlan),
		"roblox_testing.script":   with(c.testingScript),
		"roblox_analytics.report": with(c.analyticsReport),
		"roblox_asset.plan":       with(c.assetPlan),
	}
	return c
}

// with decodes and checks the input of a writer.
func with[In interface{ check() error }, Out any](write func(In) Out) func(json.RawMessage) (any, error) {
	return func(raw json.RawMessage) (any, error) {
		var in In
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, fault.InvalidField("input", "cannot be read by the offline composer: %v", err)
		}
		if err := in.check(); err != nil {
			return nil, err
		}
		return write(in), nil
	}
}

// request is the part of an input that the answer follows from: its text seeds every choice. What it is, is without what no answer may
// repeat.
type request[T any] struct {
	is   T
	text string
}

func (r *request[T]) UnmarshalJSON(raw []byte) error {
	r.text = string(raw)
	shown, err := plainJSON(raw)
	if err != nil {
		return err
	}
	return json.Unmarshal(shown, &r.is)
}

// Describe names the composer.
func (c *Composer) Describe() string { return "offline composer (starter content, no model)" }

// Model says which model the composer passes for.
func (c *Composer) Model() llm.Model { return llm.Model{Provider: Provider, Name: Model} }

// Complete writes the answer to req, at no cost. Errors: Invalid for a purpose that it does not know or an input that does
// not fit; Canceled or Timeout when ctx ends first.
func (c *Composer) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	if err := ended(ctx); err != nil {
		return llm.Response{}, err
	}
	text, calls, err := c.write(req)
	if err != nil {
		return llm.Response{}, err
	}
	if req.OnDelta != nil {
		for _, piece := range pieces(text, 4) {
			if err := ended(ctx); err != nil {
				return llm.Response{}, err
			}
			req.OnDelta(piece)
		}
	}
	if err := ended(ctx); err != nil {
		return llm.Response{}, err
	}
	return llm.Response{Text: text, Calls: calls, Provider: Provider, Model: Model, Offline: true, Usage: llm.Usage{CostKnown: true}}, nil
}

func (c *Composer) write(req llm.Request) (string, []llm.ToolCall, error) {
	if req.Purpose == chatPurpose {
		return c.chat(req)
	}
	write, ok := c.writer[req.Purpose]
	if !ok {
		return "", nil, fault.New(fault.Invalid, "the offline composer cannot serve %q; configure a model provider", req.Purpose)
	}
	answer, err := write(req.Input)
	if err != nil {
		return "", nil, err
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return "", nil, fmt.Errorf("composer: encode %s: %w", req.Purpose, err)
	}
	return string(data), nil, nil
}

func ended(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	return fault.New(fault.KindOf(err), "the offline composer was interrupted: %w", err)
}

// pieces cuts s into at most n parts that are not empty, at characters' boundaries.
func pieces(s string, n int) []string {
	var out []string
	size := (len(s) + n - 1) / n
	for len(s) > size {
		cut := size
		for !utf8.RuneStart(s[cut]) {
			cut++
			if cut == len(s) {
				return append(out, s)
			}
		}
		out = append(out, s[:cut])
		s = s[cut:]
	}
	if s != "" {
		out = append(out, s)
	}
	return out
}

// clip cuts s to at most n characters.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return strings.TrimSpace(string(r[:n-1])) + "…"
}
