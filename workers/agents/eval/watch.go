package eval

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
)

// watch is a client that keeps how the answers of each task did. It asks through to its model, past every cache.
type watch struct {
	next  llm.Client
	purse *Purse

	mu      sync.Mutex
	seen    map[string]sighting // by task
	schemas map[string]*jsonschema.Schema
}

var _ llm.Validating = (*watch)(nil)

// sighting counts the questions of a task, and what their first answers were worth.
type sighting struct{ asked, schema, rules, repaired int }

func newWatch(next llm.Client, purse *Purse) *watch {
	return &watch{next: next, purse: purse, seen: map[string]sighting{}, schemas: map[string]*jsonschema.Schema{}}
}

// of returns what was seen of a task, and forgets it.
func (w *watch) of(id string) sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.seen[id]
	delete(w.seen, id)
	return s
}

// Describe implements llm.Client.
func (w *watch) Describe() string { return w.next.Describe() }

// Complete implements llm.Client. It asks, as long as there is money.
func (w *watch) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	if err := w.purse.Check(); err != nil {
		return llm.Response{}, err
	}
	resp, err := w.next.Complete(ctx, req)
	var bad *llm.InvalidOutputError
	switch {
	case err == nil:
		w.purse.pay(resp.Usage)
	case errors.As(err, &bad):
		w.purse.pay(bad.Usage)
	}
	return resp, err
}

// CompleteValid implements llm.Validating.
func (w *watch) CompleteValid(ctx context.Context, req llm.Request, validate func(string) []fault.Detail) (llm.Response, int, error) {
	q := &question{watch: w}
	resp, rounds, err := llm.CompleteValid(ctx, q, req, func(text string) []fault.Detail {
		details := validate(text)
		q.judged(w.fits(req.Schema, text), len(details) == 0)
		return details
	})
	if caller, ok := llm.CallerFrom(ctx); ok && q.answers > 0 {
		w.add(caller.Task, q, err)
	}
	return resp, rounds, err
}

func (w *watch) add(id string, q *question, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.seen[id]
	s.asked++
	if q.schema {
		s.schema++
	}
	if q.rules {
		s.rules++
	}
	if q.answers > 1 && err == nil {
		s.repaired++
	}
	w.seen[id] = s
}

// question is the client of one question: it hides from llm.CompleteValid what its model does beside answering.
type question struct {
	watch         *watch
	answers       int  // that came
	schema, rules bool // that the first one satisfied
}

func (q *question) Describe() string { return q.watch.Describe() }

func (q *question) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	resp, err := q.watch.Complete(ctx, req)
	var bad *llm.InvalidOutputError
	if errors.As(err, &bad) {
		q.judged(false, false)
	}
	return resp, err
}

func (q *question) judged(schema, rules bool) {
	if q.answers++; q.answers == 1 {
		q.schema, q.rules = schema, rules
	}
}

// fits reports whether an answer is JSON of the schema. An answer that may be any text fits.
func (w *watch) fits(schema []byte, text string) bool {
	if schema == nil {
		return true
	}
	compiled, err := w.compiled(schema)
	if err != nil {
		return false
	}
	doc, err := task.ParseJSON("answer", []byte(text))
	return err == nil && len(task.SchemaDetails("answer", compiled, doc)) == 0
}

// compiled returns a step's schema, compiled once. There are as many as steps.
func (w *watch) compiled(schema []byte) (*jsonschema.Schema, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.schemas[string(schema)]; ok {
		return s, nil
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("answer.json", doc); err != nil {
		return nil, err
	}
	s, err := c.Compile("answer.json")
	if err == nil {
		w.schemas[string(schema)] = s
	}
	return s, err
}
