package schedule

import (
	"slices"
	"strings"
	"time"
)

// decision is what was decided on one or several ticks. Applying it twice, or to a document that moved on, changes no more than
// it should: it can be saved again until it is in.
type decision struct {
	records []Tick
	through time.Time // every tick up to here is decided; zero when the decision is on a tick that waited
	missed  int
}

func (d decision) empty() bool { return len(d.records) == 0 }

func (s *Schedule) apply(d decision, now time.Time) {
	st := &s.State
	fresh := d.through.After(st.Through)
	for _, r := range d.records {
		if r.TaskID == "" && !fresh && !d.through.IsZero() {
			continue // another ticker has decided on it, or an edit made it void
		}
		if r.Outcome == Pending && s.Overlap != Queue {
			r.Outcome, r.Detail = Skipped, "an earlier run had not ended"
		}
		s.record(r, now)
	}
	if fresh {
		st.Through = d.through
		st.Missed += uint64(d.missed)
	}
}

// record puts r into the history, in place of what is known of the same tick.
func (s *Schedule) record(r Tick, now time.Time) {
	st := &s.State
	r.Detail = bounded(r.Detail)
	i := slices.IndexFunc(st.Ticks, func(k Tick) bool {
		return k.By == r.By && (r.By == "" && k.At.Equal(r.At) || r.By != "" && k.TaskID == r.TaskID)
	})
	known := i >= 0 && st.Ticks[i].TaskID != ""
	switch {
	case known && r.TaskID == "":
		return // a run on record is not undone by who did not know of it
	case i >= 0:
		st.Ticks[i] = r
	default:
		st.Ticks = append(st.Ticks, r)
	}
	if over := len(st.Ticks) - KeptTicks; over > 0 {
		st.Ticks = slices.Delete(st.Ticks, 0, over)
	}
	if r.Outcome == Pending {
		if !slices.ContainsFunc(st.Pending, r.At.Equal) {
			st.Pending = append(st.Pending, r.At)
		}
	} else if r.By == "" {
		st.Pending = slices.DeleteFunc(st.Pending, r.At.Equal)
	}
	if r.Outcome == Submitted && !known {
		st.LastTask = r.TaskID
	}
	if r.By == "" && (st.LastTick == nil || r.At.After(*st.LastTick)) {
		at := r.At
		st.LastTick = &at
	}
	if r.Outcome == Refused || r.Outcome == Failed {
		st.LastError, st.LastErrorAt = r.Detail, now
	}
}

// maxDetail bounds what is kept of an error, in bytes.
const maxDetail = 300

func bounded(s string) string {
	if len(s) > maxDetail {
		return strings.ToValidUTF8(s[:maxDetail], "") + "…"
	}
	return s
}

// showNext brings State.NextTick up to date.
func (s *Schedule) showNext(c *Calendar) {
	s.State.NextTick = nil
	if s.Paused != nil {
		return
	}
	if tick, ok := c.Next(s.State.Through); ok {
		s.State.NextTick = &tick
	}
}
