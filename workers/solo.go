package workers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

// SoloConfig says how Solo runs a task. Zero fields take the defaults.
type SoloConfig struct {
	Agent   Agent           // required
	Input   json.RawMessage // required; it is held against the kind's schema
	ID      string          // of the task, a subject token; a new one when empty
	NoCache bool            // nothing comes from a cache of models' answers, or goes into one
	Budgets Budgets         // DefaultBudgets(3)
	Timeout time.Duration   // of one attempt; 5 min
}

// soloTenant is whose task it is.
const soloTenant = "solo"

// Solo runs one task from its submission to its end, in this process and on a log of its own. It serves evaluations and whoever wants an agent's
// work without a platform. Claim, journal, budgets and settlement are the Runner's; attempts that are to come later come when their time is
// there, and so do sleeps and waits for money or a model; a signal never comes.
//
// The task is returned as far as it came, with its result. Errors: Invalid for a bad input; the cause of ctx's end. A task that failed is no error.
func Solo(ctx context.Context, cfg SoloConfig) (task.Task, error) {
	s, err := newSolo(cfg)
	if err != nil {
		return task.Task{}, err
	}
	e, err := s.queue(ctx, events.Queued{
		Kind: s.kind, Input: cfg.Input, Priority: events.Normal, Dispatch: 1, UserID: soloTenant, NoCache: cfg.NoCache,
	}, 0)
	for err == nil {
		msg := NewMessage(e)
		msg.SetContext(ctx)
		if err := s.runner.Handle(msg); err != nil {
			return task.Task{}, err
		}
		t, err := s.read(ctx)
		if err != nil || t.State.Terminal() {
			return t, err
		}
		if e, err = s.next(ctx, t, e); err != nil {
			return t, err
		}
	}
	return task.Task{}, err
}

type solo struct {
	kind   string
	id     string
	log    *soloLog
	runner *Runner
}

func newSolo(cfg SoloConfig) (*solo, error) {
	if cfg.Agent == nil {
		return nil, errors.New("solo: Agent is required")
	}
	if cfg.ID == "" {
		cfg.ID = uuid.NewString()
	}
	if err := events.CheckToken("task", cfg.ID); err != nil {
		return nil, err
	}
	s := &solo{kind: cfg.Agent.Kind().Name, id: cfg.ID, log: &soloLog{objects: map[string][]byte{}}}
	var err error
	s.runner, err = NewRunner(RunnerConfig{
		Worker: soloTenant, Agents: []Agent{cfg.Agent}, Log: s.log, Board: s.log, Blobs: s.log, Budgets: cfg.Budgets, Timeout: cfg.Timeout,
		CancelCheck: task.MaxDelay, // nobody else is there to cancel it
	})
	if err != nil {
		return nil, err
	}
	return s, s.runner.catalog.CheckInput(s.kind, cfg.Input)
}

// queue puts a dispatch on the log and returns its event.
func (s *solo) queue(ctx context.Context, q events.Queued, after uint64) (events.Event, error) {
	e, err := events.New(soloTenant, s.id, "/solo", q)
	if err == nil {
		e.Seq, err = s.log.Append(ctx, e, after)
	}
	return e, err
}

// read folds the task, with its result.
func (s *solo) read(ctx context.Context) (task.Task, error) {
	ctx = context.WithoutCancel(ctx)
	history, err := s.log.History(ctx, soloTenant, s.id, 0, 0)
	if err != nil {
		return task.Task{}, err
	}
	t, err := task.Fold(history)
	if err == nil && t.ResultRef != nil {
		t.Result, err = s.log.Get(ctx, *t.ResultRef)
	}
	return t, err
}

// next waits until t is to go on, and returns the dispatch that it goes on with: the current one, or one that resumes it.
func (s *solo) next(ctx context.Context, t task.Task, current events.Event) (events.Event, error) {
	if err := context.Cause(ctx); err != nil { // an attempt that ctx ended is one to come again at once
		return current, err
	}
	if t.State != task.Waiting {
		return current, until(ctx, t.NextAt)
	}
	if err := until(ctx, t.Wait.Until); err != nil {
		return current, err
	}
	return s.queue(ctx, events.Queued{
		Kind: t.Kind, Input: t.Input, Priority: t.Priority, Dispatch: t.Dispatch + 1, UserID: t.UserID, NoCache: t.NoCache,
		Resume: &events.Resume{Wait: t.Wait.For, Seq: t.Wait.Seq},
	}, t.Seq)
}

// until returns at a time, at once for none, or with the cause of ctx's end.
func until(ctx context.Context, at *time.Time) error {
	if at == nil {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(time.Until(*at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the next attempt is at %s: %w", at.Format(time.RFC3339), context.Cause(ctx))
	}
}

// NewMessage returns the dispatch of e, a task.queued event with its Seq, as a queue delivers it to Runner.Handle.
func NewMessage(e events.Event) *message.Message {
	msg := message.NewMessage(e.ID, message.Payload(e.Data))
	for name, value := range e.Header() {
		msg.Metadata.Set(name, value)
	}
	msg.Metadata.Set(events.HeaderSeq, strconv.FormatUint(e.Seq, 10))
	if q, err := events.DataAs[events.Queued](e); err == nil {
		d := events.Dispatch{Kind: q.Kind, Lane: q.Priority, Tenant: e.Tenant, Task: e.Task, N: q.Dispatch}
		msg.Metadata.Set(events.HeaderDispatch, strconv.Itoa(q.Dispatch))
		msg.Metadata.Set(events.HeaderQueueSubject, d.Subject())
	}
	return msg
}
