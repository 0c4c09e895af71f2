package task_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

// Attempts are counted anew in each dispatch: what the one that failed said of its first attempt is not said of the replay's.
func TestService_AReplayDoesNotBeginWithTheProgressOfWhatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		s := service(t, m)
		made, _, err := submit(t, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		put := func(after uint64, p events.Payload) uint64 {
			return tasktest.MustAppend(t, m, tasktest.Event(t, made.Tenant, made.ID, p), after).Seq
		}
		report := func(percent float64) {
			if err := m.Report(t.Context(), tasktest.Event(t, made.Tenant, made.ID, events.Progress{Attempt: 1, Percent: percent})); err != nil {
				t.Fatal(err)
			}
		}
		shows := func(want *task.Progress) {
			t.Helper()
			got, err := s.Get(t.Context(), made.Tenant, made.ID)
			if err != nil || (got.Progress == nil) != (want == nil) || want != nil && got.Progress.Percent != want.Percent {
				t.Errorf("shows %+v, want %+v: %v", got.Progress, want, err)
			}
		}
		seq := put(made.Seq, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
		report(90)
		shows(&task.Progress{Percent: 90})
		put(seq, events.Failed{Attempts: 1, Cause: events.CauseBug, Error: "boom"})
		<-time.After(time.Minute)
		again, err := s.Replay(t.Context(), made.Tenant, made.ID, task.ReplayRequest{By: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		put(again.Seq, events.Started{Attempt: 1, Dispatch: 2, Worker: "w"})
		shows(nil)
		<-time.After(time.Second)
		report(10)
		shows(&task.Progress{Percent: 10})
	})
}
