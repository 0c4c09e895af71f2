package task_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

// The protocol of claims and outcomes, driven through random interleavings of everything that users, workers, crashes,
// zombies and admins may do. choose(n) picks from 0 to n-1.
func TestProtocol_HoldsUnderEveryInterleaving(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.IntRange(1, 80).Draw(rt, "steps")
		err := interleave(rt, tasktest.NewMemory(), steps, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "choice") })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// Without the fence the same driver must find a violation: it is the expected sequence that makes the protocol hold.
func TestProtocol_BreaksWithoutTheFence(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		m := tasktest.NewMemory()
		m.Unfence()
		if err := interleave(t, m, 80, rand.New(rand.NewPCG(seed, 1)).IntN); err != nil {
			t.Logf("found at seed %d: %v", seed, err)
			return
		}
	}
	t.Error("no violation found: the driver does not test the fence")
}

// holder is a worker's view of a task: what it claimed, up to where it knows the history.
type holder struct {
	t task.Task
}

type world struct {
	m       *tasktest.Memory
	s       *task.Service
	choose  func(int) int
	ids     []string
	keys    map[string]string
	holders []*holder          // workers at work, zombies among them
	current map[string]*holder // who holds a task by right
}

func interleave(tb rapid.TB, m *tasktest.Memory, steps int, choose func(int) int) error {
	w := &world{m: m, s: service(tb, m), choose: choose, keys: map[string]string{}, current: map[string]*holder{}}
	for range steps {
		act := []func() error{w.submit, w.claim, w.claim, w.crash, w.write, w.write, w.write, w.cancel, w.replay, w.discard}[choose(10)]
		if err := act(); err != nil {
			return err
		}
	}
	if err := w.drain(); err != nil {
		return err
	}
	return w.check()
}

func service(tb rapid.TB, m *tasktest.Memory) *task.Service {
	tb.Helper()
	catalog, err := task.NewCatalog([]task.Kind{{
		Name: "quiz", Aliases: []string{"quiz_generator"}, InputSchema: json.RawMessage(`{"type":"object","required":["subject"],"properties":{"subject":{"type":"string"}}}`),
		OutputSchema: json.RawMessage(`{"type":"object"}`), Example: json.RawMessage(`{"subject":"Art"}`),
	}})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := task.NewService(task.Config{
		Log: m, Queue: m, Progress: m, Archive: tasktest.Archive{Memory: m}, Catalog: catalog, Patience: time.Second,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (w *world) submit() error {
	key := fmt.Sprintf("key-%d", w.choose(6))
	got, fresh, err := w.s.Submit(context.Background(), task.Submission{
		Tenant: "school", UserID: "u", Kind: "quiz", Input: json.RawMessage(`{"subject":"Art"}`), Key: key,
	})
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	if old, known := w.keys[key]; known == fresh || known && old != got.ID {
		return fmt.Errorf("key %s gave task %s (new: %v), before it gave %q", key, got.ID, fresh, old)
	}
	if fresh {
		w.keys[key] = got.ID
		w.ids = append(w.ids, got.ID)
	}
	return nil
}

// claim delivers a queued dispatch to a fresh worker, whether or not another one believes that it holds it.
func (w *world) claim() error {
	waiting, err := w.m.Waiting(context.Background())
	if err != nil || len(waiting) == 0 {
		return err
	}
	id := w.ids[w.choose(len(w.ids))]
	for _, d := range waiting {
		if d.Task == id {
			return w.deliver(d)
		}
	}
	return nil
}

func (w *world) deliver(d events.Dispatch) error {
	t, err := w.read(d.Task)
	if err != nil {
		return err
	}
	if t.State.Terminal() || t.Dispatch != d.N {
		w.m.Ack(d)
		return nil
	}
	h := &holder{t: t}
	if err := w.append(h, events.Started{Attempt: t.Attempt + 1, Dispatch: t.Dispatch, Worker: "w"}); err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	w.holders = append(w.holders, h)
	w.current[d.Task] = h
	return nil
}

// crash makes a worker vanish.
func (w *world) crash() error {
	if len(w.holders) > 0 {
		i := w.choose(len(w.holders))
		w.holders = append(w.holders[:i:i], w.holders[i+1:]...)
	}
	return nil
}

// write lets any worker, zombies included, write what it believes is next. Only the holder by right may succeed.
func (w *world) write() error {
	if len(w.holders) == 0 {
		return nil
	}
	i := w.choose(len(w.holders))
	h := w.holders[i]
	attempt := h.t.Attempt
	p := []events.Payload{
		events.Step{Attempt: attempt, Name: "s", Output: json.RawMessage(`1`)},
		events.Retrying{Attempt: attempt, Cause: events.CauseProvider, Error: "503", NextAt: time.Now()},
		events.Completed{Attempt: attempt, Result: json.RawMessage(`{}`)},
		events.Failed{Attempts: attempt, Cause: events.CauseBug, Error: "x"},
	}[w.choose(4)]
	err := w.append(h, p)
	byRight := w.current[h.t.ID] == h
	if byRight != (err == nil) {
		return fmt.Errorf("%s by a worker that holds the task: %v; it got %w", p.EventType(), byRight, err)
	}
	if err != nil || p.EventType() != events.TypeStep {
		w.holders = append(w.holders[:i:i], w.holders[i+1:]...)
		if byRight {
			delete(w.current, h.t.ID)
		}
	}
	if err == nil && p.EventType().Terminal() {
		w.m.Ack(h.t.DispatchEntry())
	}
	return nil
}

func (w *world) append(h *holder, p events.Payload) error {
	e, err := events.New("school", h.t.ID, "/w", p)
	if err != nil {
		return err
	}
	if e.Seq, err = w.m.Append(context.Background(), e, h.t.Seq); err != nil {
		return err
	}
	return h.t.Apply(e)
}

func (w *world) cancel() error {
	return w.decide(func(id string) error {
		_, err := w.s.Cancel(context.Background(), "school", id, "u", "")
		return err
	})
}

func (w *world) replay() error {
	return w.decide(func(id string) error {
		_, err := w.s.Replay(context.Background(), "school", id, task.ReplayRequest{By: "admin"})
		return err
	})
}

func (w *world) discard() error {
	return w.decide(func(id string) error {
		_, err := w.s.Discard(context.Background(), "school", id, "admin", "")
		return err
	})
}

// decide lets a user or an admin act on a task. Being refused is fine, anything else is not.
func (w *world) decide(act func(id string) error) error {
	if len(w.ids) == 0 {
		return nil
	}
	id := w.ids[w.choose(len(w.ids))]
	err := act(id)
	if err == nil {
		delete(w.current, id)
		return nil
	}
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return fmt.Errorf("decide on %s: %w", id, err)
}

// drain lets one honest worker finish what is left.
func (w *world) drain() error {
	waiting, err := w.m.Waiting(context.Background())
	if err != nil {
		return err
	}
	for _, d := range waiting {
		if err := w.deliver(d); err != nil {
			return err
		}
		if h := w.current[d.Task]; h != nil && h.t.Dispatch == d.N {
			if err := w.append(h, events.Completed{Attempt: h.t.Attempt, Result: json.RawMessage(`{}`)}); err != nil {
				return fmt.Errorf("drain: %w", err)
			}
		}
	}
	return nil
}

// check holds every history against what the platform promises.
func (w *world) check() error {
	for _, id := range w.ids {
		t, err := w.read(id)
		if err != nil {
			return err // a history that is impossible
		}
		if !t.State.Terminal() {
			return fmt.Errorf("task %s is lost: it is %s and nobody has it", id, t.State)
		}
		history, err := w.m.History(context.Background(), "school", id, 0, 0)
		if err != nil {
			return err
		}
		outcomes, dispatch := map[int]int{}, 0
		for _, e := range history {
			switch e.Type {
			case events.TypeQueued:
				dispatch++
			case events.TypeCompleted, events.TypeFailed, events.TypeCancelled:
				outcomes[dispatch]++
			}
		}
		for n := 1; n <= dispatch; n++ {
			if outcomes[n] != 1 {
				return fmt.Errorf("task %s: dispatch %d has %d outcomes", id, n, outcomes[n])
			}
		}
	}
	return nil
}

func (w *world) read(id string) (task.Task, error) {
	history, err := w.m.History(context.Background(), "school", id, 0, 0)
	if err != nil {
		return task.Task{}, err
	}
	return task.Fold(history)
}
