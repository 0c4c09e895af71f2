package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func newLog(broker *natstest.Broker) *nats.Log { return nats.NewLog(broker.JS, nats.LogConfig{}) }

// history appends a task with n events and returns them.
func history(t testing.TB, log task.Log, n int) []events.Event {
	t.Helper()
	h := []events.Event{tasktest.MustAppend(t, log, tasktest.QueuedEvent(t, "school"), 0)}
	for len(h) < n {
		h = append(h, appendStarted(t, log, h[len(h)-1], len(h)))
	}
	return h
}

func appendStarted(t testing.TB, log task.Log, last events.Event, attempt int) events.Event {
	t.Helper()
	return tasktest.MustAppend(t, log, tasktest.Event(t, "school", last.Task, events.Started{Attempt: attempt, Dispatch: 1, Worker: "w"}), last.Seq)
}

// endings lets writers that have seen the same event each end the task, and returns how many terminal events it has then.
func endings(t *testing.T, log *nats.Log, writers int) int {
	t.Helper()
	last := history(t, log, 2)[1]
	var group sync.WaitGroup
	for range writers {
		e := tasktest.Event(t, "school", last.Task, events.Completed{Attempt: 1, Result: json.RawMessage(`{}`)})
		group.Go(func() {
			if _, err := log.Append(t.Context(), e, last.Seq); err != nil && task.Stale(err) == nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	h, err := log.History(t.Context(), "school", last.Task, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range h {
		if e.Type.Terminal() {
			n++
		}
	}
	return n
}

func TestLog_FenceLetsATaskEndOnce(t *testing.T) {
	t.Parallel()
	if n := endings(t, newLog(natstest.Start(t)), 8); n != 1 {
		t.Errorf("the task ended %d times", n)
	}
}

// The expected sequence is what fences.
func TestLog_WithoutTheFenceATaskEndsManyTimes(t *testing.T) {
	t.Parallel()
	log := newLog(natstest.Start(t))
	nats.Unfence(log)
	if n := endings(t, log, 8); n != 8 {
		t.Errorf("8 unfenced writers ended the task %d times, want 8: something else fences", n)
	}
}

func TestLog_SaysWhenTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log, queue := newLog(broker), newQueue(t, broker)
	q := history(t, log, 1)[0]
	broker.Embedded.Shutdown()
	until(t, "the connection noticed", func() bool { return !broker.Conn.IsConnected() })
	_, appendErr := log.Append(t.Context(), tasktest.QueuedEvent(t, "school"), 0)
	_, lastErr := log.Last(t.Context(), "school", q.Task)
	_, historyErr := log.History(t.Context(), "school", q.Task, 0, 0)
	_, followErr := log.Follow(t.Context(), "school", q.Task, 0)
	_, latestErr := log.Latest(t.Context(), "school", q.Task)
	_, waitingErr := queue.Waiting(t.Context())
	for name, err := range map[string]error{
		"Append": appendErr, "Last": lastErr, "History": historyErr, "Follow": followErr, "Latest": latestErr, "Waiting": waitingErr,
		"Dispatch": queue.Dispatch(t.Context(), tasktest.EntryOf(t, q), q),
		"Report":   log.Report(t.Context(), tasktest.Event(t, "school", q.Task, events.Progress{Attempt: 1})),
	} {
		if !fault.Is(err, fault.Unavailable) || fault.RetryAfter(err) == 0 {
			t.Errorf("%s: got %v (%v), want Unavailable with a RetryAfter", name, err, fault.KindOf(err))
		}
	}
	if err := queue.Admit(t.Context()); err != nil {
		t.Errorf("Admit: got %v; an election must not refuse what Append can wait out", err)
	}
}

func TestLog_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	log := newLog(natstest.Start(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := log.Append(ctx, tasktest.QueuedEvent(t, "school"), 0)
	if !errors.Is(err, context.Canceled) || !fault.Is(err, fault.Canceled) {
		t.Errorf("got %v", err)
	}
	late, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	if _, err := log.Last(late, "school", "x"); !fault.Is(err, fault.Timeout) {
		t.Errorf("got %v", err)
	}
}

func TestLog_TakesNothingThatCannotBeRead(t *testing.T) {
	t.Parallel()
	log := newLog(natstest.Start(t))
	for name, spoil := range map[string]func(*events.Event){
		"no source":      func(e *events.Event) { e.Source = "" },
		"tenant":         func(e *events.Event) { e.Tenant = "a.b" },
		"task":           func(e *events.Event) { e.Task = "*" },
		"body no object": func(e *events.Event) { e.Data = json.RawMessage(`[1]`) },
		"no body":        func(e *events.Event) { e.Data = nil },
	} {
		e := tasktest.QueuedEvent(t, "school")
		spoil(&e)
		if _, err := log.Append(t.Context(), e, 0); !errors.Is(err, events.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

func TestLog_SaysThatSomebodyElseWroteGarbage(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := newLog(broker)
	q := history(t, log, 1)[0]
	if _, err := broker.JS.Publish(t.Context(), events.Subject("school", q.Task), []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	_, lastErr := log.Last(t.Context(), "school", q.Task)
	_, historyErr := log.History(t.Context(), "school", q.Task, 0, 0)
	_, appendErr := log.Append(t.Context(), tasktest.Event(t, "school", q.Task, events.Started{Attempt: 1, Dispatch: 1}), q.Seq)
	for name, err := range map[string]error{"Last": lastErr, "History": historyErr, "Append": appendErr} {
		if !errors.Is(err, events.ErrMalformed) || !fault.Is(err, fault.Internal) {
			t.Errorf("%s: got %v, want an Internal fault about a malformed event", name, err)
		}
	}
	ch := follow(t, log, q.Task, 0)
	if e := next(t, ch); e.Seq != q.Seq {
		t.Errorf("followed %d, want %d", e.Seq, q.Seq)
	}
	later := tasktest.MustAppend(t, log, tasktest.Event(t, "school", q.Task, events.Started{Attempt: 1, Dispatch: 1}), q.Seq+1)
	if e := next(t, ch); e.Seq != later.Seq {
		t.Errorf("followed %d, want %d behind the garbage", e.Seq, later.Seq)
	}
}

// replica answers direct reads in the place of a replica that lags: with the first few messages, or with nothing at all.
func replica(t *testing.T, broker *natstest.Broker, serve int) {
	t.Helper()
	stream, err := broker.JS.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.AllowDirect = false
	if _, err := broker.JS.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if serve < 0 {
		return
	}
	_, err = broker.Conn.Subscribe("$JS.API.DIRECT.GET."+events.StreamEvents, func(req *natsgo.Msg) {
		var get struct {
			Seq  uint64 `json:"seq"`
			Next string `json:"next_by_subj"`
		}
		if err := json.Unmarshal(req.Data, &get); err != nil {
			t.Error(err)
		}
		for range serve {
			raw, err := stream.GetMsg(context.Background(), get.Seq, jetstream.WithGetMsgSubject(get.Next))
			if err != nil {
				break
			}
			raw.Header.Set(natsgo.JSSequence, fmt.Sprint(raw.Sequence))
			_ = broker.Conn.PublishMsg(&natsgo.Msg{Subject: req.Reply, Header: raw.Header, Data: raw.Data})
			get.Seq = raw.Sequence + 1
		}
		if serve > 0 {
			_ = broker.Conn.PublishMsg(&natsgo.Msg{Subject: req.Reply, Header: natsgo.Header{"Status": {"204"}, "Nats-Num-Pending": {"0"}}})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLog_ReadsWhatAReplicaLacks(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]int{"LagsByThree": 4, "AnswersNothing": 0, "IsNotThere": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := natstest.Start(t)
			log := newLog(broker)
			want := history(t, log, 7)
			replica(t, broker, serve)
			got, err := log.History(t.Context(), "school", want[0].Task, 0, 0)
			if err != nil || len(got) != len(want) || got[6].Seq != want[6].Seq {
				t.Errorf("got %d events (%v), want %d", len(got), err, len(want))
			}
			limited, err := log.History(t.Context(), "school", want[0].Task, want[1].Seq, 4)
			if err != nil || len(limited) != 4 || limited[3].Seq != want[5].Seq {
				t.Errorf("limited: got %d events (%v), want 4", len(limited), err)
			}
		})
	}
}

func follow(t testing.TB, log task.Log, id string, after uint64) <-chan events.Event {
	t.Helper()
	ch, err := log.Follow(t.Context(), "school", id, after)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func next(t testing.TB, ch <-chan events.Event) events.Event {
	t.Helper()
	select {
	case e := <-ch:
		return e
	case <-time.After(patience):
		t.Fatal("no event")
	}
	return events.Event{}
}

func TestLog_FollowSparesTheOthersASlowReader(t *testing.T) {
	t.Parallel()
	log := newLog(natstest.Start(t))
	h := history(t, log, 1)
	slow, fast := follow(t, log, h[0].Task, 0), follow(t, log, h[0].Task, 0)
	next(t, fast)
	for i := range 500 { // more than wait for a reader
		h = append(h, appendStarted(t, log, h[len(h)-1], i+1))
		if e := next(t, fast); e.Seq != h[len(h)-1].Seq {
			t.Fatalf("the fast reader saw %d, want %d", e.Seq, h[len(h)-1].Seq)
		}
	}
	for _, want := range h {
		if e := next(t, slow); e.Seq != want.Seq {
			t.Fatalf("the slow reader saw %d, want %d", e.Seq, want.Seq)
		}
	}
}

func TestLog_FollowHealsAfterAReconnect(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	nc := connect(t, broker)
	h := history(t, newLog(broker), 1)
	ch := follow(t, nats.NewLog(mustJetStream(t, nc), nats.LogConfig{}), h[0].Task, 0)
	next(t, ch)
	for i := range 5 {
		if err := nc.ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		h = append(h, appendStarted(t, newLog(broker), h[len(h)-1], i+1))
		if e := next(t, ch); e.Seq != h[len(h)-1].Seq {
			t.Fatalf("saw %d, want %d", e.Seq, h[len(h)-1].Seq)
		}
	}
}

func TestLog_FollowHealsWithoutAHint(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := nats.NewLog(broker.JS, nats.LogConfig{Recheck: 20 * time.Millisecond})
	h := history(t, log, 1)
	ch := follow(t, log, h[0].Task, 0)
	next(t, ch)
	stream, err := broker.JS.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.RePublish = nil // every live message is lost
	if _, err := broker.JS.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	want := appendStarted(t, log, h[0], 1)
	if e := next(t, ch); e.Seq != want.Seq {
		t.Errorf("saw %d, want %d", e.Seq, want.Seq)
	}
}

func TestLog_FollowTakesTheLastOfRepeatedHeaders(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	e := tasktest.QueuedEvent(t, "school")
	ch := follow(t, newLog(broker), e.Task, 0)
	header := natsgo.Header{natsgo.JSSequence: {"900", "5"}, natsgo.JSLastSequence: {"899", "0"}}
	for key, value := range e.Header() {
		header[key] = []string{value}
	}
	if err := broker.Conn.PublishMsg(&natsgo.Msg{Subject: events.Live(events.Subject("school", e.Task)), Header: header, Data: e.Data}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, ch); got.Seq != 5 {
		t.Errorf("saw sequence %d, want 5", got.Seq)
	}
}

func TestLog_WatchProgressShowsAllTasks(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := newLog(broker)
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan events.Event, 1000)
	ended := make(chan error, 1)
	go func() { ended <- log.WatchProgress(ctx, func(e events.Event) { seen <- e }) }()
	p := tasktest.Event(t, "school", "some-task", events.Progress{Attempt: 1, Percent: 10})
	until(t, "a report arrives", func() bool {
		if err := log.Report(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		return len(seen) > 0
	})
	if e := next(t, seen); e.ID != p.ID || e.Seq != 0 {
		t.Errorf("saw %+v, want %+v", e, p)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
