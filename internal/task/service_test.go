package task_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

var art = json.RawMessage(`{"subject":"Art"}`)

func submit(t *testing.T, s *task.Service, change func(*task.Submission)) (task.Task, bool, error) {
	t.Helper()
	sub := task.Submission{Tenant: "school", UserID: "u1", Kind: "quiz", Input: art}
	if change != nil {
		change(&sub)
	}
	return s.Submit(t.Context(), sub)
}

func TestService_SubmitRecordsAndQueues(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	got, fresh, err := submit(t, service(t, m), func(s *task.Submission) { s.Kind = "quiz_generator"; s.Priority = events.High })
	if err != nil || !fresh {
		t.Fatalf("fresh %v: %v", fresh, err)
	}
	if got.Kind != "quiz" || got.State != task.Queued || got.Seq == 0 {
		t.Errorf("got %+v", got)
	}
	if e, ok := m.Queued(got.DispatchEntry()); !ok || e.Seq != got.Seq {
		t.Errorf("the dispatch carries sequence %d (there: %v), want %d", e.Seq, ok, got.Seq)
	}
}

// hiccup is a queue that fails a few times.
type hiccup struct {
	task.Queue
	failures int
}

func (q *hiccup) Dispatch(ctx context.Context, d events.Dispatch, e events.Event) error {
	if q.failures > 0 {
		q.failures--
		return fault.New(fault.Unavailable, "no leader")
	}
	return q.Queue.Dispatch(ctx, d, e)
}

// What is on record is not left to the dispatcher's audit because the queue had a hiccup, and a caller does not wait for longer than that.
func TestService_SubmitRidesOutAHiccupOfTheQueue(t *testing.T) {
	t.Parallel()
	for failures, queued := range map[int]bool{3: true, 1 << 30: false} {
		synctest.Test(t, func(t *testing.T) {
			m := tasktest.NewMemory()
			s := service(t, m)
			s.Queue = &hiccup{m, failures}
			began := time.Now()
			got, _, err := submit(t, s, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := m.Queued(got.DispatchEntry()); ok != queued {
				t.Errorf("%d failures: queued %v, want %v", failures, ok, queued)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%d failures: the caller waited %s", failures, took)
			}
		})
	}
}

func TestService_SubmitRefusesBadInputAndSaysWhere(t *testing.T) {
	t.Parallel()
	past := time.Now().Add(-time.Minute)
	for name, c := range map[string]struct {
		change func(*task.Submission)
		kind   fault.Kind
		want   string
	}{
		"UnknownKind":     {func(s *task.Submission) { s.Kind = "essay" }, fault.Invalid, `kind "essay" is unknown; the kinds are quiz`},
		"UnknownPriority": {func(s *task.Submission) { s.Priority = "asap" }, fault.Invalid, `priority "asap" is none of high, normal, low`},
		"NoInput":         {func(s *task.Submission) { s.Input = nil }, fault.Invalid, "input is missing"},
		"MissingField":    {func(s *task.Submission) { s.Input = json.RawMessage(`{}`) }, fault.Invalid, "input.subject is missing"},
		"WrongType":       {func(s *task.Submission) { s.Input = json.RawMessage(`{"subject":7}`) }, fault.Invalid, "input.subject is of type number, must be string"},
		"Malformed":       {func(s *task.Submission) { s.Input = json.RawMessage(`{"subject"`) }, fault.Invalid, "input is not valid JSON"},
		"TwiceTheSameKey": {func(s *task.Submission) { s.Input = json.RawMessage(`{"subject":"a","subject":"b"}`) }, fault.Invalid, "input.subject stands twice"},
		"NUL":             {func(s *task.Submission) { s.Input = json.RawMessage(`{"subject":"a\u0000"}`) }, fault.Invalid, "input.subject holds a NUL character"},
		"InvalidUTF8":     {func(s *task.Submission) { s.Input = json.RawMessage("{\"subject\":\"\xff\"}") }, fault.Invalid, "input is not valid UTF-8"},
		"TooDeep": {func(s *task.Submission) {
			s.Input = json.RawMessage(strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40))
		}, fault.Invalid, "nests deeper than 32 levels"},
		"TwoValues": {func(s *task.Submission) { s.Input = json.RawMessage(`{"subject":"a"}{}`) }, fault.Invalid, "has something behind its JSON value"},
		"TooLarge": {func(s *task.Submission) {
			s.Input = json.RawMessage(`{"subject":"` + strings.Repeat("a", task.MaxInput) + `"}`)
		}, fault.TooLarge, "at most 262144 are allowed"},
		"LongKey":         {func(s *task.Submission) { s.Key = strings.Repeat("k", 256) }, fault.Invalid, "Idempotency-Key has 256 bytes"},
		"LongLabel":       {func(s *task.Submission) { s.Labels = map[string]string{"class": strings.Repeat("x", 64)} }, fault.Invalid, "labels.class"},
		"DeadlineInPast":  {func(s *task.Submission) { s.Deadline = &past }, fault.Invalid, "deadline is not after the time at which the task may begin"},
		"TenantIsNoToken": {func(s *task.Submission) { s.Tenant = "a.*" }, fault.Invalid, "tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := tasktest.NewMemory()
			_, _, err := submit(t, service(t, m), c.change)
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v: %v; want %v: …%s…", fault.KindOf(err), err, c.kind, c.want)
			}
			if waiting, _ := m.Waiting(t.Context()); len(waiting) != 0 {
				t.Error("something was queued")
			}
		})
	}
}

func TestService_TheSameKeyGivesTheSameTask(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	s := service(t, m)
	withKey := func(input string) func(*task.Submission) {
		return func(sub *task.Submission) { sub.Key, sub.Input = "lesson 7", json.RawMessage(input) }
	}
	one, fresh, err := submit(t, s, withKey(`{"subject":"Art","n":1}`))
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	two, fresh, err := submit(t, s, withKey(`{ "n": 1, "subject": "Art" }`))
	if err != nil || fresh || two.ID != one.ID {
		t.Errorf("the same content: task %s, fresh %v, %v; want %s", two.ID, fresh, err, one.ID)
	}
	if _, _, err := submit(t, s, withKey(`{"subject":"Art","n":2}`)); !fault.Is(err, fault.Conflict) {
		t.Errorf("other content: got %v, want Conflict", err)
	}
	other, fresh, err := s.Submit(t.Context(), task.Submission{Tenant: "other", Kind: "quiz", Input: art, Key: "lesson 7"})
	if err != nil || !fresh || other.ID == one.ID {
		t.Errorf("another tenant's key: task %s, fresh %v, %v", other.ID, fresh, err)
	}
}

func TestService_ARepeatedSubmissionRepairsALostDispatch(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	s := service(t, m)
	key := func(sub *task.Submission) { sub.Key = "k" }
	got, _, err := submit(t, s, key)
	if err != nil {
		t.Fatal(err)
	}
	m.Ack(got.DispatchEntry()) // as if the submitter had died between its two writes
	if _, _, err := submit(t, s, key); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Queued(got.DispatchEntry()); !ok {
		t.Error("the dispatch is still missing")
	}
}

func TestService_RefusesBeforeItRecordsWhenTheQueueIsFull(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	m.SetFull(true)
	_, _, err := submit(t, service(t, m), nil)
	if !fault.Is(err, fault.Unavailable) || fault.RetryAfter(err) == 0 {
		t.Errorf("got %v, want Unavailable with a RetryAfter", err)
	}
	if page, _ := (tasktest.Archive{Memory: m}).List(t.Context(), task.Filter{Tenant: "school"}); len(page.Tasks) != 0 {
		t.Error("the refused task is on record")
	}
}

func TestService_WaitsOutABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		s := service(t, m)
		got, _, err := submit(t, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		m.SetDown(true)
		time.AfterFunc(300*time.Millisecond, func() { m.SetDown(false) })
		if _, err := s.Cancel(t.Context(), "school", got.ID, "u1", ""); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a read is not repeated: got %v", err)
		}
		<-time.After(time.Second)
		m.SetDown(true)
		if _, _, err := submit(t, s, nil); !fault.Is(err, fault.Unavailable) || fault.RetryAfter(err) == 0 {
			t.Errorf("got %v, want Unavailable with a RetryAfter", err)
		}
	})
}

func deadLetter(t *testing.T, m *tasktest.Memory, s *task.Service) task.Task {
	t.Helper()
	got, _, err := submit(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	started := tasktest.MustAppend(t, m, tasktest.Event(t, "school", got.ID, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}), got.Seq)
	tasktest.MustAppend(t, m, tasktest.Event(t, "school", got.ID, events.Failed{Attempts: 1, Cause: events.CauseBug, Error: "x"}), started.Seq)
	m.Ack(got.DispatchEntry())
	return got
}

func TestService_ReplayFromManyClientsRunsOnce(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	s := service(t, m)
	dead := deadLetter(t, m, s)
	var won, late int
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, err := s.Replay(t.Context(), "school", dead.ID, task.ReplayRequest{By: "admin", Input: json.RawMessage(`{"subject":"Music"}`)})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if fault.Is(err, fault.Conflict) {
				late++
			}
		})
	}
	group.Wait()
	if won != 1 || late != 19 {
		t.Errorf("%d replayed it, %d were refused; want 1 and 19", won, late)
	}
	got, err := s.Get(t.Context(), "school", dead.ID)
	if err != nil || got.State != task.Queued || got.Dispatch != 2 || string(got.Input) != `{"subject":"Music"}` || !got.Replay.Edited {
		t.Errorf("got %+v (%v)", got, err)
	}
	if waiting, _ := m.Waiting(t.Context()); len(waiting) != 1 {
		t.Errorf("%d dispatches wait, want 1", len(waiting))
	}
}

// keeps answers with one task, as an archive does that has seen what the log has dropped.
type keeps struct {
	tasktest.Archive
	task task.Task
}

func (k keeps) Get(context.Context, string, string) (task.Task, error) { return k.task, nil }

func TestService_ADeadLetterOlderThanTheLogsBeginningCanBeReplayed(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	s := service(t, m)
	dead := deadLetter(t, m, s)
	whole, err := s.Get(t.Context(), "school", dead.ID)
	if err != nil {
		t.Fatal(err)
	}
	m.Forget("school", dead.ID, 2) // only task.failed is left
	s.Archive = keeps{tasktest.Archive{Memory: m}, whole}
	if got, err := s.Get(t.Context(), "school", dead.ID); err != nil || got.State != task.Failed || string(got.Input) != string(art) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := s.Replay(t.Context(), "school", dead.ID, task.ReplayRequest{By: "admin"}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "school", dead.ID); err != nil || got.State != task.Queued || got.Dispatch != 2 || !got.CreatedAt.Equal(whole.CreatedAt) {
		t.Errorf("after the replay: %+v, %v", got, err)
	}
	rest, err := m.History(t.Context(), "school", dead.ID, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := task.Fold(rest); err != nil || got.State != task.Queued || got.Dispatch != 2 { // what a worker sees, which has no archive
		t.Errorf("without the archive: %+v, %v", got, err)
	}
}

func TestService_DecidesOnADeadLetterThatTheLogHasForgotten(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	s := service(t, m)
	for _, decide := range []func(id string) (task.Task, error){
		func(id string) (task.Task, error) {
			return s.Replay(t.Context(), "school", id, task.ReplayRequest{By: "admin"})
		},
		func(id string) (task.Task, error) { return s.Discard(t.Context(), "school", id, "admin", "old") },
	} {
		s.Archive = tasktest.Archive{Memory: m}
		dead := deadLetter(t, m, s)
		whole, err := s.Get(t.Context(), "school", dead.ID)
		if err != nil {
			t.Fatal(err)
		}
		m.Forget("school", dead.ID, 3)
		s.Archive = keeps{tasktest.Archive{Memory: m}, whole}
		if _, err := decide(dead.ID); err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), "school", dead.ID)
		if err != nil || got.DeadLetter() {
			t.Errorf("still a dead letter: %+v, %v", got, err)
		}
		if _, err := decide(dead.ID); err != nil && !fault.Is(err, fault.Conflict) {
			t.Errorf("decided twice: %v", err)
		}
	}
}

func TestService_DecidesOnlyOnWhatIsOpen(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	s := service(t, m)
	dead := deadLetter(t, m, s)
	if _, err := s.Cancel(t.Context(), "school", dead.ID, "u", ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("cancel of a dead letter: %v", err)
	}
	if _, err := s.Replay(t.Context(), "school", dead.ID, task.ReplayRequest{By: "a", Input: json.RawMessage(`{}`)}); !fault.Is(err, fault.Invalid) {
		t.Errorf("replay with a bad input: %v", err)
	}
	for range 2 {
		if got, err := s.Discard(t.Context(), "school", dead.ID, "admin", "typo"); err != nil || got.DeadLetter() || got.Discard.Reason != "typo" {
			t.Errorf("discard: %+v, %v", got, err)
		}
	}
	if _, err := s.Replay(t.Context(), "school", dead.ID, task.ReplayRequest{By: "a"}); !fault.Is(err, fault.Conflict) {
		t.Errorf("replay of a discarded one: %v", err)
	}
	if _, err := s.Get(t.Context(), "other", dead.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("another tenant's task: %v", err)
	}
	if _, err := s.Get(t.Context(), "school", "../*"); !fault.Is(err, fault.NotFound) {
		t.Errorf("an id that is no token: %v", err)
	}
}

func TestService_ShowsTheProgressOfTheRunningAttempt(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	s := service(t, m)
	got, _, err := submit(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	tasktest.MustAppend(t, m, tasktest.Event(t, "school", got.ID, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}), got.Seq)
	for attempt, want := range map[int]float64{2: 0, 1: 30} {
		if err := m.Report(t.Context(), tasktest.Event(t, "school", got.ID, events.Progress{Attempt: attempt, Percent: 30})); err != nil {
			t.Fatal(err)
		}
		now, err := s.Get(t.Context(), "school", got.ID)
		if err != nil {
			t.Fatal(err)
		}
		if percent := progress(now); percent != want {
			t.Errorf("report of attempt %d shows %v %%, want %v", attempt, percent, want)
		}
	}
}

func progress(t task.Task) float64 {
	if t.Progress == nil {
		return 0
	}
	return t.Progress.Percent
}

// Who did not hear the answer repeats the request, with the same words: that they are of a later moment does not make it another one, and
// no reason to take a new key and pay twice.
func TestService_SubmitKnowsADelayedRequestAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		s := service(t, m)
		ask := func(delay, ttl time.Duration) (task.Task, bool, error) {
			return submit(t, s, func(sub *task.Submission) {
				at := time.Now().Add(delay)
				end := at.Add(ttl)
				sub.Key, sub.RunAt, sub.ExpiresAt, sub.Delay, sub.QueueTTL = "k", &at, &end, delay, ttl
			})
		}
		first, _, err := ask(time.Minute, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(3 * time.Second)
		if again, fresh, err := ask(time.Minute, time.Hour); err != nil || fresh || again.ID != first.ID || !again.NotBefore.Equal(*first.NotBefore) {
			t.Errorf("again: %s, fresh %v, not before %v: %v", again.ID, fresh, again.NotBefore, err)
		}
		for _, other := range [][2]time.Duration{{2 * time.Minute, time.Hour}, {time.Minute, 2 * time.Hour}} {
			if _, _, err := ask(other[0], other[1]); !fault.Is(err, fault.Conflict) {
				t.Errorf("another delay or time in the queue: %v", err)
			}
		}
	})
}
