package schedule

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// maxOpen bounds how many open runs of a schedule are looked at for one tick.
const maxOpen = 64

// decide does what one tick of s asks for, or one stretch of missed ticks, and returns what is to be saved; an empty decision
// when nothing is due. An error means that it is to be tried again, and nothing may be saved.
func (t *Ticker) decide(ctx context.Context, s Schedule, c *Calendar) (decision, error) {
	now := t.now()
	if s.Paused != nil {
		return decision{}, nil
	}
	d := s.due(c, now, t.Grace)
	if len(s.State.Pending) == 0 && d.missed == 0 && len(d.run) == 0 {
		return decision{}, nil
	}
	if d.missed > 0 {
		return t.miss(ctx, s, d)
	}
	open, seen, err := t.open(ctx, s)
	if err != nil {
		return decision{}, err
	}
	if len(s.State.Pending) > 0 && len(open) == 0 {
		r, err := t.submit(ctx, s, s.State.Pending[0])
		return decision{records: append(seen, r)}, err
	}
	if len(d.run) == 0 {
		return decision{records: seen}, nil
	}
	r, err := t.tick(ctx, s, d.run[0], open)
	return decision{records: append(seen, r), through: d.run[0]}, err
}

// miss counts ticks that nobody serves. The first of them may have a run that was not saved.
func (t *Ticker) miss(ctx context.Context, s Schedule, d dueTicks) (decision, error) {
	id := task.KeyedID(s.Tenant, Key(s.ID, d.first))
	switch _, err := t.Tasks.Get(ctx, s.Tenant, id); {
	case err == nil:
		return decision{records: []Tick{{At: d.first, TaskID: id, Outcome: Submitted}}, through: d.first}, nil
	case !fault.Is(err, fault.NotFound):
		return decision{}, err
	}
	r := Tick{At: d.last, Outcome: Missed, Count: d.missed, Detail: fmt.Sprintf("%d missed from %s on", d.missed, d.first.Format(time.RFC3339))}
	return decision{records: []Tick{r}, through: d.last, missed: d.missed}, nil
}

// open returns the runs of s that have not ended, and what it saw of the last one that has: that it failed.
func (t *Ticker) open(ctx context.Context, s Schedule) (open []task.Task, seen []Tick, err error) {
	var ids []string
	if t.Runs != nil {
		if ids, err = t.Runs.Open(ctx, s.ID); err != nil {
			return nil, nil, err
		}
		ids = slices.Clone(ids[:min(len(ids), maxOpen)])
	}
	if last := s.State.LastTask; last != "" && !slices.Contains(ids, last) {
		ids = append(ids, last)
	}
	for _, id := range ids {
		run, err := t.Tasks.Get(ctx, s.Tenant, id)
		switch {
		case fault.Is(err, fault.NotFound):
		case err != nil:
			return nil, nil, err
		case !run.State.Terminal():
			open = append(open, run)
		case run.State == task.Failed:
			seen = append(seen, s.failed(run)...)
		}
	}
	return open, seen, nil
}

// failed returns the record of a failed run that is taken for a good one so far.
func (s Schedule) failed(run task.Task) []Tick {
	i := slices.IndexFunc(s.State.Ticks, func(k Tick) bool { return k.TaskID == run.ID && k.Outcome == Submitted })
	if i < 0 {
		return nil
	}
	r := s.State.Ticks[i]
	r.Outcome, r.Detail = Failed, "failed"
	if run.Failure != nil {
		r.Detail = string(run.Failure.Cause) + ": " + run.Failure.Error
	}
	return []Tick{r}
}

// tick decides on a tick whose time has come, beside the runs that are open.
func (t *Ticker) tick(ctx context.Context, s Schedule, tick time.Time, open []task.Task) (Tick, error) {
	// This tick's own run, and those of later ticks, are open when an earlier decision was not saved or another ticker is ahead.
	id := task.KeyedID(s.Tenant, Key(s.ID, tick))
	earlier := slices.DeleteFunc(open, func(run task.Task) bool {
		return run.ID == id || run.Origin != nil && run.Origin.Tick != nil && run.Origin.Tick.After(tick)
	})
	waits := s.Overlap == Queue && len(s.State.Pending) > 0
	if len(earlier) == 0 && !waits {
		return t.submit(ctx, s, tick)
	}
	if s.Overlap == CancelPrevious {
		return t.replace(ctx, s, tick, earlier)
	}
	switch _, err := t.Tasks.Get(ctx, s.Tenant, id); {
	case err == nil:
		return Tick{At: tick, TaskID: id, Outcome: Submitted}, nil
	case !fault.Is(err, fault.NotFound):
		return Tick{}, err
	case s.Overlap == Queue && len(s.State.Pending) < s.QueueLimit():
		return Tick{At: tick, Outcome: Pending}, nil
	case s.Overlap == Queue:
		return Tick{At: tick, Outcome: Skipped, Detail: fmt.Sprintf("%d ticks wait already", len(s.State.Pending))}, nil
	}
	return Tick{At: tick, Outcome: Skipped, Detail: "run " + earlier[0].ID + " had not ended"}, nil
}

// replace cancels the earlier runs and submits that of tick.
func (t *Ticker) replace(ctx context.Context, s Schedule, tick time.Time, earlier []task.Task) (Tick, error) {
	for _, run := range earlier {
		_, err := t.Tasks.Cancel(ctx, s.Tenant, run.ID, KeyPrefix+s.ID, "the tick of "+tick.Format(time.RFC3339)+" takes its place")
		if err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) { // it ended meanwhile
			return Tick{}, err
		}
	}
	return t.submit(ctx, s, tick)
}

// submit submits the run of a tick, or finds the one that was submitted before.
func (t *Ticker) submit(ctx context.Context, s Schedule, tick time.Time) (Tick, error) {
	sub := s.submission(Key(s.ID, tick))
	sub.Origin.Tick = &tick
	run, _, err := t.Tasks.Submit(ctx, sub)
	switch fault.KindOf(err) {
	case fault.Conflict: // submitted before an edit, or with other times
		return Tick{At: tick, TaskID: task.KeyedID(s.Tenant, sub.Key), Outcome: Submitted}, nil
	case fault.Invalid, fault.TooLarge, fault.Forbidden, fault.Unauthorized, fault.NotFound:
		id := task.KeyedID(s.Tenant, sub.Key)
		if _, missing := t.Tasks.Get(ctx, s.Tenant, id); missing == nil {
			return Tick{At: tick, TaskID: id, Outcome: Submitted}, nil
		}
		return Tick{At: tick, Outcome: Refused, Detail: err.Error()}, nil
	}
	if err != nil {
		return Tick{}, err
	}
	return Tick{At: tick, TaskID: run.ID, Outcome: Submitted}, nil
}

// submission returns what a run that begins now asks for.
func (s Schedule) submission(key string) task.Submission {
	sub := task.Submission{
		Tenant: s.Tenant, UserID: s.CreatedBy, Kind: s.Kind, Input: s.Input, Priority: s.Priority, Key: key, Labels: s.Labels,
		Timeout: time.Duration(s.Timeout), Origin: &events.Origin{Schedule: s.ID},
	}
	ahead := func(d Duration) *time.Time {
		if d == 0 {
			return nil
		}
		at := time.Now().UTC().Add(time.Duration(d))
		return &at
	}
	sub.Deadline, sub.ExpiresAt = ahead(s.Deadline), ahead(s.QueueTTL)
	return sub
}
