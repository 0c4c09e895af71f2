package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

// house is a platform in memory: log, queue, service, workers and as many dispatchers as a test runs. It lives in a bubble.
type house struct {
	t       *testing.T
	m       *tasktest.Memory
	tasks   *task.Service
	queue   *lineup
	fleet   *fleet
	policy  *policies
	throne  *throne
	gates   *gates
	workers sync.WaitGroup
	stop    context.CancelFunc
	ctx     context.Context
}

func newHouse(t *testing.T) *house {
	ctx, stop := context.WithCancel(t.Context())
	m := tasktest.NewMemory()
	h := &house{
		t: t, m: m, queue: &lineup{Memory: m, more: make(chan struct{}), sends: map[events.Dispatch]int{}}, fleet: &fleet{},
		policy: &policies{changed: make(chan struct{})}, throne: &throne{}, gates: &gates{}, stop: stop, ctx: ctx,
	}
	schema := json.RawMessage(`{"type":"object"}`)
	var kinds []task.Kind
	for _, name := range []string{"quiz", "content"} {
		kinds = append(kinds, task.Kind{Name: name, InputSchema: schema, OutputSchema: schema, Example: json.RawMessage(`{}`)})
	}
	catalog, err := task.NewCatalog(kinds)
	if err != nil {
		t.Fatal(err)
	}
	h.tasks, err = task.NewService(task.Config{
		Log: m, Queue: h.queue, Progress: m, Archive: tasktest.Archive{Memory: m}, Catalog: catalog, Gate: h.gates, Patience: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// close ends everything in the house.
func (h *house) close() {
	h.stop()
	h.workers.Wait()
}

// run starts a dispatcher and returns what ends it.
func (h *house) run(name string, change ...func(*dispatch.Config)) (*dispatch.Dispatcher, func() error) {
	cfg := dispatch.Config{
		Log: h.m, Queue: h.queue, Tasks: h.tasks, Watcher: h.m, Fleet: h.fleet, Lease: &seat{h.throne, name}, Policies: h.policy, Gate: h.gates,
	}
	for _, f := range change {
		f(&cfg)
	}
	d, err := dispatch.New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.ctx)
	ended := make(chan error, 1)
	h.workers.Go(func() { ended <- d.Run(ctx) })
	return d, func() error { cancel(); return <-ended }
}

// work starts a worker whose attempts take a while, and returns what takes it away.
func (h *house) work(name string, slots int, length time.Duration, kinds ...string) context.CancelFunc {
	if len(kinds) == 0 {
		kinds = []string{"quiz"}
	}
	w := task.Worker{Name: name, Slots: slots}
	for _, k := range kinds {
		w.Kinds = append(w.Kinds, task.WorkerKind{Kind: k, Versions: []string{"1"}})
	}
	h.fleet.add(w)
	ctx, cancel := context.WithCancel(h.ctx)
	for range slots {
		h.workers.Go(func() {
			for {
				d, e, ok := h.queue.next(ctx, kinds)
				if !ok {
					return
				}
				h.attempt(ctx, name, d, e, length)
			}
		})
	}
	return func() { h.fleet.remove(name); cancel() }
}

// attempt does one task.
func (h *house) attempt(ctx context.Context, worker string, d events.Dispatch, e events.Event, length time.Duration) {
	started := tasktest.Event(h.t, d.Tenant, d.Task, events.Started{Attempt: 1, Dispatch: d.N, Worker: worker, Version: "1"})
	seq, err := h.m.Append(h.ctx, started, e.Seq)
	if err != nil { // it ended meanwhile
		h.m.Ack(d)
		return
	}
	select {
	case <-time.After(length):
	case <-ctx.Done():
		return
	}
	_, err = h.m.Append(h.ctx, tasktest.Event(h.t, d.Tenant, d.Task, events.Completed{Attempt: 1, Result: json.RawMessage(`{}`)}), seq)
	if err == nil || task.Stale(err) != nil {
		h.m.Ack(d)
	}
}

func (h *house) submit(tenant string, change ...func(*task.Submission)) task.Task {
	h.t.Helper()
	sub := task.Submission{Tenant: tenant, UserID: "u", Kind: "quiz", Input: json.RawMessage(`{}`)}
	for _, f := range change {
		f(&sub)
	}
	made, _, err := h.tasks.Submit(h.ctx, sub)
	if err != nil {
		h.t.Fatal(err)
	}
	return made
}

func (h *house) read(t task.Task) task.Task {
	h.t.Helper()
	now, err := h.tasks.Get(h.ctx, t.Tenant, t.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	return now
}

// pass lets time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// lineup is the queue of a Memory, in the order in which it was filled.
type lineup struct {
	*tasktest.Memory
	mu    sync.Mutex
	list  []events.Dispatch
	more  chan struct{} // closed and replaced when the list grows
	sends map[events.Dispatch]int
	slow  time.Duration // that a dispatch takes
}

func (q *lineup) Dispatch(ctx context.Context, d events.Dispatch, e events.Event) error {
	if q.slow > 0 {
		<-time.After(q.slow)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	_, there := q.Queued(d)
	if err := q.Memory.Dispatch(ctx, d, e); err != nil {
		return err
	}
	q.sends[d]++
	if !there {
		q.list = append(q.list, d)
		close(q.more)
		q.more = make(chan struct{})
	}
	return nil
}

// lose empties the queue.
func (q *lineup) lose() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.list {
		q.Ack(d)
	}
	q.list = nil
}

// next takes the first dispatch of the most urgent lane.
func (q *lineup) next(ctx context.Context, kinds []string) (events.Dispatch, events.Event, bool) {
	for {
		q.mu.Lock()
		for _, lane := range events.Lanes() {
			for i, d := range q.list {
				if d.Lane != lane || !contains(kinds, d.Kind) {
					continue
				}
				q.list = append(q.list[:i:i], q.list[i+1:]...)
				e, _ := q.Queued(d)
				q.mu.Unlock()
				return d, e, true
			}
		}
		more := q.more
		q.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return events.Dispatch{}, events.Event{}, false
		}
	}
}

func (q *lineup) waiting() []events.Dispatch {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]events.Dispatch(nil), q.list...)
}

func contains(all []string, s string) bool {
	for _, one := range all {
		if one == s {
			return true
		}
	}
	return false
}

func tenantName(i int) string { return fmt.Sprintf("school%d", i) }
