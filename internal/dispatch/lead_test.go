package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestDispatcher_RunsOthersWhileItLeads(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		d, stop := h.run("d1")
		began, ended := 0, []error{}
		watched := make(chan error)
		ctx, cancel := context.WithCancel(h.ctx)
		go func() {
			watched <- d.WhileLeading(ctx, func(ctx context.Context) error {
				began++
				<-ctx.Done()
				ended = append(ended, context.Cause(ctx))
				return ctx.Err()
			})
		}()
		pass(2 * time.Second)
		h.throne.set("nobody", "")
		pass(2 * time.Second)
		if began != 1 || len(ended) != 1 || !errors.Is(ended[0], dispatch.ErrNotLeading) || d.Leading() {
			t.Errorf("began %d times, ended with %v, leading: %v", began, ended, d.Leading())
		}
		h.throne.set("", "")
		pass(2 * time.Second)
		if began != 2 || !d.Leading() {
			t.Errorf("began %d times, leading: %v", began, d.Leading())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if who := h.throne.who(); who != "" {
			t.Errorf("%s keeps the lease", who)
		}
		cancel()
		if err := <-watched; err != nil {
			t.Error(err)
		}
		if err := d.WhileLeading(ctx, nil); err != nil {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestDispatcher_EndsWithWhatItRuns(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		d, _ := h.run("d1")
		pass(time.Second)
		broken := errors.New("broken")
		if err := d.WhileLeading(h.ctx, func(context.Context) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}

// slowStart is a watch whose broker takes its time before it shows the first event, as one does that has millions of subjects.
type slowStart struct {
	dispatch.Watcher
	shows chan struct{}
}

func (s slowStart) WatchSynced(ctx context.Context, fn func(events.Event), synced func()) error {
	select {
	case <-s.shows:
	case <-ctx.Done():
		return nil
	}
	return s.Watch(ctx, func(e events.Event) {
		fn(e)
		synced()
	})
}

// Silence is no sign that the log has been read when the watch itself tells: a board that lacks tasks counts no limit rightly.
func TestDispatcher_DoesNotLeadBeforeTheWatchSaysThatItKnows(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.submit("school")
		shows := make(chan struct{})
		d, _ := h.run("d1", func(cfg *dispatch.Config) { cfg.Watcher = slowStart{cfg.Watcher, shows} })
		pass(time.Minute)
		if d.Leading() {
			t.Error("it leads although the log has not been read")
		}
		if _, err := d.Backlog(t.Context()); !fault.Is(err, fault.Unavailable) {
			t.Errorf("asked for the backlog: %v", err)
		}
		close(shows)
		pass(time.Second)
		if !d.Leading() {
			t.Error("it does not lead although the log has been read")
		}
	})
}

// poisoned is a log in which the history of one task cannot be decoded.
type poisoned struct {
	dispatch.Log
	task string
}

func (p poisoned) History(ctx context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error) {
	if id == p.task {
		return nil, fmt.Errorf("message 7: %w", events.ErrMalformed)
	}
	return p.Log.History(ctx, tenant, id, after, limit)
}

// A history that nobody can read is one task's trouble, not everybody's.
func TestDispatcher_LeadsAlthoughAHistoryCannotBeRead(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		bad, good := h.submit("school"), h.submit("school")
		for _, m := range []task.Task{bad, good} {
			h.append(m, m.Seq, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1", Version: "1"})
		}
		d, _ := h.run("d1", func(cfg *dispatch.Config) { cfg.Log = poisoned{cfg.Log, bad.ID} })
		pass(10 * time.Second)
		if !d.Leading() {
			t.Error("it does not lead")
		}
		if s := d.Stats(); s.Open != 1 || s.Unread != 0 {
			t.Errorf("%d tasks open, %d unread, want the one that can be read", s.Open, s.Unread)
		}
	})
}
