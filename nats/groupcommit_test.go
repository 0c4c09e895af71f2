package nats_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// startSynced runs a broker that writes each message through to disk.
func startSynced(t testing.TB) *natstest.Broker {
	t.Helper()
	return natstest.StartWith(t, nats.EmbeddedConfig{Port: -1, MonitorPort: -1, SyncAlways: true}, nats.Topology{Kinds: natstest.Kinds()})
}

func newGrouped(broker *natstest.Broker) *nats.Log {
	return nats.NewLog(broker.JS, nats.LogConfig{GroupCommit: true})
}

func newGroupedQueue(t testing.TB, broker *natstest.Broker) *nats.Queue {
	t.Helper()
	queue, err := nats.NewQueue(broker.JS, nats.QueueConfig{GroupCommit: true})
	if err != nil {
		t.Fatal(err)
	}
	return queue
}

func TestGroupCommit_KeepsTheContracts(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *natstest.Broker{
		"Synced":   func(t *testing.T) *natstest.Broker { return startSynced(t) },
		"InMemory": func(t *testing.T) *natstest.Broker { return natstest.Start(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tasktest.RunLog(t, func(t *testing.T) task.Log { return newGrouped(start(t)) })
			tasktest.RunQueue(t, func(t *testing.T) (task.Log, task.Queue) {
				broker := start(t)
				return newGrouped(broker), newGroupedQueue(t, broker)
			})
		})
	}
}

// outcome is what came of one append.
type outcome struct {
	event events.Event
	after uint64
	err   error
}

// together appends all of them in one turn of the log.
func together(t *testing.T, log *nats.Log, appends []outcome) {
	t.Helper()
	gathered, release := nats.Hold(log)
	var group sync.WaitGroup
	for i := range appends {
		group.Go(func() {
			a := &appends[i]
			a.event.Seq, a.err = log.Append(t.Context(), a.event, a.after)
		})
	}
	until(t, "all appends have gathered", func() bool { return gathered() == len(appends) })
	release()
	group.Wait()
}

// newTasks returns the first events of n tasks.
func newTasks(t *testing.T, n int) []outcome {
	t.Helper()
	appends := make([]outcome, n)
	for i := range appends {
		appends[i].event = tasktest.QueuedEvent(t, "school")
	}
	return appends
}

// onLog returns what the broker has at a sequence. The read may be answered by a follower, which hears of it a moment later.
func onLog(t *testing.T, broker *natstest.Broker, seq uint64) *jetstream.RawStreamMsg {
	t.Helper()
	stream, err := broker.JS.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	var msg *jetstream.RawStreamMsg
	until(t, fmt.Sprintf("%d can be read back", seq), func() bool {
		msg, err = stream.GetMsg(t.Context(), seq)
		return err == nil
	})
	return msg
}

// checkStored reads each event back at the sequence that its append returned.
func checkStored(t *testing.T, broker *natstest.Broker, appends []outcome) {
	t.Helper()
	for _, a := range appends {
		if a.err != nil {
			t.Fatalf("append to task %s: %v", a.event.Task, a.err)
		}
		msg := onLog(t, broker, a.event.Seq)
		if id := msg.Header.Get(events.HeaderID); id != a.event.ID || msg.Subject != events.Subject("school", a.event.Task) {
			t.Fatalf("at %d there is event %s on %s, not %s of task %s", a.event.Seq, id, msg.Subject, a.event.ID, a.event.Task)
		}
	}
}

// batches returns how many of the events share each batch; "" has those that went by themselves.
func batches(t *testing.T, broker *natstest.Broker, appends []outcome) map[string]int {
	t.Helper()
	sizes := map[string]int{}
	for _, a := range appends {
		if a.err == nil {
			sizes[onLog(t, broker, a.event.Seq).Header.Get("Nats-Batch-Id")]++
		}
	}
	return sizes
}

func TestGroupCommit_AppendsThatComeTogetherShareABatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ appends, alone, batches int }{
		{1, 1, 0}, {7, 7, 0}, // few are faster by themselves
		{8, 0, 1}, {100, 0, 1}, {1000, 0, 1}, {1100, 0, 2},
	} {
		t.Run(fmt.Sprint(c.appends), func(t *testing.T) {
			t.Parallel()
			broker := startSynced(t)
			appends := newTasks(t, c.appends)
			together(t, newGrouped(broker), appends)
			checkStored(t, broker, appends)
			sizes := batches(t, broker, appends)
			alone := sizes[""]
			delete(sizes, "")
			if alone != c.alone || len(sizes) != c.batches {
				t.Errorf("%d went by themselves and %d batches were made, want %d and %d", alone, len(sizes), c.alone, c.batches)
			}
		})
	}
}

func TestGroupCommit_LimitsTheBytesOfABatch(t *testing.T) {
	t.Parallel()
	const n, size = 24, 500_000
	broker := startSynced(t)
	appends := newTasks(t, n)
	for i := range appends {
		appends[i].event.Data = fmt.Appendf(nil, `{"kind":"quiz","dispatch":1,"input":%q}`, strings.Repeat("x", size))
	}
	together(t, newGrouped(broker), appends)
	checkStored(t, broker, appends)
	sizes := batches(t, broker, appends)
	delete(sizes, "")
	if len(sizes) != 3 {
		t.Errorf("batches of %v", sizes)
	}
	for id, members := range sizes {
		if members*size > 4<<20 {
			t.Errorf("batch %s has more than %d bytes", id, members*size)
		}
	}
}

// withAStaleOne returns appends to n tasks, the last of which somebody else has moved on.
func withAStaleOne(t *testing.T, log task.Log, n int) []outcome {
	t.Helper()
	appends := newTasks(t, n)
	h := history(t, log, 2)
	appends[n-1] = outcome{event: tasktest.Event(t, "school", h[0].Task, events.Cancelled{By: "u"}), after: h[0].Seq}
	return appends
}

func TestGroupCommit_AStaleAppendCostsItsNeighboursNothing(t *testing.T) {
	t.Parallel()
	const n = 64
	for name, spoil := range map[string]func(*testing.T, task.Log, []outcome){
		"OneIsLate": func(*testing.T, task.Log, []outcome) {},
		"ManyAreLate": func(t *testing.T, log task.Log, appends []outcome) {
			for i := range 10 {
				appends[5*i] = withAStaleOne(t, log, 1)[0]
			}
		},
		"OneFollowsNothing": func(t *testing.T, _ task.Log, appends []outcome) { appends[7].after = 99 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := startSynced(t)
			log := newGrouped(broker)
			appends := withAStaleOne(t, log, n)
			spoil(t, log, appends)
			together(t, log, appends)
			for _, a := range appends {
				switch stale := task.Stale(a.err); {
				case a.after == 0:
					checkStored(t, broker, []outcome{a})
				case stale == nil || (a.after != 99 && stale.Last.Type != events.TypeStarted):
					t.Errorf("the late append: got %d, %v; want a StaleError", a.event.Seq, a.err)
				}
			}
			if sizes := batches(t, broker, appends); name == "OneIsLate" && (sizes[""] != 0 || len(sizes) != 1) {
				t.Errorf("the neighbours did not share a batch after all: %v", sizes)
			}
		})
	}
}

// The fallback is what spares the neighbours: the broker refuses the whole batch.
func TestGroupCommit_WithoutTheFallbackAStaleAppendRefusesItsNeighbours(t *testing.T) {
	t.Parallel()
	const n = 64
	broker := startSynced(t)
	log := newGrouped(broker)
	appends := withAStaleOne(t, log, n)
	nats.Frail(log)
	together(t, log, appends)
	refused := 0
	for _, a := range appends {
		if a.err != nil {
			refused++
		}
		if _, err := log.Last(t.Context(), "school", a.event.Task); a.after == 0 && !fault.Is(err, fault.NotFound) {
			t.Errorf("task %s is on the log although its batch was refused (%v)", a.event.Task, err)
		}
	}
	if refused != n {
		t.Errorf("%d of %d appends were refused, want all: something else spares the neighbours", refused, n)
	}
}

func TestGroupCommit_OneOfManyWritersOfATaskWins(t *testing.T) {
	t.Parallel()
	broker := startSynced(t)
	log := newGrouped(broker)
	h := history(t, log, 1)
	appends := newTasks(t, 40)
	for i := range 20 {
		appends[2*i] = outcome{event: tasktest.Event(t, "school", h[0].Task, events.Started{Attempt: i + 1, Dispatch: 1, Worker: "w"}), after: h[0].Seq}
	}
	together(t, log, appends)
	won := 0
	for _, a := range appends {
		switch {
		case a.err == nil:
			checkStored(t, broker, []outcome{a})
			if a.after != 0 {
				won++
			}
		case a.after == 0 || task.Stale(a.err) == nil:
			t.Errorf("task %s: %v", a.event.Task, a.err)
		}
	}
	if won != 1 {
		t.Errorf("%d writers followed the same event", won)
	}
}

func TestGroupCommit_ReadersSeeABatchInOrder(t *testing.T) {
	t.Parallel()
	const n = 200
	broker := startSynced(t)
	log := newGrouped(broker)
	live := make(chan *natsgo.Msg, 10*n)
	sub, err := broker.Conn.ChanSubscribe(events.Live(">"), live)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	recorded := startReader(t, broker, connect(t, broker), nats.FeedConfig{}, nil)
	first := newTasks(t, n)
	followed := follow(t, log, first[n/2].event.Task, 0)
	together(t, log, first)
	checkStored(t, broker, first)
	second := make([]outcome, n)
	for i, a := range first {
		second[i] = outcome{event: tasktest.Event(t, "school", a.event.Task, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}), after: a.event.Seq}
	}
	together(t, log, second)
	checkStored(t, broker, second)
	for _, want := range []outcome{first[n/2], second[n/2]} {
		if e := next(t, followed); e.Seq != want.event.Seq || e.ID != want.event.ID {
			t.Errorf("followed %s at %d, want %s at %d", e.ID, e.Seq, want.event.ID, want.event.Seq)
		}
	}
	ids := map[uint64]string{}
	for _, a := range slices.Concat(first, second) {
		ids[a.event.Seq] = a.event.ID
	}
	for i := range 2 * n {
		msg := <-live
		seq := uint64(i + 1)
		if got := msg.Header.Get(natsgo.JSSequence); got != fmt.Sprint(seq) || msg.Header.Get(events.HeaderID) != ids[seq] {
			t.Fatalf("message %d of live is event %s at %s, want %s at %d", i, msg.Header.Get(events.HeaderID), got, ids[seq], seq)
		}
	}
	recorded.waitDistinct(t, 2*n)
	if got := recorded.got(); !slices.IsSorted(got) {
		t.Errorf("the feed is out of order: %v", got)
	}
}

func TestGroupCommit_WhoGivesUpWhileGatheringLeavesNothing(t *testing.T) {
	t.Parallel()
	broker := startSynced(t)
	log := newGrouped(broker)
	gathered, release := nats.Hold(log)
	ctx, cancel := context.WithCancel(t.Context())
	gone := tasktest.QueuedEvent(t, "school")
	ended := make(chan error, 1)
	go func() { _, err := log.Append(ctx, gone, 0); ended <- err }()
	until(t, "one append has gathered", func() bool { return gathered() == 1 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	stay := newTasks(t, 20)
	var group sync.WaitGroup
	for i := range stay {
		group.Go(func() { stay[i].event.Seq, stay[i].err = log.Append(t.Context(), stay[i].event, 0) })
	}
	until(t, "the others have gathered", func() bool { return gathered() == len(stay) })
	release()
	group.Wait()
	checkStored(t, broker, stay)
	if _, err := log.Last(t.Context(), "school", gone.Task); !fault.Is(err, fault.NotFound) {
		t.Errorf("the task of who gave up: %v", err)
	}
}

func TestGroupCommit_SaysWhenTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	broker := startSynced(t)
	log := newGrouped(broker)
	gathered, release := nats.Hold(log)
	errs := make(chan error, 20)
	for range cap(errs) {
		e := tasktest.QueuedEvent(t, "school")
		go func() { _, err := log.Append(t.Context(), e, 0); errs <- err }()
	}
	until(t, "all appends have gathered", func() bool { return gathered() == cap(errs) })
	broker.Embedded.Shutdown()
	until(t, "the connection noticed", func() bool { return !broker.Conn.IsConnected() })
	release()
	for range cap(errs) {
		if err := <-errs; !fault.Is(err, fault.Unavailable) || fault.RetryAfter(err) == 0 {
			t.Errorf("got %v (%v), want Unavailable with a RetryAfter", err, fault.KindOf(err))
		}
	}
}

// A stream that was provisioned before there were batches takes them one by one.
func TestGroupCommit_TurnsItselfOffWhereTheStreamTakesNoBatches(t *testing.T) {
	t.Parallel()
	broker := startSynced(t)
	stream, err := broker.JS.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.AllowAtomicPublish = false
	if _, err := broker.JS.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	var said logBook
	log := nats.NewLog(broker.JS, nats.LogConfig{GroupCommit: true, Logger: said.logger()})
	appends := newTasks(t, 50)
	together(t, log, appends)
	checkStored(t, broker, appends)
	const message = "the stream takes no atomic batches: events are written one by one; toolboxai migrate changes that"
	if said.count(message) != 1 {
		t.Errorf("said %v", said.said)
	}
	gathered, release := nats.Hold(log)
	defer release()
	again := tasktest.MustAppend(t, log, tasktest.QueuedEvent(t, "school"), 0)
	if gathered() != 0 || again.Seq == 0 {
		t.Error("an append gathered although group commit is off")
	}
}

// A broker that does not know batches stores their messages as they come, and acknowledges the one that commits.
func TestGroupCommit_TurnsItselfOffWhereTheBrokerKnowsNoBatches(t *testing.T) {
	t.Parallel()
	log, appends := leader(t, events.Event{Seq: 41}, 0)
	log.GroupCommit(true)
	tasks := newTasks(t, 20)
	together(t, log, tasks)
	for _, a := range tasks {
		if a.err != nil || a.event.Seq != 42 {
			t.Errorf("got %d, %v; want what the broker acknowledged for this event by itself", a.event.Seq, a.err)
		}
	}
	if n := appends.Load(); n != 40 {
		t.Errorf("the broker got %d messages, want each in the batch and by itself", n)
	}
	gathered, release := nats.Hold(log)
	defer release()
	tasktest.MustAppend(t, log, tasktest.QueuedEvent(t, "school"), 0)
	if gathered() != 0 {
		t.Error("an append gathered although group commit is off")
	}
}

func TestGroupCommit_DispatchesShareABatch(t *testing.T) {
	t.Parallel()
	const n = 100
	broker := startSynced(t)
	log, queue := newGrouped(broker), newGroupedQueue(t, broker)
	tasks := newTasks(t, n)
	together(t, log, tasks)
	twice := func(tasks []outcome) {
		t.Helper()
		gathered, release := nats.HoldQueue(queue)
		var group sync.WaitGroup
		for _, a := range tasks {
			group.Go(func() {
				if err := queue.Dispatch(t.Context(), tasktest.EntryOf(t, a.event), a.event); err != nil {
					t.Error(err)
				}
			})
		}
		until(t, "all dispatches have gathered", func() bool { return gathered() == len(tasks) })
		release()
		group.Wait()
	}
	twice(tasks[:n/2])
	twice(tasks) // half of them wait already: the batch is refused, and nobody notices
	waiting, err := queue.Waiting(t.Context())
	if err != nil || len(waiting) != n {
		t.Errorf("%d dispatches wait (%v), want %d", len(waiting), err, n)
	}
}
