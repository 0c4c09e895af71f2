package notify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/notify"
)

// world is a log in memory with everything that a Notifier reads and a sender that remembers.
type world struct {
	mu       sync.Mutex
	log      []events.Event
	acked    int // events that were handled
	batch    int // events in a batch
	moved    chan struct{}
	feedErr  error
	ackEarly bool // acknowledge a batch before it is handled, as a feed must not

	report func(events.Event) // the progress subscription, nil while there is none
	broken chan error         // ends the progress subscription

	lookups   int
	lookupErr func(call int) error
	afterLast func() // called when Last has read the log and not returned yet

	calls    int
	behave   func(call int, msgs []notify.Message) reaction
	sent     map[string][]notify.Message
	times    map[string][]time.Time
	problems []string
}

// reaction is what the sender does with one request.
type reaction struct {
	delay  time.Duration
	err    error
	accept bool // the messages are passed on although err is returned
}

func newWorld() *world {
	return &world{
		batch: 16, moved: make(chan struct{}), broken: make(chan error),
		sent: make(map[string][]notify.Message), times: make(map[string][]time.Time),
	}
}

func (w *world) config() notify.Config {
	return notify.Config{Feed: w, Progress: w, Lookup: w, Sender: w}
}

// append adds an event to the log, with the sequence and the time now.
func (w *world) append(t *testing.T, tenant, task string, p events.Payload) events.Event {
	t.Helper()
	e := event(t, tenant, task, p)
	w.mu.Lock()
	defer w.mu.Unlock()
	e.Seq = uint64(len(w.log) + 1)
	e.Time = e.Time.Add(time.Duration(e.Seq)) // all differ, also under a clock that stands still
	w.log = append(w.log, e)
	close(w.moved)
	w.moved = make(chan struct{})
	return e
}

func event(t *testing.T, tenant, task string, p events.Payload) events.Event {
	t.Helper()
	e, err := events.New(tenant, task, "/test", p)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (w *world) Consume(ctx context.Context, handle func(context.Context, []events.Event) error) error {
	for {
		w.mu.Lock()
		batch := slices.Clone(w.log[w.acked:min(w.acked+w.batch, len(w.log))])
		moved, err := w.moved, w.feedErr
		if w.ackEarly {
			w.acked += len(batch)
		}
		w.mu.Unlock()
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			select {
			case <-moved:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := handle(ctx, batch); ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil {
			continue
		}
		w.mu.Lock()
		if !w.ackEarly {
			w.acked += len(batch)
		}
		w.mu.Unlock()
	}
}

func (w *world) Progress(ctx context.Context, report func(events.Event)) error {
	w.mu.Lock()
	w.report = report
	w.mu.Unlock()
	select {
	case err := <-w.broken:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tell reports progress on the subscription. There must be one.
func (w *world) tell(t *testing.T, tenant, task string, percent float64) {
	t.Helper()
	w.mu.Lock()
	report := w.report
	w.mu.Unlock()
	report(event(t, tenant, task, events.Progress{Attempt: 1, Percent: percent}))
}

// breakProgress ends the progress subscription with an error.
func (w *world) breakProgress(err error) {
	w.mu.Lock()
	w.report = nil
	w.mu.Unlock()
	w.broken <- err
}

func (w *world) History(_ context.Context, tenant, task string, after uint64, limit int) ([]events.Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookups++
	if w.lookupErr != nil {
		if err := w.lookupErr(w.lookups); err != nil {
			return nil, err
		}
	}
	var found []events.Event
	for _, e := range w.log {
		if e.Tenant == tenant && e.Task == task && e.Seq > after && (limit == 0 || len(found) < limit) {
			found = append(found, e)
		}
	}
	if found == nil {
		return nil, fault.New(fault.NotFound, "no task %s", task)
	}
	return found, nil
}

func (w *world) Last(ctx context.Context, tenant, task string) (events.Event, error) {
	found, err := w.History(ctx, tenant, task, 0, 0)
	if w.afterLast != nil {
		w.afterLast()
	}
	if err != nil {
		return events.Event{}, err
	}
	return found[len(found)-1], nil
}

func (w *world) Send(ctx context.Context, msgs []notify.Message) error {
	w.mu.Lock()
	w.calls++
	if len(msgs) == 0 || len(msgs) > notify.MaxBatch {
		w.problems = append(w.problems, fmt.Sprintf("a request holds %d messages", len(msgs)))
	}
	var r reaction
	if w.behave != nil {
		r = w.behave(w.calls, msgs)
	}
	w.mu.Unlock()
	if r.delay > 0 {
		timer := time.NewTimer(r.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if r.err == nil || r.accept {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, m := range msgs {
			w.sent[m.Channel] = append(w.sent[m.Channel], m)
			w.times[m.Channel] = append(w.times[m.Channel], time.Now())
		}
	}
	return r.err
}

// react replaces what the sender does.
func (w *world) react(behave func(call int, msgs []notify.Message) reaction) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behave = behave
}

// on returns what was sent on a channel.
func (w *world) on(channel string) []notify.Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent[channel])
}

func (w *world) handled() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked
}

func (w *world) requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls
}

// start runs a Notifier until the returned stop is called, which reports what Run returned.
func start(t *testing.T, n *notify.Notifier) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func newNotifier(t *testing.T, cfg notify.Config) *notify.Notifier {
	t.Helper()
	n, err := notify.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// payload decodes a message's data.
func payload(t *testing.T, m notify.Message) (p struct {
	TaskID   string          `json:"task_id"`
	Kind     string          `json:"kind"`
	State    string          `json:"state"`
	Seq      uint64          `json:"seq"`
	Progress *float64        `json:"progress"`
	Message  string          `json:"message"`
	Data     json.RawMessage `json:"data"`
	DataRef  string          `json:"data_ref"`
}) {
	t.Helper()
	if err := json.Unmarshal(m.Data, &p); err != nil {
		t.Fatalf("the data of %s on %s is no JSON: %v", m.Event, m.Channel, err)
	}
	return p
}

// life appends a whole task to the log and returns its events.
func (w *world) life(t *testing.T, tenant, task, user string, end events.Payload) {
	t.Helper()
	w.append(t, tenant, task, queued(user, 1))
	w.append(t, tenant, task, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	w.append(t, tenant, task, events.Step{Attempt: 1, Name: "outline", Output: json.RawMessage(`{"secret":1}`)})
	if end != nil {
		w.append(t, tenant, task, end)
	}
}

func queued(user string, dispatch int) events.Queued {
	return events.Queued{Kind: "quiz", Input: json.RawMessage(`{}`), Priority: events.Normal, Dispatch: dispatch, UserID: user}
}

func completed() events.Payload {
	return events.Completed{Attempt: 1, Result: json.RawMessage(`{"title":"Volcanoes"}`)}
}
