package schedule_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/schedule"
)

func TestService_PauseStopsTicksAndResumeDoesNotMakeUpForThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		stop := p.start(nil)
		defer stop()
		s := p.create(func(d *schedule.Definition) { d.Backfill, d.Overlap = 100, schedule.CancelPrevious })
		began := time.Now()
		after(90 * time.Minute)
		paused, err := p.service.Pause(t.Context(), "school", s.ID, "bob", "incident 7")
		if err != nil || paused.Paused == nil || paused.Paused.By != "bob" || paused.State.NextTick != nil {
			t.Fatalf("paused %+v: %v", paused.Paused, err)
		}
		after(3 * time.Hour)
		if _, err := p.service.Resume(t.Context(), "school", s.ID, "bob"); err != nil {
			t.Fatal(err)
		}
		after(time.Hour)
		if diff := cmp.Diff([]time.Duration{time.Hour, 5 * time.Hour}, p.ticks(began)); diff != "" {
			t.Errorf("ticks (-want +got):\n%s", diff)
		}
		if got := p.get(s.ID); got.State.Missed != 0 || got.Paused != nil {
			t.Errorf("state %+v", got.State)
		}
	})
}

func TestService_EditsTakeEffectFromNowOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		stop := p.start(nil)
		defer stop()
		s := p.create(func(d *schedule.Definition) { d.Overlap, d.Backfill = schedule.CancelPrevious, 100 })
		began := time.Now()
		after(2*time.Hour + 20*time.Minute)
		edit := definition(func(d *schedule.Definition) {
			d.Cron, d.Overlap, d.Backfill = "10 */2 * * *", schedule.CancelPrevious, 100
		})
		got, err := p.service.Update(t.Context(), "school", s.ID, "bob", s.Revision, edit)
		if err != nil || got.Revision != 2 || got.UpdatedBy != "bob" || got.CreatedBy != "ada" {
			t.Fatalf("update %+v: %v", got, err)
		}
		if _, err := p.service.Update(t.Context(), "school", s.ID, "eve", s.Revision, edit); !fault.Is(err, fault.Conflict) {
			t.Errorf("an edit of the revision before: %v", err)
		}
		after(4 * time.Hour)
		want := []time.Duration{time.Hour, 2 * time.Hour, 4*time.Hour + 10*time.Minute, 6*time.Hour + 10*time.Minute}
		if diff := cmp.Diff(want, p.ticks(began)); diff != "" {
			t.Errorf("ticks (-want +got):\n%s", diff)
		}
	})
}

// An edit between a tick's submission and its saving is kept, and so is the tick.
func TestService_EditWhileTickingLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		var s schedule.Schedule
		edited := false
		p.submit.after = func() error {
			if edited {
				return nil
			}
			edited = true
			d := p.get(s.ID).Definition
			d.Name = "Renamed"
			_, err := p.service.Update(context.Background(), "school", s.ID, "bob", 0, d)
			return err
		}
		s = p.create(nil)
		stop := p.start(nil)
		defer stop()
		after(time.Hour + time.Minute)
		got := p.get(s.ID)
		if got.Name != "Renamed" || len(p.made()) != 1 || len(got.State.Ticks) != 1 || got.State.LastTask != p.made()[0].ID {
			t.Errorf("%q, %d runs: %+v", got.Name, len(p.made()), got.State)
		}
	})
}

func TestService_DeletedSchedulesStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		stop := p.start(nil)
		defer stop()
		s := p.create(nil)
		after(time.Hour + time.Minute)
		if err := p.service.Delete(t.Context(), "school", s.ID, "bob"); err != nil {
			t.Fatal(err)
		}
		after(3 * time.Hour)
		if n := len(p.made()); n != 1 {
			t.Errorf("%d runs, want that of before", n)
		}
		if _, err := p.service.Get(t.Context(), "school", s.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("get: %v", err)
		}
	})
}

// A request that is repeated a moment later is the same one, although the run's times follow from when it was made.
func TestService_TriggerIsRepeatableWhereRunsHaveTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		s := p.create(func(d *schedule.Definition) {
			d.Deadline, d.QueueTTL = schedule.Duration(time.Hour), schedule.Duration(time.Minute)
		})
		first, err := p.service.Trigger(t.Context(), "school", s.ID, "bob", "k")
		if err != nil {
			t.Fatal(err)
		}
		after(3 * time.Second)
		if again, err := p.service.Trigger(t.Context(), "school", s.ID, "bob", "k"); err != nil || again != first || len(p.made()) != 1 {
			t.Errorf("again: %s, want %s, %d runs: %v", again, first, len(p.made()), err)
		}
	})
}

func TestService_TriggerRunsNowAndOncePerKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		s := p.create(nil)
		if _, err := p.service.Pause(t.Context(), "school", s.ID, "bob", ""); err != nil {
			t.Fatal(err)
		}
		first, err := p.service.Trigger(t.Context(), "school", s.ID, "bob", "k")
		if err != nil {
			t.Fatal(err)
		}
		if again, err := p.service.Trigger(t.Context(), "school", s.ID, "bob", "k"); err != nil || again != first {
			t.Errorf("again: %s, want %s: %v", again, first, err)
		}
		if other, err := p.service.Trigger(t.Context(), "school", s.ID, "bob", ""); err != nil || other == first {
			t.Errorf("without a key: %s: %v", other, err)
		}
		got := p.get(s.ID)
		if len(got.State.Ticks) != 2 || got.State.Ticks[0].By != "bob" || got.State.Ticks[0].TaskID != first {
			t.Errorf("history %+v", got.State.Ticks)
		}
		if got.State.LastTick != nil {
			t.Errorf("a triggered run counts as the tick of %s", got.State.LastTick)
		}
	})
}
