package schedule_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/task"
)

// after lets the bubble's clock run.
func after(d time.Duration) { <-time.After(d) }

func TestTicker_RunsEachTickOnceOverWeeks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		stop := p.start(nil)
		defer stop()
		s := p.create(func(d *schedule.Definition) {
			d.Cron, d.TimeZone, d.Labels, d.Deadline = "30 6 * * MON-FRI", "America/New_York", map[string]string{"class": "5b"}, schedule.Duration(time.Hour)
			d.Overlap = schedule.CancelPrevious
		})
		began := time.Now()
		after(4 * 7 * 24 * time.Hour)
		runs := p.made()
		if len(runs) != 20 {
			t.Fatalf("%d runs in four weeks, want 20", len(runs))
		}
		for _, run := range runs {
			ny, _ := time.LoadLocation("America/New_York")
			if got := run.Origin.Tick.In(ny).Format("15:04"); got != "06:30" || run.Origin.Schedule != s.ID || run.UserID != "ada" || run.Labels["class"] != "5b" {
				t.Errorf("run at %s: %+v", got, run)
			}
			if late := run.CreatedAt.Sub(*run.Origin.Tick); late < 0 || late > time.Second {
				t.Errorf("the run of %s was submitted %s later", run.Origin.Tick, late)
			}
			if run.Deadline == nil || run.Deadline.Sub(run.CreatedAt).Round(time.Second) != time.Hour {
				t.Errorf("deadline %v of a run of %s", run.Deadline, run.CreatedAt)
			}
		}
		got := p.get(s.ID)
		if len(got.State.Ticks) != 20 || got.State.Missed != 0 || got.State.LastTask != runs[19].ID {
			t.Errorf("state after %s: %+v", time.Since(began), got.State)
		}
		if want := time.Date(2000, 1, 31, 11, 30, 0, 0, time.UTC); got.State.NextTick == nil || !got.State.NextTick.Equal(want) {
			t.Errorf("next tick %v, want %s", got.State.NextTick, want)
		}
	})
}

func TestTicker_RunsTheNewestOfWhatAnOutageMissed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		backfill, runs int
		missed         uint64
	}{"None": {0, 0, 24}, "Three": {3, 3, 21}, "All": {100, 24, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPlatform(t)
				s := p.create(func(d *schedule.Definition) { d.Backfill, d.Overlap = c.backfill, schedule.CancelPrevious })
				began := time.Now()
				after(24*time.Hour + 10*time.Minute)
				stop := p.start(nil)
				defer stop()
				after(time.Second)
				got := p.get(s.ID)
				if len(p.made()) != c.runs || got.State.Missed != c.missed {
					t.Fatalf("%d runs, %d missed; want %d and %d", len(p.made()), got.State.Missed, c.runs, c.missed)
				}
				for i, since := range p.ticks(began) {
					if want := time.Duration(24-c.runs+i+1) * time.Hour; since != want {
						t.Errorf("run %d is that of the tick after %s, want %s", i, since, want)
					}
				}
				after(time.Hour)
				if n := len(p.made()); n != c.runs+1 {
					t.Errorf("%d runs after the next tick, want %d", n, c.runs+1)
				}
			})
		})
	}
}

func TestTicker_TicksWithinItsGraceAreNotMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		s := p.create(func(d *schedule.Definition) { d.Cron, d.Every = "", schedule.Duration(20*time.Second) })
		after(45 * time.Second)
		stop := p.start(nil)
		defer stop()
		after(time.Second)
		if got := p.get(s.ID); got.State.Missed != 0 || len(got.State.Ticks) != 2 {
			t.Errorf("state %+v, want two ticks and none missed", got.State)
		}
	})
}

func TestTicker_CountsALongOutageWithoutEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		s := p.create(func(d *schedule.Definition) {
			d.Cron, d.Every, d.Backfill, d.Overlap = "", schedule.Duration(10*time.Second), 1, schedule.CancelPrevious
		})
		after(60 * 24 * time.Hour)
		stop := p.start(nil)
		defer stop()
		after(time.Second)
		got := p.get(s.ID)
		if week := uint64(7 * 24 * 360); got.State.Missed < week-10 || got.State.Missed > week || len(p.made()) == 0 {
			t.Errorf("%d missed, %d runs; want about %d and some", got.State.Missed, len(p.made()), week)
		}
	})
}

func TestTicker_JitterPutsOffByTheSameEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		stop := p.start(nil)
		defer stop()
		for range 8 {
			p.create(func(d *schedule.Definition) {
				d.Jitter, d.Overlap = schedule.Duration(30*time.Minute), schedule.CancelPrevious
			})
		}
		after(3 * time.Hour)
		offsets, spread := map[string]time.Duration{}, map[time.Duration]bool{}
		for _, run := range p.made() {
			off := run.CreatedAt.Sub(*run.Origin.Tick).Truncate(time.Millisecond)
			if off < 0 || off > 30*time.Minute {
				t.Errorf("put off by %s", off)
			}
			if known, ok := offsets[run.Origin.Schedule]; ok && known != off {
				t.Errorf("put off by %s, before by %s", off, known)
			}
			offsets[run.Origin.Schedule], spread[off.Truncate(time.Second)] = off, true
		}
		if len(offsets) != 8 || len(spread) < 4 {
			t.Errorf("offsets %v of %d schedules", spread, len(offsets))
		}
	})
}

func TestTicker_ClockGoingBackwardsRepeatsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		var back atomic.Int64
		stop := p.start(func(c *schedule.TickerConfig) {
			c.Now = func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
		})
		defer stop()
		p.create(func(d *schedule.Definition) { d.Overlap = schedule.CancelPrevious })
		began := time.Now()
		after(3*time.Hour + time.Minute)
		back.Store(int64(2 * time.Hour))
		after(2 * time.Hour)
		if n := len(p.made()); n != 3 {
			t.Fatalf("%d runs while the clock repeats itself, want 3", n)
		}
		after(time.Hour)
		want := []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour}
		if diff := cmp.Diff(want, p.ticks(began)); diff != "" {
			t.Errorf("ticks (-want +got):\n%s", diff)
		}
	})
}

func TestTicker_WaitsOutABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		stop := p.start(nil)
		defer stop()
		s := p.create(func(d *schedule.Definition) { d.Backfill = 1 })
		after(59 * time.Minute)
		p.log.SetDown(true)
		after(30 * time.Minute)
		p.log.SetDown(false)
		after(time.Minute)
		if runs := p.made(); len(runs) != 1 {
			t.Fatalf("%d runs, want 1", len(runs))
		}
		p.documents.SetDown(true)
		after(50 * time.Minute)
		p.documents.SetDown(false)
		p.finish(p.made()[0].ID, false)
		after(time.Minute)
		if got := p.get(s.ID); len(p.made()) != 2 || got.State.Missed != 0 {
			t.Errorf("%d runs, want 2: %+v", len(p.made()), got.State)
		}
	})
}

func TestTicker_RefusedRunsAreToldAndTheNextTickComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		var refuse atomic.Bool
		refuse.Store(true)
		p.submit.before = func(*task.Submission) error {
			if refuse.Load() {
				return fault.InvalidField("input.subject", "is out of fashion")
			}
			return nil
		}
		stop := p.start(nil)
		defer stop()
		s := p.create(nil)
		began := time.Now()
		after(time.Hour + time.Minute)
		refuse.Store(false)
		after(time.Hour)
		want := map[time.Duration]schedule.Outcome{time.Hour: schedule.Refused, 2 * time.Hour: schedule.Submitted}
		got := p.get(s.ID)
		if diff := cmp.Diff(want, outcomes(got, began)); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if want := "the input is not valid: input.subject is out of fashion"; got.State.LastError != want {
			t.Errorf("last error %q, want %q", got.State.LastError, want)
		}
	})
}

func TestTicker_KeepsABoundedHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		stop := p.start(nil)
		defer stop()
		s := p.create(func(d *schedule.Definition) { d.Cron, d.Every = "", schedule.Duration(time.Minute) })
		after(time.Hour + time.Second)
		got := p.get(s.ID)
		if n := len(got.State.Ticks); n != schedule.KeptTicks {
			t.Errorf("%d ticks are kept, want %d", n, schedule.KeptTicks)
		}
		if want := s.State.Anchor.Add(time.Hour); !got.State.LastTick.Equal(want) {
			t.Errorf("last tick %s, want %s", got.State.LastTick, want)
		}
	})
}

func TestNewTicker_NamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	for want, cfg := range map[string]schedule.TickerConfig{
		"Documents": {Tasks: p.tasks}, "Tasks": {Documents: p.documents},
	} {
		if _, err := schedule.NewTicker(cfg); err == nil || err.Error() != fmt.Sprintf("schedule ticker: TickerConfig.%s is missing", want) {
			t.Errorf("without %s: %v", want, err)
		}
	}
}
