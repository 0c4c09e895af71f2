// Package workerstest runs agents in tests as the platform does, on a log in memory.
package workerstest

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
)

// Message returns the dispatch of e, a task.queued event with its Seq, as the queue delivers it.
func Message(e events.Event) *message.Message {
	msg := message.NewMessage(e.ID, message.Payload(e.Data))
	for name, value := range e.Header() {
		msg.Metadata.Set(name, value)
	}
	msg.Metadata.Set(events.HeaderSeq, strconv.FormatUint(e.Seq, 10))
	if q, err := events.DataAs[events.Queued](e); err == nil {
		d := events.Dispatch{Kind: q.Kind, Lane: q.Priority, Tenant: e.Tenant, Task: e.Task, N: q.Dispatch}
		msg.Metadata.Set(events.HeaderDispatch, strconv.Itoa(q.Dispatch))
		msg.Metadata.Set(events.HeaderQueueSubject, d.Subject())
	}
	return msg
}

// Settled says how a message was settled: acked, or nacked with a wait before it comes again.
func Settled(t testing.TB, msg *message.Message) (acked bool, wait time.Duration) {
	t.Helper()
	select {
	case <-msg.Acked():
		return true, 0
	case <-msg.Nacked():
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
