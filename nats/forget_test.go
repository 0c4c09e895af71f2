package nats_test

import (
	"bytes"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func TestEraser_LeavesNothingOfATaskAndAllOfOthers(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log, queue, blobs := nats.NewLog(broker.JS, nats.LogConfig{}), newQueue(t, broker), nats.NewBlobs(broker.JS)
	messages := func() uint64 {
		var n uint64
		for _, name := range []string{events.StreamEvents, events.StreamTasks, events.StreamProgress, "OBJ_" + nats.BucketBlobs} {
			stream, err := broker.JS.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			n += stream.CachedInfo().State.Msgs
		}
		return n
	}
	var last events.Event
	var reported uint64
	fill := func() events.Event {
		first := tasktest.MustAppend(t, log, tasktest.QueuedEvent(t, "school"), 0)
		if err := queue.Dispatch(t.Context(), tasktest.EntryOf(t, first), first); err != nil {
			t.Fatal(err)
		}
		ref, err := blobs.Put(t.Context(), "school", first.Task, bytes.Repeat([]byte(first.Task), 20_000))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []events.Payload{events.Progress{Attempt: 1}, events.Text{Run: 1, Text: "a"}, events.Text{Run: 1, Offset: 1, Text: "b"}} {
			if err := log.Report(t.Context(), tasktest.Event(t, "school", first.Task, p)); err != nil {
				t.Fatal(err)
			}
		}
		reported += 3
		untilStored(t, broker, reported)
		started := tasktest.MustAppend(t, log, tasktest.Event(t, "school", first.Task, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"}), first.Seq)
		last = tasktest.MustAppend(t, log, tasktest.Event(t, "school", first.Task, events.Completed{Attempt: 1, ResultRef: &ref}), started.Seq)
		return first
	}
	other := fill()
	before := messages()
	gone := fill()
	eraser := nats.NewEraser(broker.JS)
	for range 2 {
		if err := eraser.Forget(t.Context(), "school", gone.Task); err != nil {
			t.Fatal(err)
		}
		if now := messages(); now != before {
			t.Fatalf("the broker keeps %d messages, had %d before the task", now, before)
		}
	}
	if _, err := log.Last(t.Context(), "school", other.Task); err != nil {
		t.Errorf("another task is gone as well: %v", err)
	}
	if _, err := log.Append(t.Context(), tasktest.Event(t, "school", gone.Task, events.Completed{Attempt: 1}), last.Seq); err == nil {
		t.Error("a late writer was taken")
	}
	if err := eraser.Forget(t.Context(), "school", "*"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a wildcard for a task: %v", err)
	}
}
