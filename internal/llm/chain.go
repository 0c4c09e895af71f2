package llm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// maxLinks bounds how many models one process has opened, over all revisions of the policy.
const maxLinks = 32

// chain asks the first model and, when that is not there, those that the policy names to stand in for it, in their order.
//
// Not there means: it may not be asked for longer than a call waits, its breaker is open, it is Unavailable or did not answer
// in its time while the call still has some, or it refuses our key. Everything else, and an exhausted budget in particular, is
// the answer. Once a word of an answer was streamed there is no other model: its words would follow those of the first.
//
// The offline composer never stands in: its answers are another product.
type chain struct {
	first *link
	pool  *pool
}

// pool is all models that a Governed has opened. Its chains share them.
type pool struct {
	policy func() policy.Policy
	open   func(Model) (Client, error) // nil: there are no stand-ins
	wrap   func(Model, Client) (*link, error)
	log    *slog.Logger

	mu    sync.Mutex
	links map[Model]*link
	bad   map[string]bool // entries of the policy that were told to be of no use
}

// link is one model, with its limits.
type link struct {
	model  Model
	client Client
}

func (c *chain) Describe() string { return c.first.client.Describe() }

// Complete implements Client. Response.Fallback says what was asked before the model that answered.
func (c *chain) Complete(ctx context.Context, req Request) (Response, error) {
	req, said := listen(req)
	resp, err := c.first.client.Complete(ctx, req)
	if err == nil || !c.replaceable(ctx, err, *said) {
		return resp, err
	}
	tried := []string{attempt(c.first.model, err)}
	for _, stand := range c.pool.standIns(c.first.model) {
		resp, next := stand.client.Complete(ctx, req)
		if next == nil {
			resp.Fallback = strings.Join(tried, "; ")
			return resp, nil
		}
		if !c.replaceable(ctx, next, *said) {
			return resp, next
		}
		tried = append(tried, attempt(stand.model, next))
		err = sooner(err, next)
	}
	if len(tried) > 1 {
		err = fmt.Errorf("%w (asked in turn: %s)", err, strings.Join(tried, "; "))
	}
	return Response{}, err
}

func (c *chain) replaceable(ctx context.Context, err error, said int) bool {
	if said > 0 || ctx.Err() != nil {
		return false
	}
	var held *PausedError
	if errors.As(err, &held) {
		return true
	}
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.Timeout, fault.Unauthorized:
		return true
	}
	return false
}

// attempt says which model was not there, and why.
func attempt(m Model, err error) string {
	why := fault.KindOf(err).String()
	var held *PausedError
	if errors.As(err, &held) {
		why = map[PauseReason]string{PausedByLimit: "at its limit", PausedByProvider: "paused", PausedByBreaker: "breaker open"}[held.Reason]
	}
	return m.String() + ": " + why
}

// sooner returns the pause that ends first; another error is kept, because only that of the first model counts.
func sooner(err, next error) error {
	var a, b *PausedError
	if errors.As(err, &a) && errors.As(next, &b) && b.Until.Before(a.Until) {
		return next
	}
	return err
}

// standIns returns the usable models of the policy, in order, without first.
func (p *pool) standIns(first Model) []*link {
	if p.open == nil {
		return nil
	}
	var links []*link
	seen := map[Model]bool{first: true}
	for _, entry := range p.policy().Fallbacks {
		m, err := ParseModel(entry)
		var l *link
		if err == nil && m != first {
			l, err = p.get(m)
		}
		if err != nil {
			p.tell(entry, err)
			continue
		}
		if l != nil && !seen[m] {
			seen[m] = true
			links = append(links, l)
		}
	}
	return links
}

// tell logs once that an entry of the policy is of no use.
func (p *pool) tell(entry string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.bad[entry] && len(p.bad) < maxLinks {
		p.bad[entry] = true
		p.log.Warn("a model of the policy cannot stand in", "fallback", entry, "error", err)
	}
}

// get returns m, opened at most once.
func (p *pool) get(m Model) (*link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l, ok := p.links[m]; ok {
		return l, nil
	}
	switch {
	case m.Provider == offlineProvider:
		return nil, fault.New(fault.Invalid, "the offline composer stands in for no model")
	case p.open == nil:
		return nil, fault.New(fault.Invalid, "no other model can be opened")
	case len(p.links) > maxLinks:
		return nil, fault.New(fault.Invalid, "more than %d models were named since the start", maxLinks)
	}
	client, err := p.open(m)
	if err != nil {
		return nil, err
	}
	l, err := p.wrap(m, client)
	if err != nil {
		return nil, err
	}
	p.links[m] = l
	return l, nil
}
