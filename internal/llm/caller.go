package llm

import "context"

// Caller says for whom a model is asked: whose limits and budgets the call counts against.
type Caller struct {
	Tenant   string
	User     string
	Workflow string // empty outside a workflow
	Task     string
	NoCache  bool     // every answer is to be a model's own, and is not kept
	Names    []string // of people whom the model is told of under pseudonyms
}

type callerKey struct{}

// WithCaller returns a context whose calls are made for c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom returns for whom ctx's calls are made, and false when nobody said.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}
