package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/task"
)

// A task that takes its worker down is tried on three of them, and then no more.
func TestEngine_ATaskThatKillsItsWorkersIsStopped(t *testing.T) {
	t.Parallel()
	const lives = 3
	answers := recordAnswers(t)
	deadly := make(chan struct{})
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		if c.N < lives {
			return llmtest.Reply{Hold: deadly}
		}
		_, text := answers.of(c)
		return llmtest.Reply{Text: text}
	})
	t.Cleanup(func() { close(deadly) })
	s := newSite(t, pgtest.New(t))
	s.api()
	w := s.witness()
	poison := s.mustSubmit("")
	for n := range lives {
		worker := s.role("worker", scripted(model)...)
		if err := model.Await(t.Context(), n+1); err != nil {
			t.Fatal(err)
		}
		if err := worker.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-worker.ended
	}
	s.role("worker", scripted(model)...)
	got := s.await(poison.ID, task.Failed, task.Completed)
	if got.State != task.Failed || got.Failure.Cause != events.CauseCrash || w.count(events.TypeStarted, poison.ID) < lives {
		t.Errorf("it is %s after %d starts: %+v; want failed because of %s", got.State, w.count(events.TypeStarted, poison.ID), got.Failure, events.CauseCrash)
	}
	other := s.mustSubmit("")
	s.await(other.ID, task.Completed)
	if calls := len(model.Calls()); calls != lives+2 {
		t.Errorf("%d calls to the model, want %d: one for each worker that died, and the other task's two", calls, lives+2)
	}
}

// Ten times a new worker comes and the old one is asked to go, in the middle of its work.
func TestEngine_RollingRestartsFailNothing(t *testing.T) {
	t.Parallel()
	const restarts, each = 10, 6
	answers := recordAnswers(t)
	model := llmtest.NewOpenAI(t, lasting(answers, 100*time.Millisecond))
	s := newSite(t, pgtest.New(t), "DRAIN_TIMEOUT=50ms", "MAX_CONCURRENT_GENERATIONS=3")
	s.api()
	w := s.witness()
	old := s.role("worker", scripted(model)...)
	var ids []string
	for range restarts {
		began := w.count(events.TypeStarted, "")
		ids = append(ids, s.batch(nil, each, quizBody, "")...)
		w.reaches(events.TypeStarted, began+1)
		next := s.role("worker", scripted(model)...)
		old.signal(syscall.SIGTERM)
		if old.err != nil {
			t.Errorf("a worker ended with %v", old.err)
		}
		old = next
	}
	w.reaches(events.TypeCompleted, len(ids))
	starts := map[string]int{}
	for _, e := range w.all() {
		starts[e.Task]++
		if e.Type == events.TypeFailed {
			t.Errorf("task %s failed: %s", e.Task, e.Data)
		}
	}
	handed := 0
	for _, id := range ids {
		if n := w.count(events.TypeRetrying, id); n > 0 {
			handed++
		}
		if n := w.count(events.TypeCompleted, id); n != 1 {
			t.Errorf("task %s completed %d times", id, n)
		}
	}
	t.Logf("%d tasks over %d restarts, %d of them handed back in between", len(ids), restarts, handed)
	if handed == 0 {
		t.Error("nothing was handed back: the restarts came between the tasks")
	}
}

// The dispatcher that acts is killed in the middle of a burst, and its successor stopped later: every task runs once, and every tick of a
// schedule has one run.
func TestEngine_DispatchersChangeAndNothingIsLostOrRunTwice(t *testing.T) {
	t.Parallel()
	const every, ticks = schedule.MinInterval, 3
	answers := recordAnswers(t)
	model := llmtest.NewOpenAI(t, lasting(answers, 20*time.Millisecond))
	s := newSite(t, pgtest.New(t))
	first := s.role("dispatcher")
	first.says("leading=true")
	second := s.role("dispatcher")
	s.role("api")
	eventually(t, "the API is ready", func() error { return s.get("/health/ready", nil) })
	w := s.witness()
	s.role("worker", append(scripted(model), "MAX_CONCURRENT_GENERATIONS=4")...)
	s.serves("quiz", 4)

	var input struct {
		Input json.RawMessage `json:"input"`
	}
	if err := json.Unmarshal([]byte(quizBody), &input); err != nil {
		t.Fatal(err)
	}
	definition, err := json.Marshal(schedule.Definition{Name: "often", Kind: "quiz", Input: input.Input, Every: schedule.Duration(every)})
	if err != nil {
		t.Fatal(err)
	}
	var often schedule.Schedule
	s.post(nil, "/schedules", string(definition), &often)

	ids := s.batch(nil, 200, quizBody, "")
	w.reaches(events.TypeCompleted, 30)
	first.kill()
	killed := w.count(events.TypeCompleted, "")
	second.says("leading=true")
	w.reaches(events.TypeCompleted, len(ids))
	if killed >= len(ids) {
		t.Error("the burst was over when the dispatcher was killed")
	}

	tick := func(n int) {
		t.Helper()
		eventually(t, fmt.Sprintf("tick %d has its run", n), func() error {
			if err := s.get("/api/v1/schedules/"+often.ID, &often); err != nil {
				return err
			}
			if got := len(often.State.Ticks); got < n {
				return fmt.Errorf("%d of %d", got, n)
			}
			return nil
		})
	}
	tick(2)
	third := s.role("dispatcher")
	third.says("the log has been read")
	second.signal(os.Interrupt)
	third.says("leading=true")
	tick(ticks)

	runs := map[time.Time]int{}
	started := map[string]int{}
	for _, e := range w.all() {
		switch e.Type {
		case events.TypeQueued:
			var q events.Queued
			if err := json.Unmarshal(e.Data, &q); err != nil {
				t.Fatal(err)
			}
			if q.Origin != nil && q.Origin.Schedule == often.ID {
				runs[q.Origin.Tick.UTC()]++
			}
		case events.TypeStarted:
			var p events.Started
			if err := json.Unmarshal(e.Data, &p); err != nil {
				t.Fatal(err)
			}
			started[fmt.Sprintf("%s dispatch %d attempt %d", e.Task, p.Dispatch, p.Attempt)]++
		case events.TypeFailed, events.TypeRetrying:
			t.Errorf("%s: %s", e.Type, e.Data)
		}
	}
	for attempt, n := range started {
		if n != 1 {
			t.Errorf("task %s was begun %d times", attempt, n)
		}
	}
	for _, id := range ids {
		if n := w.count(events.TypeStarted, id); n != 1 {
			t.Errorf("task %s was begun %d times", id, n)
		}
	}
	for n := range ticks {
		at := often.State.Anchor.Add(time.Duration(n+1) * every).UTC()
		if runs[at] != 1 {
			t.Errorf("the tick of %s has %d runs, want 1", at, runs[at])
		}
	}
	if often.State.Missed != 0 {
		t.Errorf("%d ticks were missed", often.State.Missed)
	}
	if out, code := s.command("schedules", "show", often.ID); code != exitOK || !contains(out, "submitted") {
		t.Error(errors.New(out))
	}
}
