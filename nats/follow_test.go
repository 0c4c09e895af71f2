package nats_test

import (
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// More reports than a reader's buffer takes push the task's end out of it, and nothing comes later that would show the gap.
func TestLog_FollowFindsTheEndThatABurstOfProgressPushedOut(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := nats.NewLog(broker.JS, nats.LogConfig{Recheck: time.Hour})
	q := tasktest.MustAppend(t, log, tasktest.QueuedEvent(t, "school"), 0)
	live, err := log.Follow(t.Context(), "school", q.Task, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if err := log.Report(t.Context(), tasktest.Event(t, "school", q.Task, events.Progress{Attempt: 1, Percent: 1})); err != nil {
			t.Fatal(err)
		}
	}
	end := tasktest.MustAppend(t, log, tasktest.Event(t, "school", q.Task, events.Cancelled{By: "u"}), q.Seq)
	if err := broker.Conn.Flush(); err != nil { // all of it has reached the connection, and most of it was dropped there
		t.Fatal(err)
	}
	patience := time.After(20 * time.Second)
	for {
		select {
		case e := <-live:
			if e.Seq == end.Seq {
				return
			}
		case <-patience:
			t.Fatal("the task's end did not come")
		}
	}
}
