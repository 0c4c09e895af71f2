package tasktest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// patience bounds every wait of the suites; nothing is timed.
const patience = 10 * time.Second

// QueuedEvent returns a task.queued event of a new task of kind quiz.
func QueuedEvent(t testing.TB, tenant string) events.Event {
	t.Helper()
	return Event(t, tenant, uuid.NewString(), events.Queued{
		Kind: "quiz", Input: json.RawMessage(`{"subject":"History"}`), Priority: events.Normal, Dispatch: 1, UserID: "u1",
	})
}

// Event returns an event about a task.
func Event(t testing.TB, tenant, id string, p events.Payload) events.Event {
	t.Helper()
	e, err := events.New(tenant, id, "/test", p)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// EntryOf returns the queue entry that a task.queued event asks for.
func EntryOf(t testing.TB, e events.Event) events.Dispatch {
	t.Helper()
	q, err := events.DataAs[events.Queued](e)
	if err != nil {
		t.Fatal(err)
	}
	return events.Dispatch{Kind: q.Kind, Lane: q.Priority, Tenant: e.Tenant, Task: e.Task, N: q.Dispatch}
}

// MustAppend appends and returns e with its sequence.
func MustAppend(t testing.TB, log task.Log, e events.Event, after uint64) events.Event {
	t.Helper()
	seq, err := log.Append(t.Context(), e, after)
	if err != nil {
		t.Fatalf("append %s after %d: %v", e.Type, after, err)
	}
	e.Seq = seq
	return e
}

// RunLog holds a task.Log against its contract. make returns an empty one, or one that holds other tasks.
func RunLog(t *testing.T, make func(t *testing.T) task.Log) {
	started := events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"}
	t.Run("AppendsInOrderAndReadsItsWrites", func(t *testing.T) {
		log := make(t)
		q := QueuedEvent(t, "school")
		q.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		q = MustAppend(t, log, q, 0)
		s := MustAppend(t, log, Event(t, "school", q.Task, started), q.Seq)
		if s.Seq <= q.Seq {
			t.Fatalf("sequence %d does not follow %d", s.Seq, q.Seq)
		}
		last, err := log.Last(t.Context(), "school", q.Task)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, last); diff != "" {
			t.Errorf("Last (-want +got):\n%s", diff)
		}
		for _, c := range []struct {
			after uint64
			limit int
			want  []events.Event
		}{{0, 0, []events.Event{q, s}}, {0, 1, []events.Event{q}}, {q.Seq, 0, []events.Event{s}}, {q.Seq - 1, 1, []events.Event{q}}, {s.Seq, 0, nil}} {
			got, err := log.History(t.Context(), "school", q.Task, c.after, c.limit)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("History after %d, limit %d (-want +got):\n%s", c.after, c.limit, diff)
			}
		}
	})
	t.Run("RefusesWhoeverIsLate", func(t *testing.T) {
		log := make(t)
		q := MustAppend(t, log, QueuedEvent(t, "school"), 0)
		s := MustAppend(t, log, Event(t, "school", q.Task, started), q.Seq)
		for _, after := range []uint64{0, q.Seq, s.Seq + 1000} {
			_, err := log.Append(t.Context(), Event(t, "school", q.Task, started), after)
			stale := task.Stale(err)
			if stale == nil {
				t.Fatalf("append after %d: got %v, want a StaleError", after, err)
			}
			if diff := cmp.Diff(s, stale.Last); diff != "" {
				t.Errorf("StaleError.Last (-want +got):\n%s", diff)
			}
		}
	})
	t.Run("RefusesToFollowNothing", func(t *testing.T) {
		log := make(t)
		_, err := log.Append(t.Context(), QueuedEvent(t, "school"), 7)
		if stale := task.Stale(err); stale == nil || stale.Last.ID != "" {
			t.Fatalf("got %v, want a StaleError about an empty history", err)
		}
	})
	t.Run("RepeatedAppendIsOne", func(t *testing.T) {
		log := make(t)
		q := MustAppend(t, log, QueuedEvent(t, "school"), 0)
		if again := MustAppend(t, log, q, 0); again.Seq != q.Seq {
			t.Errorf("the repeated append is at %d, the first at %d", again.Seq, q.Seq)
		}
		h, err := log.History(t.Context(), "school", q.Task, 0, 0)
		if err != nil || len(h) != 1 {
			t.Errorf("history has %d events (%v), want 1", len(h), err)
		}
	})
	t.Run("LetsOneOfManyWin", func(t *testing.T) {
		log := make(t)
		q := MustAppend(t, log, QueuedEvent(t, "school"), 0)
		var won, stale int
		var mu sync.Mutex
		var group sync.WaitGroup
		for range 20 {
			e := Event(t, "school", q.Task, started)
			group.Go(func() {
				_, err := log.Append(t.Context(), e, q.Seq)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if task.Stale(err) != nil {
					stale++
				}
			})
		}
		group.Wait()
		if won != 1 || stale != 19 {
			t.Errorf("%d won and %d were late, want 1 and 19", won, stale)
		}
	})
	t.Run("KeepsTenantsApart", func(t *testing.T) {
		log := make(t)
		q := MustAppend(t, log, QueuedEvent(t, "school"), 0)
		if _, err := log.Last(t.Context(), "other", q.Task); !fault.Is(err, fault.NotFound) {
			t.Errorf("Last: got %v, want NotFound", err)
		}
		if _, err := log.History(t.Context(), "other", q.Task, 0, 0); !fault.Is(err, fault.NotFound) {
			t.Errorf("History: got %v, want NotFound", err)
		}
	})
	t.Run("RefusesWhatIsTooLarge", func(t *testing.T) {
		log := make(t)
		e := QueuedEvent(t, "school")
		e.Data = json.RawMessage(`{"input":"` + strings.Repeat("x", events.MaxData) + `"}`)
		if _, err := log.Append(t.Context(), e, 0); !fault.Is(err, fault.TooLarge) {
			t.Errorf("got %v, want TooLarge", err)
		}
	})
	t.Run("KeepsLongHistories", func(t *testing.T) {
		log := make(t)
		last := MustAppend(t, log, QueuedEvent(t, "school"), 0)
		want := []uint64{last.Seq}
		for i := range 300 {
			last = MustAppend(t, log, Event(t, "school", last.Task, events.Started{Attempt: i + 1, Dispatch: 1, Worker: "w"}), last.Seq)
			want = append(want, last.Seq)
		}
		h, err := log.History(t.Context(), "school", last.Task, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, seqs(h)); diff != "" {
			t.Errorf("sequences (-want +got):\n%s", diff)
		}
	})
	t.Run("FollowsFromRecordIntoLive", func(t *testing.T) { runFollow(t, make(t)) })
	t.Run("FollowEndsWithItsContext", func(t *testing.T) {
		log := make(t)
		ctx, cancel := context.WithCancel(t.Context())
		ch, err := log.Follow(ctx, "school", uuid.NewString(), 0)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		select {
		case _, open := <-ch:
			if open {
				t.Error("an event about a task that does not exist")
			}
		case <-time.After(patience):
			t.Error("the channel stays open")
		}
	})
}

// runFollow writes a history while readers that start at random places follow it.
func runFollow(t *testing.T, log task.Log) {
	q := MustAppend(t, log, QueuedEvent(t, "school"), 0)
	const more = 60
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var group sync.WaitGroup
	got := make([][]uint64, 6)
	last := q
	for i := range more {
		if i%10 == 0 {
			ch, err := log.Follow(ctx, "school", q.Task, 0)
			if err != nil {
				t.Fatal(err)
			}
			n := i / 10
			group.Go(func() {
				for e := range ch {
					got[n] = append(got[n], e.Seq)
					if len(got[n]) == more+1 {
						return
					}
				}
			})
		}
		last = MustAppend(t, log, Event(t, "school", q.Task, events.Started{Attempt: i + 1, Dispatch: 1, Worker: "w"}), last.Seq)
	}
	group.Wait()
	h, err := log.History(t.Context(), "school", q.Task, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := range got {
		if !slices.Equal(got[n], seqs(h)) {
			t.Errorf("reader %d saw %v, want %v", n, got[n], seqs(h))
		}
	}
	tail, err := log.Follow(ctx, "school", q.Task, h[len(h)-2].Seq)
	if err != nil {
		t.Fatal(err)
	}
	if e := <-tail; e.Seq != last.Seq {
		t.Errorf("resumed reader saw %d first, want %d", e.Seq, last.Seq)
	}
}

func seqs(h []events.Event) []uint64 {
	out := make([]uint64, len(h))
	for i, e := range h {
		out[i] = e.Seq
	}
	return out
}

// RunQueue holds a task.Queue, and the log that its dispatches come from, against its contract.
func RunQueue(t *testing.T, make func(t *testing.T) (task.Log, task.Queue)) {
	t.Run("HoldsOneOfEachDispatch", func(t *testing.T) {
		log, queue := make(t)
		q := MustAppend(t, log, QueuedEvent(t, "school"), 0)
		for range 3 {
			if err := queue.Dispatch(t.Context(), EntryOf(t, q), q); err != nil {
				t.Fatal(err)
			}
		}
		waiting, err := queue.Waiting(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []events.Dispatch{{Kind: "quiz", Lane: events.Normal, Tenant: "school", Task: q.Task, N: 1}}
		if diff := cmp.Diff(want, waiting); diff != "" {
			t.Errorf("waiting (-want +got):\n%s", diff)
		}
	})
	t.Run("KnowsWhatItHas", func(t *testing.T) {
		log, queue := make(t)
		q := MustAppend(t, log, QueuedEvent(t, "school"), 0)
		d := EntryOf(t, q)
		if has, err := queue.Has(t.Context(), d); err != nil || has {
			t.Errorf("before it was queued: got %v, %v", has, err)
		}
		if err := queue.Dispatch(t.Context(), d, q); err != nil {
			t.Fatal(err)
		}
		if has, err := queue.Has(t.Context(), d); err != nil || !has {
			t.Errorf("once it is queued: got %v, %v", has, err)
		}
		d.N++
		if has, err := queue.Has(t.Context(), d); err != nil || has {
			t.Errorf("another dispatch of the task: got %v, %v", has, err)
		}
	})
	t.Run("Admits", func(t *testing.T) {
		_, queue := make(t)
		if err := queue.Admit(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("RefusesWhatIsNoSubmission", func(t *testing.T) {
		_, queue := make(t)
		e := Event(t, "school", uuid.NewString(), events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
		d := events.Dispatch{Kind: "quiz", Lane: events.Normal, Tenant: "school", Task: e.Task, N: 1}
		if err := queue.Dispatch(t.Context(), d, e); !errors.Is(err, events.ErrMalformed) {
			t.Errorf("got %v, want ErrMalformed", err)
		}
		q := QueuedEvent(t, "school")
		if err := queue.Dispatch(t.Context(), d, q); !errors.Is(err, events.ErrMalformed) {
			t.Errorf("another task's event: got %v, want ErrMalformed", err)
		}
	})
}

// RunBoard holds a task.ProgressBoard, and the log whose readers see its reports, against its contract.
func RunBoard(t *testing.T, make func(t *testing.T) (task.Log, task.ProgressBoard)) {
	t.Run("ShowsTheLatestAndTellsReaders", func(t *testing.T) {
		log, board := make(t)
		q := MustAppend(t, log, QueuedEvent(t, "school"), 0)
		if _, err := board.Latest(t.Context(), "school", q.Task); !fault.Is(err, fault.NotFound) {
			t.Errorf("before any report: got %v, want NotFound", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		ch, err := log.Follow(ctx, "school", q.Task, 0)
		if err != nil {
			t.Fatal(err)
		}
		if e := <-ch; e.Seq != q.Seq {
			t.Fatalf("saw %d first, want %d", e.Seq, q.Seq)
		}
		p := Event(t, "school", q.Task, events.Progress{Attempt: 1, Percent: 40, Message: "drafting"})
		if err := board.Report(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, <-ch); diff != "" {
			t.Errorf("followed (-want +got):\n%s", diff)
		}
		latest, err := latest(ctx, board, q.Task)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, latest); diff != "" {
			t.Errorf("Latest (-want +got):\n%s", diff)
		}
	})
	t.Run("DeliversTextSoFarAndThenLive", func(t *testing.T) {
		log, board := make(t)
		runText(t, log, board)
	})
}

// runText reads a text from the middle of its writing on: what was written so far, then what follows.
func runText(t *testing.T, log task.Log, board task.ProgressBoard) {
	q := MustAppend(t, log, QueuedEvent(t, "school"), 0)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	say := func(p events.Text) {
		p.Attempt, p.Step = 1, "draft"
		if err := board.Report(t.Context(), Event(t, "school", q.Task, p)); err != nil {
			t.Fatal(err)
		}
	}
	early, err := board.Text(ctx, "school", q.Task)
	if err != nil {
		t.Fatal(err)
	}
	hear := func(ch <-chan events.Event, until string) {
		t.Helper()
		var shown events.Transcript
		var cursor events.TextCursor
		for shown.String() != until || shown.Missing() > 0 {
			e, open := <-ch
			if !open {
				t.Fatalf("the text ended with %q, want %q", shown.String(), until)
			}
			p, err := events.DataAs[events.Text](e)
			if err != nil || e.Tenant != "school" || e.Task != q.Task {
				t.Fatalf("got %+v, %v", e, err)
			}
			if fresh, ok := cursor.Next(p); !ok || fresh != p {
				t.Fatalf("%+v repeats what came before", p)
			}
			shown.Apply(p)
		}
	}
	say(events.Text{Run: 8, Text: "The fa"})
	say(events.Text{Run: 8, Text: "The fall of 🌋"})
	say(events.Text{Run: 8, Offset: 14, Text: " Rome"})
	say(events.Text{Run: 9, After: 8, RollbackTo: 3, Offset: 3, Text: " riseé"})
	hear(early, "The riseé")
	late, err := board.Text(ctx, "school", q.Task)
	if err != nil {
		t.Fatal(err)
	}
	hear(late, "The riseé")
	say(events.Text{Run: 9, After: 8, RollbackTo: 3, Offset: 3, Text: " riseé of Rome"})
	next := func(ch <-chan events.Event) {
		e := <-ch
		if p, err := events.DataAs[events.Text](e); err != nil || p.Text != " of Rome" || p.Offset != 9 {
			t.Errorf("live: got %+v, %v", p, err)
		}
	}
	next(early)
	next(late)
	if _, err := board.Latest(t.Context(), "school", q.Task); !fault.Is(err, fault.NotFound) {
		t.Errorf("text counts as progress: %v", err)
	}
}

// latest waits until a report, which nobody acknowledges, is on the board.
func latest(ctx context.Context, board task.ProgressBoard, id string) (events.Event, error) {
	for {
		e, err := board.Latest(ctx, "school", id)
		if err == nil || !fault.Is(err, fault.NotFound) {
			return e, err
		}
		select {
		case <-ctx.Done():
			return e, err
		case <-time.After(time.Millisecond):
		}
	}
}
