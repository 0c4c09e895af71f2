package nats_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
	"pgregory.net/rapid"
)

// Many writers share batches on a synced broker that is killed again and again. Whatever was acknowledged is there afterwards,
// once, at the sequence that was acknowledged; what was not is there once or not at all.
func TestGroupCommit_LosesNothingWhenTheBrokerIsKilled(t *testing.T) {
	t.Parallel()
	const kills, writers, tasksEach = 4, 64, 12
	broker := startMortalWith(t, "always")
	client := broker.connect(t)
	until(t, "the broker is provisioned", func() bool {
		_, err := nats.Provision(t.Context(), client.JS, nats.Topology{Kinds: natstest.Kinds()})
		return err == nil
	})
	log := newGrouped(broker.connect(t))
	var mu sync.Mutex
	var acknowledged []events.Event
	var done atomic.Int64
	write := func(e events.Event, after uint64) events.Event {
		err := task.Patiently(t.Context(), 2*patience, func(ctx context.Context) (err error) { e.Seq, err = log.Append(ctx, e, after); return err })
		if err != nil {
			t.Errorf("append %s to task %s: %v", e.Type, e.Task, err)
			return e
		}
		mu.Lock()
		defer mu.Unlock()
		acknowledged = append(acknowledged, e)
		return e
	}
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range tasksEach {
				q := write(tasktest.QueuedEvent(t, "school"), 0)
				s := write(tasktest.Event(t, "school", q.Task, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}), q.Seq)
				write(tasktest.Event(t, "school", q.Task, events.Completed{Attempt: 1, Result: []byte(`{}`)}), s.Seq)
				done.Add(1)
			}
		})
	}
	for k := range kills {
		until(t, "some tasks are written", func() bool { return done.Load() >= int64((k+1)*writers*tasksEach/(kills+2)) })
		broker.kill(t)
		broker.start(t)
	}
	group.Wait()
	broker.kill(t)
	broker.start(t)
	until(t, "the client is back", func() bool { _, err := client.JS.AccountInfo(t.Context()); return err == nil })
	for _, e := range acknowledged {
		msg := onLog(t, client, e.Seq)
		if id := msg.Header.Get(events.HeaderID); id != e.ID {
			t.Fatalf("event %s of task %s was acknowledged at %d, where %s is", e.ID, e.Task, e.Seq, id)
		}
	}
	seen := map[string]bool{}
	for _, e := range acknowledged {
		if seen[e.Task] {
			continue
		}
		seen[e.Task] = true
		h, err := newLog(client).History(t.Context(), "school", e.Task, 0, 0)
		if err != nil || len(h) != 3 {
			t.Fatalf("task %s has %d events (%v), want 3", e.Task, len(h), err)
		}
		checkHistory(t, h)
	}
	if len(acknowledged) != 3*writers*tasksEach {
		t.Errorf("%d appends were acknowledged, want %d", len(acknowledged), 3*writers*tasksEach)
	}
}

// Whatever writers do at the same time, in turns of any size, each history is the chain of the appends that were acknowledged.
func TestGroupCommit_HistoriesAreChainsOfWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	broker := startSynced(t)
	log := newGrouped(broker)
	rapid.Check(t, func(r *rapid.T) {
		tails := make([]events.Event, rapid.IntRange(1, 24).Draw(r, "tasks"))
		chains := make([][]events.Event, len(tails))
		for i := range tails {
			tails[i].Task = tasktest.QueuedEvent(t, "school").Task
		}
		for turn := range rapid.IntRange(1, 4).Draw(r, "turns") {
			n := rapid.IntRange(1, 40).Draw(r, "appends")
			appends, of := make([]outcome, n), make([]int, n)
			for i := range appends {
				of[i] = rapid.IntRange(0, len(tails)-1).Draw(r, "task")
				tail := tails[of[i]]
				switch rapid.IntRange(0, 9).Draw(r, "how") {
				case 0: // somebody who saw nothing of the task
					appends[i] = outcome{event: tasktest.Event(t, "school", tail.Task, events.Cancelled{By: "late"})}
				case 1: // somebody who repeats the last append
					if tail.Seq != 0 {
						appends[i] = outcome{event: tail, after: tail.Seq - 1}
						break
					}
					fallthrough
				default:
					e := tasktest.Event(t, "school", tail.Task, events.Started{Attempt: turn + 1, Dispatch: 1, Worker: fmt.Sprint(i)})
					appends[i] = outcome{event: e, after: tail.Seq}
				}
			}
			together(t, log, appends)
			for i, a := range appends {
				switch {
				case a.err != nil && task.Stale(a.err) == nil:
					r.Fatalf("append to task %s: %v", a.event.Task, a.err)
				case a.err == nil && a.event.ID != tails[of[i]].ID:
					chains[of[i]] = append(chains[of[i]], a.event)
				}
			}
			for i := range tails {
				if len(chains[i]) > 0 {
					tails[i] = chains[i][len(chains[i])-1]
				}
			}
		}
		for i, chain := range chains {
			h, _ := log.History(t.Context(), "school", tails[i].Task, 0, 0)
			if len(h) != len(chain) {
				r.Fatalf("task %s has %d events, %d were acknowledged", tails[i].Task, len(h), len(chain))
			}
			for k := range h {
				if h[k].ID != chain[k].ID || h[k].Seq != chain[k].Seq {
					r.Fatalf("task %s, event %d: %s at %d, acknowledged was %s at %d", tails[i].Task, k, h[k].ID, h[k].Seq, chain[k].ID, chain[k].Seq)
				}
			}
		}
	})
}
