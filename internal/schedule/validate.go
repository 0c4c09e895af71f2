package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Checker knows which inputs a kind takes. *task.Service and *task.Catalog do.
type Checker interface {
	CheckInput(kind string, input json.RawMessage) error
}

// Calendar returns when d ticks. An interval without StartAt ticks from anchor on. Invalid names the field that says otherwise.
func (d Definition) Calendar(anchor time.Time) (*Calendar, error) {
	c := &Calendar{zone: time.UTC, every: time.Duration(d.Every), anchor: anchor.Truncate(time.Second)}
	if d.StartAt != nil {
		c.start, c.anchor = *d.StartAt, *d.StartAt
	}
	if d.EndAt != nil {
		c.end = *d.EndAt
	}
	switch {
	case d.Cron == "" && d.Every == 0, d.Cron != "" && d.Every != 0:
		return nil, fault.InvalidField("cron", "or every must be set, and not both")
	case d.Every != 0 && (c.every < MinInterval || c.every > MaxInterval):
		return nil, fault.InvalidField("every", "is %s, must be %s to %s", c.every, MinInterval, MaxInterval)
	case d.Every != 0:
		return c, nil
	}
	if d.TimeZone != "" {
		zone, err := time.LoadLocation(d.TimeZone)
		if err != nil || d.TimeZone == "Local" {
			return nil, fault.InvalidField("time_zone", "%q is no IANA time zone; examples are UTC and America/Los_Angeles", clip(d.TimeZone))
		}
		c.zone = zone
	}
	if len(d.Cron) > 200 {
		return nil, fault.InvalidField("cron", "has %d bytes, at most 200 are allowed", len(d.Cron))
	}
	compiled, err := parseCron(d.Cron)
	if err != nil {
		return nil, fault.InvalidField("cron", "%v", err)
	}
	c.cron = compiled
	return c, nil
}

// spacing is how many ticks are looked at to find two that are too close: more than a minute holds at MinInterval.
const spacing = 64

// validate completes d with its defaults and holds it against the rules at the time now.
func (d *Definition) validate(tenant string, check Checker, now time.Time) error {
	var details []fault.Detail
	add := func(field, format string, args ...any) {
		details = append(details, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if d.Overlap == "" {
		d.Overlap = Skip
	}
	if d.Priority == "" {
		d.Priority = events.Normal
	}
	if d.Cron != "" && d.TimeZone == "" {
		d.TimeZone = "UTC"
	}
	d.Name, d.Cron = strings.TrimSpace(d.Name), strings.TrimSpace(d.Cron)
	d.StartAt, d.EndAt = inUTC(d.StartAt), inUTC(d.EndAt)
	if n := len(d.Input); n > MaxInput {
		add("input", "has %d bytes, at most %d are allowed in a schedule", n, MaxInput)
	}
	if n := utf8.RuneCountInString(d.Name); n < 1 || n > MaxName || !utf8.ValidString(d.Name) || strings.ContainsRune(d.Name, 0) {
		add("name", "has %d characters, must have 1 to %d", n, MaxName)
	}
	if !d.Priority.Valid() {
		add("priority", "%q is none of high, normal, low", clip(string(d.Priority)))
	}
	if d.Overlap != Skip && d.Overlap != Queue && d.Overlap != CancelPrevious {
		add("overlap", "%q is none of skip, queue, cancel_previous", clip(string(d.Overlap)))
	}
	if d.Backfill < 0 || d.Backfill > MaxBackfill {
		add("backfill", "is %d, must be 0 to %d", d.Backfill, MaxBackfill)
	}
	if d.Cron == "" && d.TimeZone != "" {
		add("time_zone", "is for cron only: an interval knows no zone")
	}
	if d.StartAt != nil && d.EndAt != nil && !d.EndAt.After(*d.StartAt) {
		add("end_at", "is not after start_at")
	}
	details = append(details, d.durations()...)
	details = append(details, d.run(tenant, check)...)
	calendar, err := d.Calendar(now)
	if err != nil {
		return fault.InvalidFields(append(details, fieldsOf(err, "cron")...))
	}
	details = append(details, ticks(calendar, d, now)...)
	if details != nil {
		return fault.InvalidFields(details)
	}
	return nil
}

func (d *Definition) durations() []fault.Detail {
	var details []fault.Detail
	for _, v := range []struct {
		field    string
		value    Duration
		low, top time.Duration
	}{
		{"jitter", d.Jitter, 0, MaxJitter}, {"deadline", d.Deadline, time.Second, task.MaxDelay},
		{"queue_ttl", d.QueueTTL, time.Second, task.MaxDelay}, {"timeout", d.Timeout, time.Second, task.MaxTimeout},
	} {
		if value := time.Duration(v.value); value != 0 && (value < v.low || value > v.top) {
			details = append(details, fault.Detail{Field: v.field, Reason: fmt.Sprintf("is %s, must be %s to %s", value, v.low, v.top)})
		}
	}
	return details
}

// run holds what a run is made of against the rules of its kind.
func (d *Definition) run(tenant string, check Checker) []fault.Detail {
	var details []fault.Detail
	if err := events.CheckToken("tenant", tenant); err != nil {
		details = append(details, fault.Detail{Field: "tenant", Reason: err.Error()})
	}
	if len(d.Labels) > task.MaxLabels {
		details = append(details, fault.Detail{Field: "labels", Reason: fmt.Sprintf("has %d entries, at most %d are allowed", len(d.Labels), task.MaxLabels)})
	}
	for name, value := range d.Labels {
		if name == "" || len(name) > maxLabel || len(value) > maxLabel {
			details = append(details, fault.Detail{Field: "labels." + clip(name), Reason: fmt.Sprintf("must have a name of 1 to %d bytes and a value of at most %d", maxLabel, maxLabel)})
		}
	}
	return append(details, fieldsOf(check.CheckInput(d.Kind, d.Input), "input")...)
}

const maxLabel = 63 // bytes, as of a task's

// ticks refuses what never ticks, or too often.
func ticks(c *Calendar, d *Definition, now time.Time) []fault.Detail {
	field := "cron"
	if d.Every != 0 {
		field = "every"
	}
	tick, ok := c.Next(now)
	if !ok && !c.end.IsZero() {
		return []fault.Detail{{Field: "end_at", Reason: "leaves no tick to come"}}
	}
	if !ok {
		return []fault.Detail{{Field: field, Reason: errNever.Error()}}
	}
	for range spacing {
		next, ok := c.Next(tick)
		if !ok {
			break
		}
		if gap := next.Sub(tick); gap < MinInterval {
			return []fault.Detail{{Field: field, Reason: fmt.Sprintf("ticks at %s and %s later; ticks must be at least %s apart", tick.Format(time.RFC3339), gap, MinInterval)}}
		}
		tick = next
	}
	if d.Every != 0 && d.Jitter > d.Every {
		return []fault.Detail{{Field: "jitter", Reason: "is longer than every"}}
	}
	return nil
}

// fieldsOf returns what err says of fields, or all that it says as a detail of field.
func fieldsOf(err error, field string) []fault.Detail {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if errors.As(err, &f) && f.Details != nil {
		return f.Details
	}
	return []fault.Detail{{Field: field, Reason: err.Error()}}
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC().Truncate(time.Second)
	return &u
}
