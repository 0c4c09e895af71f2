package task_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

const hook = "https://hooks.example.org/?token=t"

func TestService_TakesACallbackThatIsChecked(t *testing.T) {
	t.Parallel()
	s := service(t, tasktest.NewMemory())
	ask := func(url, key string) error {
		_, _, err := submit(t, s, func(sub *task.Submission) { sub.CallbackURL, sub.Key = url, key })
		return err
	}
	if err := ask(hook, ""); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "callback_url") {
		t.Errorf("where nobody sends them: %v", err)
	}
	s.Callback = func(url string) error {
		if url != hook {
			return fault.InvalidField("callback_url", "is not %s", hook)
		}
		return nil
	}
	if err := ask("http://127.0.0.1/", ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("one that is refused: %v", err)
	}
	for range 2 {
		if err := ask(hook, "k"); err != nil {
			t.Errorf("the same key and URL: %v", err)
		}
	}
	if err := ask("", "k"); !fault.Is(err, fault.Conflict) {
		t.Errorf("the same key without the URL: %v", err)
	}
}

// The URL is on every task.queued event of a task, and in no answer.
func TestService_ATaskKeepsItsCallback(t *testing.T) {
	t.Parallel()
	m := tasktest.NewMemory()
	s := service(t, m)
	s.Callback = func(string) error { return nil }
	got, _, err := submit(t, s, func(sub *task.Submission) { sub.CallbackURL = hook })
	if err != nil {
		t.Fatal(err)
	}
	if doc, err := json.Marshal(got); err != nil || strings.Contains(string(doc), "token") {
		t.Errorf("the answer is %s (%v)", doc, err)
	}
	e := tasktest.MustAppend(t, m, tasktest.Event(t, "school", got.ID, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}), got.Seq)
	until := time.Now()
	e = tasktest.MustAppend(t, m, tasktest.Event(t, "school", got.ID, events.Waiting{Attempt: 1, Wait: events.WaitTime, Until: &until}), e.Seq)
	if got, err = s.Resume(t.Context(), "school", got.ID, e.Seq, "time"); err != nil {
		t.Fatal(err)
	}
	e = tasktest.MustAppend(t, m, tasktest.Event(t, "school", got.ID, events.Started{Attempt: 1, Dispatch: 2, Worker: "w"}), got.Seq)
	tasktest.MustAppend(t, m, tasktest.Event(t, "school", got.ID, events.Failed{Attempts: 1, Cause: events.CauseBug, Error: "x"}), e.Seq)
	if _, err = s.Replay(t.Context(), "school", got.ID, task.ReplayRequest{By: "admin"}); err != nil {
		t.Fatal(err)
	}
	history, err := m.History(t.Context(), "school", got.ID, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range history {
		if q, err := events.DataAs[events.Queued](e); err == nil {
			if n++; q.CallbackURL != hook {
				t.Errorf("dispatch %d has %q", q.Dispatch, q.CallbackURL)
			}
		}
	}
	if n != 3 {
		t.Errorf("there are %d dispatches", n)
	}
}
