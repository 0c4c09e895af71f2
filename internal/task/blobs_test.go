package task_test

import (
	"bytes"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

func TestService_GetFetchesALargeResult(t *testing.T) {
	t.Parallel()
	m, blobs := tasktest.NewMemory(), tasktest.NewBlobs()
	cfg := service(t, m).Config
	cfg.Blobs = blobs
	s, err := task.NewService(cfg)
	if err != nil {
		t.Fatal(err)
	}
	q := tasktest.MustAppend(t, m, tasktest.QueuedEvent(t, "school"), 0)
	started := tasktest.MustAppend(t, m, tasktest.Event(t, "school", q.Task, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}), q.Seq)
	result := append(append([]byte(`{"text":"`), bytes.Repeat([]byte("x"), 400<<10)...), `"}`...)
	ref, err := blobs.Put(t.Context(), "school", q.Task, result)
	if err != nil {
		t.Fatal(err)
	}
	tasktest.MustAppend(t, m, tasktest.Event(t, "school", q.Task, events.Completed{Attempt: 1, ResultRef: &ref}), started.Seq)

	got, err := s.Get(t.Context(), "school", q.Task)
	if err != nil || !bytes.Equal(got.Result, result) || got.ResultRef != nil {
		t.Errorf("got %d bytes, reference %+v (%v)", len(got.Result), got.ResultRef, err)
	}
	without := func(why string) {
		t.Helper()
		got, err := s.Get(t.Context(), "school", q.Task)
		if err != nil || got.State != task.Completed || got.Result != nil || got.ResultRef == nil {
			t.Errorf("%s: got %s with reference %+v (%v), want the task without its result", why, got.State, got.ResultRef, err)
		}
	}
	blobs.SetDown(true)
	without("the store is away")
	blobs.SetDown(false)
	blobs.Forget(ref)
	without("the object has aged out")
}
