// Package workerstest runs agents in tests as the platform does, on a log in memory.
package workerstest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
)

// Message returns the dispatch of e, a task.queued event with its Seq, as the queue delivers it.
func Message(e events.Event) *message.Message { return workers.NewMessage(e) }

// Settled says how a message was settled: acked, or nacked with a wait before it comes again. The wait is negative for one that was let
// go, which comes again when nobody gives a sign of life for it.
func Settled(t testing.TB, msg *message.Message) (acked bool, wait time.Duration) {
	t.Helper()
	select {
	case <-msg.Acked():
		return true, 0
	case <-msg.Nacked():
		if msg.Metadata.Get(events.HeaderRetryAfter) == events.LetGo {
			return false, -1
		}
		wait, err := time.ParseDuration(msg.Metadata.Get(events.HeaderRetryAfter))
		if err != nil && msg.Metadata.Get(events.HeaderRetryAfter) != "" {
			t.Fatal(err)
		}
		return false, wait
	default:
		t.Fatal("the message is not settled")
	}
	return false, 0
}

// Queue puts a task of the given kind on the log and returns its event.
func Queue(t testing.TB, log task.Log, kind string, input json.RawMessage) events.Event {
	t.Helper()
	e := tasktest.QueuedEvent(t, "school")
	q, err := events.DataAs[events.Queued](e)
	if err != nil {
		t.Fatal(err)
	}
	q.Kind, q.Input = kind, input
	e = tasktest.Event(t, "school", e.Task, q)
	return tasktest.MustAppend(t, log, e, 0)
}

// Work runs one task of an agent to the end of its first attempt and returns the task and its history.
func Work(t testing.TB, agent workers.Agent, input json.RawMessage) (task.Task, []events.Event) {
	t.Helper()
	m := tasktest.NewMemory()
	runner, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{agent}, Log: m, Board: m})
	if err != nil {
		t.Fatal(err)
	}
	e := Queue(t, m, agent.Kind().Name, input)
	msg := Message(e)
	if err := runner.Handle(msg); err != nil {
		t.Fatal(err)
	}
	Settled(t, msg)
	return Read(t, m, e.Task)
}

// Read folds a task's history.
func Read(t testing.TB, log task.Log, id string) (task.Task, []events.Event) {
	t.Helper()
	history, err := log.History(t.Context(), "school", id, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	found, err := task.Fold(history)
	if err != nil {
		t.Fatal(err)
	}
	return found, history
}

// Signal sends a task a signal, as the API does.
func Signal(t testing.TB, log task.Log, id, name string, data json.RawMessage) events.Event {
	t.Helper()
	for {
		last, err := log.Last(t.Context(), "school", id)
		if err != nil {
			t.Fatal(err)
		}
		e := tasktest.Event(t, "school", id, events.Signalled{Name: name, Data: data, By: "teacher"})
		e.Seq, err = log.Append(t.Context(), e, last.Seq)
		if err == nil {
			return e
		}
		if task.Stale(err) == nil {
			t.Fatal(err)
		}
	}
}

// Resume ends a task's wait, as the dispatcher does, and returns the event to deliver.
func Resume(t testing.TB, log task.Log, id string) events.Event {
	t.Helper()
	got, _ := Read(t, log, id)
	if got.State != task.Waiting {
		t.Fatalf("task %s does not wait: it is %s: %+v", id, got.State, got.Failure)
	}
	return tasktest.MustAppend(t, log, tasktest.Event(t, "school", id, events.Queued{
		Kind: got.Kind, Input: got.Input, Priority: got.Priority, Dispatch: got.Dispatch + 1, UserID: got.UserID, Deadline: got.Deadline,
		TimeoutMS: got.TimeoutMS, Replay: got.Replay, Resume: &events.Resume{Wait: got.Wait.For, Seq: got.Wait.Seq},
	}), got.Seq)
}

// Replay sends a dead letter again, as an admin does, and returns the event to deliver. A nil input keeps the task's.
func Replay(t testing.TB, log task.Log, id string, input json.RawMessage) events.Event {
	t.Helper()
	got, _ := Read(t, log, id)
	if !got.DeadLetter() {
		t.Fatalf("task %s is no dead letter: it is %s", id, got.State)
	}
	if input == nil {
		input = got.Input
	}
	return tasktest.MustAppend(t, log, tasktest.Event(t, "school", id, events.Queued{
		Kind: got.Kind, Input: input, Priority: got.Priority, Dispatch: got.Dispatch + 1, UserID: got.UserID, Replay: &events.Replay{By: "admin"},
	}), got.Seq)
}
