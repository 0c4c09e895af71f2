package schedule

import (
	"hash/fnv"
	"time"
)

// maxEnumerated bounds how many ticks of one outage are looked at; with more than that, those of the last recentOutage count.
// It is 11 days of ticks at MinInterval.
const (
	maxEnumerated = 100_000
	recentOutage  = 7 * 24 * time.Hour
)

// dueTicks is what is to be decided at a moment.
type dueTicks struct {
	run         []time.Time // in order
	missed      int         // ticks before run that nobody serves
	first, last time.Time   // of the missed ones
}

// due returns the ticks of s after State.Through whose time has come by now. Of those that come later than grace, the newest
// Backfill are run.
func (s Schedule) due(c *Calendar, now time.Time, grace time.Duration) dueTicks {
	horizon := now.Add(-s.putOff())
	d, whole := s.enumerate(c, s.State.Through, horizon, grace)
	if !whole {
		d, _ = s.enumerate(c, horizon.Add(-recentOutage), horizon, grace)
	}
	return d
}

func (s Schedule) enumerate(c *Calendar, after, horizon time.Time, grace time.Duration) (d dueTicks, whole bool) {
	late := horizon.Add(-grace)
	tick, ok := c.Next(after)
	for n := 0; ok && !tick.After(horizon); n++ {
		if n == maxEnumerated {
			return d, false
		}
		d.run = append(d.run, tick)
		if tick.Before(late) && len(d.run) > s.Backfill {
			d.miss()
		}
		tick, ok = c.Next(tick)
	}
	return d, true
}

// miss gives up the oldest tick to run.
func (d *dueTicks) miss() {
	if d.missed == 0 {
		d.first = d.run[0]
	}
	d.last = d.run[0]
	d.missed++
	d.run = d.run[1:]
}

// putOff is the part of Jitter that the schedule's runs are put off by.
func (s Schedule) putOff() time.Duration {
	if s.Jitter <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.ID))
	return time.Duration(h.Sum64() % uint64(s.Jitter)).Truncate(time.Millisecond)
}

// wake returns when s needs attention next; zero when it does not until it is changed.
func (s Schedule) wake(c *Calendar, now time.Time, poll time.Duration) time.Time {
	if s.Paused != nil {
		return time.Time{}
	}
	var at time.Time
	if tick, ok := c.Next(s.State.Through); ok {
		at = tick.Add(s.putOff())
	}
	if again := now.Add(poll); len(s.State.Pending) > 0 && (at.IsZero() || again.Before(at)) {
		at = again
	}
	return at
}
