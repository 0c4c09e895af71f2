package callback

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// PlannerConfig is what a Planner needs.
type PlannerConfig struct {
	Feed   Feed             // required
	Lookup Lookup           // required
	Queue  Queue            // required
	Allow  *Allow           // nil: no exceptions
	Base   string           // the API as receivers reach it, such as https://toolbox.example.org; empty: messages have paths
	Tasks  int              // tasks whose facts are kept in memory; default 8,192
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil discards
}

// Planner turns events of the log into deliveries. While the database is away it waits, and the feed keeps what it has not taken.
type Planner struct {
	cfg     PlannerConfig
	known   *cache
	planned atomic.Uint64
	refused atomic.Uint64
	wake    chan struct{} // has an entry when there is something new to deliver
}

// NewPlanner returns a Planner, or an Invalid fault that names the wrong fields.
func NewPlanner(cfg PlannerConfig) (*Planner, error) {
	for _, f := range []struct {
		name    string
		missing bool
	}{{"Feed", cfg.Feed == nil}, {"Lookup", cfg.Lookup == nil}, {"Queue", cfg.Queue == nil}} {
		if f.missing {
			return nil, fault.InvalidField(f.name, "is missing")
		}
	}
	if cfg.Tasks < 0 {
		return nil, fault.InvalidField("Tasks", "must not be negative")
	}
	def(&cfg.Tasks, 1<<13)
	def(&cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Planner{cfg: cfg, known: newCache(cfg.Tasks), wake: make(chan struct{}, 1)}, nil
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Run plans until ctx ends, and then returns nil. It returns an error when the feed breaks. Call it once.
func (p *Planner) Run(ctx context.Context) error {
	if err := p.cfg.Feed.Consume(ctx, p.plan); err != nil && ctx.Err() == nil {
		return fmt.Errorf("consume events: %w", err)
	}
	return nil
}

// plan plans one batch of log events.
func (p *Planner) plan(ctx context.Context, batch []events.Event) error {
	subscribers, err := p.subscribers(ctx, batch)
	if err != nil {
		return err
	}
	var all []Delivery
	for _, e := range batch {
		found, err := p.deliveries(ctx, e, subscribers[e.Tenant])
		if err != nil {
			return fmt.Errorf("plan callbacks of event %d: %w", e.Seq, err)
		}
		all = append(all, found...)
	}
	for part := range slices.Chunk(all, maxPlan) {
		n, err := p.cfg.Queue.Plan(ctx, part)
		if err != nil {
			return fmt.Errorf("plan callbacks: %w", err)
		}
		p.planned.Add(uint64(n))
	}
	if len(all) > 0 {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// maxPlan bounds one call of Queue.Plan.
const maxPlan = 1000

// subscribers returns the endpoints that the events of a batch may concern, by tenant.
func (p *Planner) subscribers(ctx context.Context, batch []events.Event) (map[string][]Endpoint, error) {
	var tenants []string
	for _, e := range batch {
		if stale := p.cfg.Now().Sub(e.Time) > Retention; !stale && slices.Contains(Lifecycle(), e.Type) {
			tenants = append(tenants, e.Tenant)
		}
	}
	if tenants = slices.Compact(slices.Sorted(slices.Values(tenants))); tenants == nil {
		return nil, nil
	}
	found, err := p.cfg.Queue.Subscribers(ctx, tenants)
	if err != nil {
		return nil, fmt.Errorf("who is to be called back: %w", err)
	}
	by := map[string][]Endpoint{}
	for _, e := range found {
		by[e.Tenant] = append(by[e.Tenant], e)
	}
	return by, nil
}

// deliveries returns what is to be told of one event.
func (p *Planner) deliveries(ctx context.Context, e events.Event, subscribers []Endpoint) (all []Delivery, err error) {
	if !slices.Contains(Lifecycle(), e.Type) || p.cfg.Now().Sub(e.Time) > Retention {
		return nil, nil // what is that old may have been delivered, and forgotten
	}
	subscribers = slices.DeleteFunc(slices.Clone(subscribers), func(s Endpoint) bool { return !s.wants(e.Type, e.Time) })
	if len(subscribers) == 0 && !e.Type.Terminal() {
		if own, ok := factsOf(e); ok {
			p.known.add(taskKey{e.Tenant, e.Task}, own) // for the end of the task
		}
		return nil, nil
	}
	known, err := p.factsAbout(ctx, e)
	if err != nil {
		return nil, err
	}
	add := func(d Delivery) error {
		now := p.cfg.Now()
		d.ID, d.Tenant, d.TaskID, d.EventType, d.Seq, d.State = deliveryID(e.ID, d.Target), e.Tenant, e.Task, e.Type, e.Seq, Pending
		d.CreatedAt, d.NextAt, d.ExpiresAt = now, &now, now.Add(RetryFor)
		if d.Body, err = bodyOf(e, known, p.cfg.Base); err != nil {
			return err
		}
		all = append(all, d)
		return nil
	}
	if known.Private {
		subscribers = nil
	}
	for _, s := range subscribers {
		if err := add(Delivery{EndpointID: s.ID, Target: s.ID}); err != nil {
			return nil, err
		}
	}
	if known.URL == "" || !e.Type.Terminal() {
		return all, nil
	}
	u, why := checkURL(known.URL, p.cfg.Allow)
	if why != "" { // whoever wrote the event knows other rules
		p.refused.Add(1)
		p.cfg.Logger.WarnContext(ctx, "the callback_url of a task is passed over", "tenant", e.Tenant, "task_id", e.Task, "why", why)
		return all, nil
	}
	return all, add(Delivery{URL: known.URL, Target: targetOf(u)})
}
