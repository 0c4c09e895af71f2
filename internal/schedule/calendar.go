package schedule

import "time"

// Calendar says when a schedule ticks. It is immutable and safe for concurrent use.
//
// A cron expression is read on the clocks of its time zone. Where these change:
//
//   - an expression that names its hours ("30 2 * * *") ticks exactly once for each time that it names. A time that the clocks
//     leave out ticks at the first moment after the gap, where several of them come together as one; a time that the clocks show
//     twice ticks at its first.
//   - an expression whose hour field is * ("*/15 * * * *") follows elapsed time: it ticks in both passes of a repeated hour and
//     not in one that is left out.
//
// An interval knows no zone: it ticks at its anchor, and every so long after.
type Calendar struct {
	cron       *cron // nil for an interval
	zone       *time.Location
	anchor     time.Time
	every      time.Duration
	start, end time.Time // inclusive; zero for none
}

// Next returns the first tick after t, in UTC; false when no tick follows, or none within 10 years.
func (c *Calendar) Next(t time.Time) (time.Time, bool) {
	if !c.start.IsZero() && t.Before(c.start) {
		t = c.start.Add(-1)
	}
	var tick time.Time
	ok := true
	if c.cron != nil {
		tick, ok = c.cronNext(t)
	} else {
		tick = c.everyNext(t)
	}
	if !ok || !c.end.IsZero() && tick.After(c.end) {
		return time.Time{}, false
	}
	return tick.UTC(), true
}

func (c *Calendar) everyNext(t time.Time) time.Time {
	if t.Before(c.anchor) {
		return c.anchor
	}
	n := t.Sub(c.anchor)/c.every + 1
	return c.anchor.Add(n * c.every)
}

// cronNext walks the spans of time in which the zone's offset from UTC is constant.
func (c *Calendar) cronNext(after time.Time) (time.Time, bool) {
	at := after.Add(1)
	for limit := after.AddDate(yearsAhead, 0, 0); at.Before(limit); {
		s := spanAt(at, c.zone)
		from := asWall(at, s.offset)
		if !c.cron.everyHour && !s.start.IsZero() {
			shown := asWall(s.start, s.before) // what the clocks would show at the start, had they not been changed
			if first := asWall(s.start, s.offset); at.Equal(s.start) && first.After(shown) {
				if left, ok := c.cron.next(shown); ok && left.Before(first) {
					return s.start, true
				}
			}
			if shown.After(from) {
				from = shown // what the clocks show again has ticked
			}
		}
		wall, ok := c.cron.next(from)
		if !ok {
			return time.Time{}, false
		}
		if tick := wall.Add(-s.offset); s.end.IsZero() || tick.Before(s.end) {
			return tick, true
		}
		at = s.end
		if near := wall.Add(-24 * time.Hour); near.After(at) { // no clock is a day ahead of UTC
			at = near
		}
	}
	return time.Time{}, false
}

// zoneSpan is a time in which a zone's offset from UTC does not change.
type zoneSpan struct {
	start, end     time.Time     // zero where there is none
	before, offset time.Duration // ahead of UTC: until start, and then
}

func spanAt(t time.Time, zone *time.Location) zoneSpan {
	t = t.In(zone)
	var s zoneSpan
	s.start, s.end = t.ZoneBounds()
	s.offset = offset(t)
	if !s.start.IsZero() {
		s.before = offset(s.start.Add(-1))
	}
	return s
}

func offset(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// asWall returns what clocks that are ahead of UTC show at t.
func asWall(t time.Time, ahead time.Duration) time.Time { return t.UTC().Add(ahead) }
