package llm

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// How an answer came without a call, in Response.Cache.
const (
	CacheExact    = "exact"    // the same was asked before
	CacheSemantic = "semantic" // something was asked before that means the same
	CacheShared   = "shared"   // somebody else asked the same at that time
)

// CacheConfig says what is kept. Zero fields take the defaults.
type CacheConfig struct {
	Client   Client        // required
	Store    AnswerStore   // required
	Semantic SemanticIndex // nil: only the same question finds an answer
	// Generation says what of the caches counts; nil: all that there is. An answer is kept in the generation in which it was asked for.
	Generation Generation
	TTL        time.Duration // AnswerTTL
	Logger     *slog.Logger
}

// Cached is a Client that does not ask a model what it has answered already, for the same tenant.
//
// An answer is kept once the caller's rules find it good, and one that is found is held against the caller's rules like a model's: where they
// refuse it, the model is asked. So nothing comes from the cache that would not have been taken from the model. That
// needs the rules, so that only CompleteValid looks up and keeps; Complete asks. What another model wrote while the first one was away is
// not kept: an outage of minutes would be answered for days.
//
// Of those who ask the same at the same time one asks, and the others wait: in a process by a map, between processes by a lease in the
// store, which ends by itself when its holder dies. A store that is away costs one who asks a timeout; those of the next awayTime
// go on without it, and notice only that nothing is kept: in a process one asks for all at the same time then, too. The same holds for the
// semantic index, and for whoever says which generation counts.
//
// Requests with tools, without a caller, or of a caller who wants none of it pass by.
type Cached struct {
	next     Client
	store    AnswerStore
	semantic SemanticIndex
	ttl      time.Duration
	flights  *flights
	holder   string
	log      *slog.Logger

	generation Generation

	storeAway, indexAway outage
}

var _ Validating = (*Cached)(nil)

// NewCached returns cfg.Client behind its caches.
func NewCached(cfg CacheConfig) (*Cached, error) {
	if cfg.Client == nil || cfg.Store == nil || cfg.TTL < 0 {
		return nil, fault.New(fault.Invalid, "a cache needs a client, a store and a time to live that is not negative")
	}
	setZero(&cfg.TTL, AnswerTTL)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Cached{
		next: cfg.Client, store: cfg.Store, semantic: cfg.Semantic, ttl: cfg.TTL, flights: newFlights(), holder: uuid.NewString(), log: cfg.Logger,
		generation: cfg.Generation,
	}, nil
}

// Describe implements Client.
func (c *Cached) Describe() string { return c.next.Describe() }

// Complete implements Client. It asks.
func (c *Cached) Complete(ctx context.Context, req Request) (Response, error) {
	return c.next.Complete(ctx, req)
}

// question is one request with what it is known by.
type question struct {
	tenant   string
	scope    string // of the tenant's caches, as it was when it was asked; the first who asks finds it out
	key      string
	similar  *Similar // nil: it has no prose to compare
	req      Request
	validate func(string) []fault.Detail
}

// flight is what those who ask the same at the same time share. The generation is no part of it: who asks the same words has a right to what
// they are answered, whatever was forgotten meanwhile.
func (q question) flight() string { return q.tenant + " " + q.key }

// CompleteValid implements Validating. Response.Cache says how an answer came without a call; Usage is zero then, and no round was made.
func (c *Cached) CompleteValid(ctx context.Context, req Request, validate func(string) []fault.Detail) (Response, int, error) {
	caller, ok := CallerFrom(ctx)
	if !ok || caller.Tenant == "" || caller.NoCache || len(req.Tools) > 0 {
		return completeValid(ctx, c.next, req, validate)
	}
	model, told := routeOf(c.next, req.Purpose), toldTo(c.next, req)
	q := question{tenant: caller.Tenant, key: exactKey(model, told), req: req, validate: validate}
	if space, texts, ok := semanticKey(model, told); ok && c.semantic != nil {
		q.similar = &Similar{Space: space, Texts: texts, Key: q.key}
	}
	for {
		made, first := c.flights.join(q.flight())
		if first {
			return c.lead(ctx, q, made)
		}
		if !made.wait(ctx) {
			return Response{}, 0, endedFault(ctx, "the cache")
		}
		switch {
		case made.err == nil && c.take(q, made.answer):
			c.tally(ctx, q.tenant, saved(made.answer, CacheShared))
			return made.answer.response(CacheShared), 0, nil
		case made.err == nil: // its rules are others than those of who asked
			return completeValid(ctx, c.next, req, validate)
		case contagious(made.err):
			return Response{}, 0, unpaid(made.err)
		}
	}
}

// lead finds the answer, or asks for it, and tells those who wait.
func (c *Cached) lead(ctx context.Context, q question, made *flight) (resp Response, rounds int, err error) {
	answer, outcome := Answer{}, errNotAsked
	defer func() { c.flights.land(q.flight(), made, answer, outcome) }()
	scope, known := c.scope(ctx, q.tenant)
	if q.scope = scope; q.similar != nil {
		q.similar.Scope = scope
	}
	if known {
		if found, how, ok := c.find(ctx, q); ok {
			answer, outcome = found, nil
			c.tally(ctx, q.tenant, saved(found, how))
			return found.response(how), 0, nil
		}
		defer c.holding(ctx, q)() // also when the client panics: a lease that nobody ends is renewed as long as ctx lives
	}
	resp, rounds, err = completeValid(ctx, c.next, q.req, q.validate)
	if outcome = err; err == nil {
		answer = answerOf(resp)
		c.keep(ctx, q, answer, known && resp.Fallback == "" && !resp.Offline)
	}
	return resp, rounds, err
}

// errNotAsked ends a flight whose leader panicked.
var errNotAsked = errors.New("nobody asked")

// contagious reports whether an error holds for everybody who asks the same at that time.
func contagious(err error) bool {
	var spent *BudgetError
	if errors.As(err, &spent) {
		return false // of the one who asked
	}
	return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.RateLimited) || fault.Is(err, fault.Unauthorized) || fault.Is(err, fault.Invalid)
}

// unpaid returns err as it is for those who did not pay for it.
func unpaid(err error) error {
	var bad *InvalidOutputError
	if errors.As(err, &bad) {
		free := *bad
		free.Usage = Usage{CostKnown: true}
		return &free
	}
	return err
}

func answerOf(r Response) Answer {
	return Answer{Text: r.Text, Provider: r.Provider, Model: r.Model, Offline: r.Offline, Fallback: r.Fallback, Usage: r.Usage, At: time.Now().UTC()}
}

func (a Answer) response(how string) Response {
	return Response{
		Text: a.Text, Provider: a.Provider, Model: a.Model, Offline: a.Offline, Fallback: a.Fallback, Cache: how, Usage: Usage{CostKnown: true},
	}
}
