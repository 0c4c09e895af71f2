package workers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// LatestWatcher shows the last event of every task.
type LatestWatcher interface {
	// WatchLatest calls fn with the last event of every task on the log and then with each new event, until ctx ends. The
	// events may come without their Data.
	WatchLatest(ctx context.Context, fn func(events.Event)) error
}

// Reconciler dispatches tasks that are on record and not in the queue: their submitter died between the two writes, the
// queue was full, or it was lost.
type Reconciler struct {
	Log    task.Log
	Queue  task.Queue
	Latest LatestWatcher
	Every  time.Duration // between two rounds; 10 s when 0
	Grace  time.Duration // tasks with an event younger than this are left alone; 10 s when 0
	// RunningGrace is Grace for tasks that a worker holds. Their dispatch is in the queue until they end, unless the queue was lost;
	// then the worker may still be at it. An attempt's longest time and some; 6 min when 0.
	RunningGrace time.Duration
	Logger       *slog.Logger

	mu   sync.Mutex
	open map[taskKey]events.Event
}

type taskKey struct{ tenant, id string }

// roundShare bounds what rounds cost the broker: the pause after one is this many times as long as the round was.
const roundShare = 20

// maxRound bounds how many tasks one round dispatches.
const maxRound = 10_000

// Run reconciles until ctx ends.
func (r *Reconciler) Run(ctx context.Context) error {
	if r.Every == 0 {
		r.Every = 10 * time.Second
	}
	if r.Grace == 0 {
		r.Grace = 10 * time.Second
	}
	if r.RunningGrace == 0 {
		r.RunningGrace = 6 * time.Minute
	}
	r.open = map[taskKey]events.Event{}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := r.Latest.WatchLatest(ctx, r.note); err != nil {
			cancel(fmt.Errorf("watch the log: %w", err))
		}
	}()
	next := time.NewTimer(r.Every)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			<-watched
			if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		case <-next.C:
			began := time.Now()
			if err := r.round(ctx); err != nil && ctx.Err() == nil {
				r.Logger.WarnContext(ctx, "reconciliation put off", "error", err)
			}
			next.Reset(max(r.Every, roundShare*time.Since(began)))
		}
	}
}

// note keeps the tasks that wait for somebody.
func (r *Reconciler) note(e events.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := taskKey{e.Tenant, e.Task}
	if e.Type.Terminal() {
		delete(r.open, k)
		return
	}
	e.Data = nil
	r.open[k] = e
}

// round dispatches what is open, not in the queue, and not in motion.
func (r *Reconciler) round(ctx context.Context) error {
	candidates := r.idle(time.Now())
	if len(candidates) == 0 {
		return nil
	}
	waiting, err := r.Queue.Waiting(ctx)
	if err != nil {
		return err
	}
	queued := make(map[taskKey]bool, len(waiting))
	for _, d := range waiting {
		queued[taskKey{d.Tenant, d.Task}] = true
	}
	n := 0
	for _, k := range candidates {
		if queued[k] {
			continue
		}
		if n == maxRound {
			break
		}
		if err := r.dispatch(ctx, k); err != nil {
			if kind := fault.KindOf(err); kind == fault.Unavailable || kind == fault.Timeout || ctx.Err() != nil {
				return err
			}
			r.Logger.ErrorContext(ctx, "an open task could not be dispatched", "task_id", k.id, "tenant", k.tenant, "error", err)
		}
		n++
	}
	return nil
}

func (r *Reconciler) idle(now time.Time) []taskKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []taskKey
	for k, e := range r.open {
		grace := r.Grace
		if e.Type == events.TypeStarted || e.Type == events.TypeStep {
			grace = r.RunningGrace
		}
		if now.Sub(e.Time) > grace {
			keys = append(keys, k)
		}
	}
	return keys
}

func (r *Reconciler) dispatch(ctx context.Context, k taskKey) error {
	history, err := r.Log.History(ctx, k.tenant, k.id, 0, 0)
	if fault.Is(err, fault.NotFound) {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, k) // aged out
		return nil
	}
	if err != nil {
		return err
	}
	t, err := task.Fold(history)
	if err != nil {
		r.Logger.ErrorContext(ctx, "a history cannot be read, its task is left alone", "task_id", k.id, "tenant", k.tenant, "error", err)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, k)
		return nil
	}
	if t.State.Terminal() {
		return nil
	}
	e, err := task.QueuedEvent(ctx, r.Log, t)
	if err != nil {
		return err
	}
	if err := r.Queue.Dispatch(ctx, t.DispatchEntry(), e); err != nil {
		return err
	}
	r.Logger.InfoContext(ctx, "task dispatched again: it was on record and not in the queue",
		"task_id", t.ID, "tenant", t.Tenant, "kind", t.Kind, "state", t.State, "since", t.UpdatedAt)
	return nil
}
