package pusher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/notify"
	"github.com/toolboxai/orchestrator/internal/pusher/pushertest"
)

// history is a log that is complete from the start. It is what a notifier reads. The ends of the tasks are held back until
// ends is closed.
type history struct {
	events []events.Event
	acked  atomic.Int64
	ends   chan struct{}
}

func (h *history) Consume(ctx context.Context, handle func(context.Context, []events.Event) error) error {
	for batch := range slices.Chunk(h.events[h.acked.Load():], 32) {
		if slices.ContainsFunc(batch, func(e events.Event) bool { return e.Type.Terminal() }) {
			select {
			case <-h.ends:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := handle(ctx, batch); err != nil {
			return err
		}
		h.acked.Add(int64(len(batch)))
	}
	<-ctx.Done()
	return ctx.Err()
}

// Progress reports on every task all the time, whether it has begun, runs or is over.
func (h *history) Progress(ctx context.Context, report func(events.Event)) error {
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		for _, e := range h.events {
			if e.Type != events.TypeQueued {
				continue
			}
			p, err := events.New(e.Tenant, e.Task, "/workers/w", events.Progress{Attempt: 1, Percent: 50})
			if err != nil {
				return err
			}
			report(p)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		}
	}
}

func (h *history) History(_ context.Context, tenant, task string, _ uint64, _ int) ([]events.Event, error) {
	i := slices.IndexFunc(h.events, func(e events.Event) bool { return e.Tenant == tenant && e.Task == task })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "no such task")
	}
	return h.events[i : i+1], nil
}

// Last answers for a log in which every task still runs: what is over, the notifier has to know by itself.
func (h *history) Last(ctx context.Context, tenant, task string) (events.Event, error) {
	first, err := h.History(ctx, tenant, task, 0, 1)
	if err != nil {
		return events.Event{}, err
	}
	return first[0], nil
}

func newHistory(t *testing.T, tasks int) *history {
	t.Helper()
	began := time.Now().UTC().Truncate(time.Second)
	h := &history{ends: make(chan struct{})}
	for _, p := range []events.Payload{
		events.Queued{Kind: "quiz", Dispatch: 1, UserID: "ann|1", Input: json.RawMessage(`{}`)},
		events.Started{Attempt: 1, Dispatch: 1},
		events.Completed{Attempt: 1, Result: json.RawMessage(`{"title":"Volcanoes"}`)},
	} {
		for i := range tasks {
			if p.EventType().Terminal() && i == 0 {
				continue // this one runs for ever
			}
			e, err := events.New(fmt.Sprintf("school-%d", i%2), fmt.Sprintf("task-%d", i), "/test", p)
			if err != nil {
				t.Fatal(err)
			}
			e.Seq = uint64(len(h.events) + 1)
			e.Time = began.Add(time.Duration(e.Seq)) // tells redacted messages apart
			h.events = append(h.events, e)
		}
	}
	return h
}

// The notifier over real HTTP against a server that fails, hangs, drops connections and loses answers, with a crash in
// between: everything arrives, in order, and no progress behind the end of a task.
func TestNotifier_OverAFaultyServer(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("Seed%d", seed), func(t *testing.T) {
			t.Parallel()
			s, h := newServer(t, nil), newHistory(t, 60)
			r := rand.New(rand.NewPCG(seed, 0))
			rare := []pushertest.Fault{{Hang: true}, {Hang: true, Accepted: true}}
			frequent := []pushertest.Fault{
				{Status: 503}, {Status: 500, Accepted: true}, {Status: 429, RetryAfter: "0"}, {Status: 401}, {Drop: true}, {Drop: true, Accepted: true},
			}
			s.Misbehave(func(int) pushertest.Fault {
				switch p := r.IntN(100); {
				case p < 2:
					return rare[r.IntN(len(rare))]
				case p < 30:
					return frequent[r.IntN(len(frequent))]
				}
				return pushertest.Fault{}
			})
			runUntil(t, s, h, func(notify.Stats) bool { return h.acked.Load() > 40 })
			runUntil(t, s, h, func(notify.Stats) bool {
				return slices.ContainsFunc(s.Messages("private-task-task-17"), func(m pushertest.Message) bool { return m.Event == "task.progress" })
			})
			close(h.ends)
			// The reports on ended tasks that a notifier dropped are those that it had to hold back.
			runUntil(t, s, h, func(st notify.Stats) bool { return h.acked.Load() == int64(len(h.events)) && st.Dropped > 100 })
			checkDelivery(t, s, h)
		})
	}
}

// runUntil runs a notifier of its own until done is true after a request, and stops it there, whatever it is doing.
func runUntil(t *testing.T, s *pushertest.Server, h *history, done func(notify.Stats) bool) {
	t.Helper()
	cfg := configFor(s)
	cfg.Timeout = 500 * time.Millisecond // long enough that the server never serves a request that was given up
	n, err := notify.New(notify.Config{
		Feed: h, Progress: h, Lookup: h, Sender: newClient(t, cfg), RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	if err := s.Wait(ctx, func(*pushertest.Server) bool { return done(n.Stats()) }); err != nil {
		t.Errorf("%v; %+v", err, n.Stats())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// first returns the events that a channel's messages tell of, each where it came first.
func first(s *pushertest.Server, channel string, h *history) []events.Event {
	var out []events.Event
	seen := make(map[string]bool)
	for _, m := range s.Messages(channel) {
		if at := timestamp(m); !seen[at] {
			seen[at] = true
			if i := slices.IndexFunc(h.events, func(e events.Event) bool { return e.Time.Format(time.RFC3339Nano) == at }); i >= 0 {
				out = append(out, h.events[i])
			}
		}
	}
	return out
}

func timestamp(m pushertest.Message) string {
	var p struct {
		Timestamp string `json:"timestamp"`
	}
	_ = json.Unmarshal([]byte(m.Data), &p) // without one the message is none of ours, which the caller finds out
	return p.Timestamp
}

func checkDelivery(t *testing.T, s *pushertest.Server, h *history) {
	t.Helper()
	for channel, mine := range map[string]func(events.Event) bool{
		"dashboard-updates":    func(events.Event) bool { return true },
		"private-user-ann=7C1": func(events.Event) bool { return true },
		"private-org-school-1": func(e events.Event) bool { return e.Tenant == "school-1" },
		"private-task-task-17": func(e events.Event) bool { return e.Task == "task-17" },
	} {
		var want, got []uint64
		for _, e := range h.events {
			if mine(e) {
				want = append(want, e.Seq)
			}
		}
		for _, e := range first(s, channel, h) {
			got = append(got, e.Seq)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", channel, diff)
		}
	}
	for _, channel := range s.Channels() {
		over := make(map[string]bool)
		for _, m := range s.Messages(channel) {
			var p struct {
				TaskID string `json:"task_id"`
			}
			if err := json.Unmarshal([]byte(m.Data), &p); err != nil {
				t.Fatal(err)
			}
			switch m.Event {
			case "task.completed":
				over[p.TaskID] = true
			case "task.progress":
				if over[p.TaskID] {
					t.Errorf("%s: progress of %s behind its end", channel, p.TaskID)
				}
			}
		}
	}
	for _, n := range s.Batches() {
		if n > notify.MaxBatch {
			t.Errorf("a request held %d messages", n)
		}
	}
	if public := fmt.Sprint(s.Messages("dashboard-updates"), s.Messages("content-generation")); strings.Contains(public, "ann") || strings.Contains(public, "Volcanoes") || strings.Contains(public, "school") {
		t.Error("a public channel tells what it must not")
	}
}
