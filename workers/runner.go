package workers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// RunnerConfig is what a Runner needs.
type RunnerConfig struct {
	Worker      string // this worker's name, a subject token, unique among the workers that are alive
	Agents      []Agent
	Log         task.Log
	Board       task.ProgressBoard
	Blobs       task.Blobs    // where outputs and results above MaxOutput are kept; nil: there are none
	Slots       int           // tasks at once, as the subscriber has it; only told, in Stats
	Build       string        // of the program; only told, in Stats
	Budgets     Budgets       // DefaultBudgets(3) when nil
	Timeout     time.Duration // of one attempt of a task that does not say; 5 min when 0
	Patience    time.Duration // how long a write is repeated while the broker is away; task.Patience when 0
	CancelCheck time.Duration // an attempt that runs longer than this listens for being cancelled; 200 ms when 0
	Logger      *slog.Logger
}

// Runner handles dispatches, each from claim to settlement. It is safe for concurrent use.
type Runner struct {
	RunnerConfig
	agents    map[string]Agent
	catalog   *task.Catalog
	source    string
	startedAt time.Time
	stats     stats
}

// NewRunner checks cfg and returns the runner.
func NewRunner(cfg RunnerConfig) (*Runner, error) {
	if err := events.CheckToken("worker", cfg.Worker); err != nil {
		return nil, err
	}
	if cfg.Log == nil || cfg.Board == nil || len(cfg.Agents) == 0 {
		return nil, errors.New("runner: Log, Board and Agents are required")
	}
	if cfg.Budgets == nil {
		cfg.Budgets = DefaultBudgets(3)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Minute
	}
	if cfg.Patience == 0 {
		cfg.Patience = task.Patience
	}
	if cfg.CancelCheck == 0 {
		cfg.CancelCheck = 200 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Runner{RunnerConfig: cfg, agents: map[string]Agent{}, source: "/workers/" + cfg.Worker, startedAt: time.Now().UTC()}
	var kinds []task.Kind
	for _, a := range cfg.Agents {
		if v, ok := a.(Versioned); ok && len(v.Versions()) == 0 {
			return nil, fmt.Errorf("runner: the agent of kind %s has no version", a.Kind().Name)
		}
		kinds = append(kinds, a.Kind())
		r.agents[a.Kind().Name] = a
	}
	var err error
	r.catalog, err = task.NewCatalog(kinds)
	return r, err
}

// Kinds returns the names of the kinds that the runner serves: the topics to subscribe to.
func (r *Runner) Kinds() []string {
	var names []string
	for _, k := range r.catalog.All() {
		names = append(names, k.Name)
	}
	return names
}

// Handle runs the task of one dispatch. It is a watermill handler that settles the message itself: acked when the task is
// settled or not ours, nacked with events.HeaderRetryAfter when it is to come again. It returns nil.
func (r *Runner) Handle(msg *message.Message) error {
	ctx := msg.Context()
	if ctx.Err() != nil || !r.stats.enter() {
		handBack(msg, drainPause)
		return nil
	}
	defer r.stats.leave()
	d, err := decode(msg)
	if err != nil {
		r.bury(ctx, msg, err)
		return nil
	}
	logger := r.Logger.With("task_id", d.event.Task, "tenant", d.event.Tenant, "kind", d.queued.Kind)
	// A claim that is broken off half way looks like one by a worker that vanished, so being asked to stop does not touch it.
	run, err := r.claim(context.WithoutCancel(ctx), d)
	switch {
	case errors.Is(err, errSuperseded):
		msg.Ack()
		return nil
	case errors.Is(err, errUnrecorded):
		r.bury(ctx, msg, err)
		return nil
	case err != nil:
		delay := max(fault.RetryAfter(err), time.Second)
		if fault.Is(err, fault.Internal) {
			delay = time.Minute // its history cannot be read; that is for people to mend
		}
		logger.WarnContext(ctx, "claim put off", "error", err, "delay", delay)
		handBack(msg, delay)
		return nil
	case run == nil: // not due, not for this worker, or settled by the claim
		return nil
	}
	run.logger = logger
	defer r.stats.began(d.queued.Kind)()
	defer run.stopText()
	for !r.settle(ctx, msg, run, r.work(ctx, run)) {
		run.rewind() // the signal came in the moment in which the agent began to wait for it
	}
	return nil
}

// drainPause is when a dispatch comes again that was delivered to a worker that takes nothing new.
const drainPause = 100 * time.Millisecond

// delivery is a dispatch as it came from the queue.
type delivery struct {
	msg    *message.Message
	event  events.Event // the task.queued event, with its Seq
	queued events.Queued
}

func decode(msg *message.Message) (delivery, error) {
	e, err := events.Decode(msg.Metadata.Get, msg.Payload)
	if err != nil {
		return delivery{}, err
	}
	if e.Seq, err = strconv.ParseUint(msg.Metadata.Get(events.HeaderSeq), 10, 64); err != nil || e.Seq == 0 {
		return delivery{}, fmt.Errorf("%w: %s is %q, want a sequence", events.ErrMalformed, events.HeaderSeq, msg.Metadata.Get(events.HeaderSeq))
	}
	q, err := events.DataAs[events.Queued](e)
	if err != nil {
		return delivery{}, err
	}
	own := events.Dispatch{Kind: q.Kind, Lane: q.Priority, Tenant: e.Tenant, Task: e.Task, N: q.Dispatch}
	if subject := msg.Metadata.Get(events.HeaderQueueSubject); own.Subject() != subject {
		return delivery{}, fmt.Errorf("%w: a dispatch of %s came on subject %s", events.ErrMalformed, own.Subject(), subject)
	}
	return delivery{msg, e, q}, nil
}

// letGo leaves the message to whoever holds it now; it comes again when nobody does.
func letGo(msg *message.Message) {
	msg.Metadata.Set(events.HeaderRetryAfter, events.LetGo)
	msg.Nack()
}

// handBack returns the message to the queue, for any worker, after the delay.
func handBack(msg *message.Message, delay time.Duration) {
	if delay > 0 {
		msg.Metadata.Set(events.HeaderRetryAfter, delay.String())
	}
	msg.Nack()
}
