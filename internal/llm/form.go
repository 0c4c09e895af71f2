package llm

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// form is what a provider is asked to hold its answer to, besides the instructions.
type form uint8

const (
	formNone   form = iota
	formObject      // any JSON object
	formSchema      // Request.Schema, or what the provider takes of it
)

// ask is one call, as a dialect writes it.
type ask struct {
	provider string
	system   string // with the instructions for JSON
	req      Request
	form     form
}

// amends reports whether the body that langchaingo writes lacks something.
func (a ask) amends() bool {
	return a.form != formNone || len(a.req.Messages) > 0 || len(a.req.Tools) > 0
}

// maxRefusals bounds how many schemas a client remembers that its server would not take.
const maxRefusals = 256

// refusals is what a server would not hold an answer to. It goes by the schema: one server takes no schema at all, another one
// not this schema, and what they say does not tell them apart.
type refusals struct {
	mu   sync.Mutex
	best map[[sha256.Size]byte]form
}

// limit returns the most that schema may be asked for with.
func (r *refusals) limit(schema json.RawMessage, want form) form {
	r.mu.Lock()
	defer r.mu.Unlock()
	if best, ok := r.best[sha256.Sum256(schema)]; ok {
		return min(best, want)
	}
	return want
}

func (r *refusals) note(schema json.RawMessage, best form) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.best == nil || len(r.best) >= maxRefusals {
		r.best = map[[sha256.Size]byte]form{} // each costs one more refusal
	}
	r.best[sha256.Sum256(schema)] = best
}

// completeFormed asks in the best form that the server is known to take, and with less when it refuses that.
func (r *Remote) completeFormed(ctx context.Context, req Request) (Response, error) {
	want := formNone
	if asksObject(req.Schema) {
		want = r.refused.limit(req.Schema, r.dialect.form(r.endpoint, r.provider, req))
	}
	for {
		resp, err := r.complete(ctx, req, want)
		if want == formNone || !refusesForm(err) {
			return resp, err
		}
		want = r.dialect.lesser(want)
		r.refused.note(req.Schema, want)
	}
}

// refusesForm reports whether err says that the server does not take the form that was asked for.
func refusesForm(err error) bool {
	var bad *InvalidOutputError
	if !fault.Is(err, fault.Invalid) || errors.As(err, &bad) {
		return false
	}
	words := strings.ToLower(err.Error())
	for _, w := range []string{
		"response_format", "responseformat", "response format", "response_schema", "json_schema", "json_object", "json mode", "schema", "grammar",
		"structured output", "output_config", "output_format", "output format",
	} {
		if strings.Contains(words, w) {
			return true
		}
	}
	return false
}

// form asks OpenAI itself for a schema only where it can be strict: its JSON mode is as good as a schema that is not. With tools
// only OpenAI is asked for any: elsewhere it keeps a model from calling them, or is refused.
func (openaiFormat) form(e Endpoint, _ string, req Request) form {
	own := isOpenAI(e)
	if len(req.Tools) > 0 && !own {
		return formNone
	}
	if _, strict := wireSchema(req.Schema, openaiKeywords); own && !strict {
		return formObject
	}
	return formSchema
}

func (openaiFormat) lesser(f form) form { return f - 1 }

// form asks the models that can: those from 4.5 on.
func (anthropicFormat) form(e Endpoint, _ string, req Request) form {
	major, minor, known := claudeVersion(bareName(e.Model))
	_, exact := wireSchema(req.Schema, anthropicKeywords)
	if exact && known && (major > 4 || major == 4 && minor >= 5) {
		return formSchema
	}
	return formNone
}

func (anthropicFormat) lesser(form) form { return formNone }
