// Package tasktest has the parts that package task needs, in memory, and the conformance suites that both these and the
// real ones (package nats) pass. What unit tests learn on Memory therefore holds on the broker.
package tasktest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Memory is a task.Log, task.Queue, task.ProgressBoard and task.Archive in memory. It is safe for concurrent use.
type Memory struct {
	mu        sync.Mutex
	seq       uint64
	histories map[key][]events.Event
	order     []key // tasks in order of their first event
	all       []events.Event
	queue     map[events.Dispatch]events.Event
	latest    map[key]events.Event
	texts     map[key][]events.Event
	changed   chan struct{} // closed and replaced at each append and piece of text
	readers   map[chan events.Event]key
	full      bool
	down      bool
	unfenced  bool
}

type key struct{ tenant, id string }

var (
	_ task.Log           = (*Memory)(nil)
	_ task.Queue         = (*Memory)(nil)
	_ task.ProgressBoard = (*Memory)(nil)
)

// NewMemory returns an empty one.
func NewMemory() *Memory {
	return &Memory{
		histories: map[key][]events.Event{}, queue: map[events.Dispatch]events.Event{}, latest: map[key]events.Event{}, texts: map[key][]events.Event{},
		changed: make(chan struct{}), readers: map[chan events.Event]key{},
	}
}

// SetFull makes the queue refuse new dispatches, as a full stream does.
func (m *Memory) SetFull(full bool) { m.set(func() { m.full = full }) }

// SetDown makes every call fail as it does while the broker is away.
func (m *Memory) SetDown(down bool) { m.set(func() { m.down = down }) }

// Unfence makes Append ignore what it is to follow. It serves negative controls: what the fence guards must break.
func (m *Memory) Unfence() { m.set(func() { m.unfenced = true }) }

// Forget drops the first n events of a task, as a log does with what is too old.
func (m *Memory) Forget(tenant, id string, n int) {
	k := key{tenant, id}
	m.set(func() { m.histories[k] = m.histories[k][n:] })
}

func (m *Memory) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *Memory) away() error {
	if m.down {
		return fault.After(time.Second, "the broker is away")
	}
	return nil
}

// Append implements task.Log.
func (m *Memory) Append(ctx context.Context, e events.Event, after uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(e.Data) > events.MaxData {
		return 0, fault.New(fault.TooLarge, "the event has %d bytes, at most %d are allowed", len(e.Data), events.MaxData)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.away(); err != nil {
		return 0, err
	}
	k := key{e.Tenant, e.Task}
	var last events.Event
	if h := m.histories[k]; len(h) > 0 {
		last = h[len(h)-1]
	}
	if last.Seq != after && !m.unfenced {
		if last.ID == e.ID {
			return last.Seq, nil
		}
		return 0, &task.StaleError{Last: last}
	}
	if last.ID == "" {
		m.order = append(m.order, k)
	}
	m.seq++
	e.Seq = m.seq
	m.histories[k] = append(m.histories[k], e)
	m.all = append(m.all, e)
	close(m.changed)
	m.changed = make(chan struct{})
	return e.Seq, nil
}

// Last implements task.Log.
func (m *Memory) Last(_ context.Context, tenant, id string) (events.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.away(); err != nil {
		return events.Event{}, err
	}
	h := m.histories[key{tenant, id}]
	if len(h) == 0 {
		return events.Event{}, fault.New(fault.NotFound, "task %s has no history", id)
	}
	return h[len(h)-1], nil
}

// History implements task.Log and task.Archive.
func (m *Memory) History(_ context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.away(); err != nil {
		return nil, err
	}
	h := m.histories[key{tenant, id}]
	if len(h) == 0 {
		return nil, fault.New(fault.NotFound, "task %s has no history", id)
	}
	from := slices.IndexFunc(h, func(e events.Event) bool { return e.Seq > after })
	if from < 0 {
		return nil, nil
	}
	h = slices.Clone(h[from:])
	if limit > 0 && len(h) > limit {
		h = h[:limit]
	}
	return h, nil
}

// Follow implements task.Log.
func (m *Memory) Follow(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, error) {
	out := make(chan events.Event)
	reports := make(chan events.Event, 16)
	k := key{tenant, id}
	m.set(func() { m.readers[reports] = k })
	go func() {
		defer close(out)
		defer m.set(func() { delete(m.readers, reports) })
		for {
			fresh, changed := m.since(k, after)
			for _, e := range fresh {
				if !send(ctx, out, e) {
					return
				}
				after = e.Seq
			}
			select {
			case <-changed:
			case e := <-reports:
				if !send(ctx, out, e) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

func (m *Memory) since(k key, after uint64) ([]events.Event, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var fresh []events.Event
	for _, e := range m.histories[k] {
		if e.Seq > after {
			fresh = append(fresh, e)
		}
	}
	return fresh, m.changed
}

func send(ctx context.Context, out chan<- events.Event, e events.Event) bool {
	select {
	case out <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// Admit implements task.Queue.
func (m *Memory) Admit(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		return fault.After(5*time.Second, "the queue is full")
	}
	return m.away()
}

// Dispatch implements task.Queue.
func (m *Memory) Dispatch(_ context.Context, d events.Dispatch, e events.Event) error {
	if e.Type != events.TypeQueued || e.Task != d.Task || e.Tenant != d.Tenant {
		return fmt.Errorf("%w: %s of task %s does not ask for dispatch %s", events.ErrMalformed, e.Type, e.Task, d.Subject())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.away(); err != nil {
		return err
	}
	if _, waits := m.queue[d]; waits {
		return nil
	}
	if m.full {
		return fault.After(5*time.Second, "the queue is full")
	}
	m.queue[d] = e
	return nil
}

// Waiting implements task.Queue.
func (m *Memory) Waiting(context.Context) ([]events.Dispatch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]events.Dispatch, 0, len(m.queue))
	for d := range m.queue {
		out = append(out, d)
	}
	return out, m.away()
}

// Has implements task.Queue.
func (m *Memory) Has(_ context.Context, d events.Dispatch) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.away(); err != nil {
		return false, err
	}
	_, waits := m.queue[d]
	return waits, nil
}

// Queued returns the event of a dispatch that waits, and whether it does.
func (m *Memory) Queued(d events.Dispatch) (events.Event, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.queue[d]
	return e, ok
}

// Ack takes a dispatch from the queue, as a worker's ack does.
func (m *Memory) Ack(d events.Dispatch) { m.set(func() { delete(m.queue, d) }) }

// Report implements task.ProgressBoard.
func (m *Memory) Report(_ context.Context, e events.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.away(); err != nil {
		return err
	}
	k := key{e.Tenant, e.Task}
	if e.Type == events.TypeText {
		m.texts[k] = append(m.texts[k], e)
		close(m.changed)
		m.changed = make(chan struct{})
		return nil
	}
	m.latest[k] = e
	for reports, of := range m.readers {
		if of == k {
			select {
			case reports <- e:
			default:
			}
		}
	}
	return nil
}

// Latest implements task.ProgressBoard.
func (m *Memory) Latest(_ context.Context, tenant, id string) (events.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.latest[key{tenant, id}]
	if !ok {
		return events.Event{}, fault.New(fault.NotFound, "task %s has no progress", id)
	}
	return e, nil
}

// Text implements task.ProgressBoard.
func (m *Memory) Text(ctx context.Context, tenant, id string) (<-chan events.Event, error) {
	out := make(chan events.Event)
	go func() {
		defer close(out)
		var cursor events.TextCursor
		for n := 0; ; {
			m.mu.Lock()
			fresh, changed := m.texts[key{tenant, id}][n:], m.changed
			m.mu.Unlock()
			for _, e := range fresh {
				if e, ok := unseen(&cursor, e); ok && !send(ctx, out, e) {
					return
				}
			}
			n += len(fresh)
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// unseen reduces a task.text event to what is new behind the cursor.
func unseen(cursor *events.TextCursor, e events.Event) (events.Event, bool) {
	p, err := events.DataAs[events.Text](e)
	if err != nil {
		return e, false
	}
	p, ok := cursor.Next(p)
	if !ok {
		return e, false
	}
	e.Data, err = events.Marshal(p)
	return e, err == nil
}
