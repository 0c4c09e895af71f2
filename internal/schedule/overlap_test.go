package schedule_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestTicker_OverlapSkips(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		stop := p.start(nil)
		defer stop()
		s := p.create(nil)
		began := time.Now()
		after(2*time.Hour + time.Minute)
		p.finish(p.made()[0].ID, true)
		after(time.Hour)
		want := map[time.Duration]schedule.Outcome{time.Hour: schedule.Failed, 2 * time.Hour: schedule.Skipped, 3 * time.Hour: schedule.Submitted}
		got := p.get(s.ID)
		if diff := cmp.Diff(want, outcomes(got, began)); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if got.State.LastError != "bug: it broke" {
			t.Errorf("last error %q", got.State.LastError)
		}
	})
}

func TestTicker_OverlapQueuesInOrderUpToItsLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		stop := p.start(nil)
		defer stop()
		s := p.create(func(d *schedule.Definition) { d.Overlap, d.Backfill = schedule.Queue, 2 })
		began := time.Now()
		after(4*time.Hour + time.Minute)
		want := map[time.Duration]schedule.Outcome{
			time.Hour: schedule.Submitted, 2 * time.Hour: schedule.Pending, 3 * time.Hour: schedule.Pending, 4 * time.Hour: schedule.Skipped,
		}
		if diff := cmp.Diff(want, outcomes(p.get(s.ID), began)); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		for i := range 2 {
			runs := p.made()
			if len(runs) != i+1 {
				t.Fatalf("%d runs while run %d is open", len(runs), i)
			}
			p.finish(runs[i].ID, false)
			after(3 * time.Second)
		}
		if diff := cmp.Diff([]time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}, p.ticks(began)); diff != "" {
			t.Errorf("order of the runs (-want +got):\n%s", diff)
		}
		if got := p.get(s.ID); len(got.State.Pending) != 0 {
			t.Errorf("still pending: %v", got.State.Pending)
		}
	})
}

func TestTicker_OverlapCancelsPrevious(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		stop := p.start(nil)
		defer stop()
		p.create(func(d *schedule.Definition) { d.Overlap = schedule.CancelPrevious })
		after(2*time.Hour + time.Minute)
		runs := p.made()
		if len(runs) != 2 || runs[0].State != task.Cancelled || runs[1].State != task.Queued {
			t.Fatalf("runs %+v", runs)
		}
		if want := "the tick of 2000-01-01T02:00:00Z takes its place"; runs[0].Cancel.Reason != want {
			t.Errorf("reason %q, want %q", runs[0].Cancel.Reason, want)
		}
	})
}

// runs is a board that knows of what the schedule's state does not.
type board map[string][]string

func (b board) Open(_ context.Context, id string) ([]string, error) { return b[id], nil }

func TestTicker_OverlapSeesRunsThatOnlyTheBoardKnows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		s := p.create(nil)
		other, _, err := p.tasks.Submit(t.Context(), task.Submission{Tenant: "school", UserID: "u", Kind: "quiz", Input: json.RawMessage(`{"subject":"Art"}`)})
		if err != nil {
			t.Fatal(err)
		}
		stop := p.start(func(c *schedule.TickerConfig) { c.Runs = board{s.ID: {other.ID}} })
		defer stop()
		began := time.Now()
		after(time.Hour + time.Minute)
		p.finish(other.ID, false)
		after(time.Hour)
		want := map[time.Duration]schedule.Outcome{time.Hour: schedule.Skipped, 2 * time.Hour: schedule.Submitted}
		if diff := cmp.Diff(want, outcomes(p.get(s.ID), began)); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}
