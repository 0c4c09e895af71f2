package campaign

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// validate completes r with its defaults and holds it against the rules.
func (r *Request) validate(tenant string) error {
	var details []fault.Detail
	add := func(field, format string, args ...any) {
		details = append(details, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if r.Rate == 0 {
		r.Rate = DefaultRate
	}
	if r.Max == 0 {
		r.Max = DefaultTasks
	}
	r.Reason = strings.TrimSpace(r.Reason)
	if err := events.CheckToken("tenant", tenant); err != nil {
		add("tenant", "%v", err)
	}
	if r.Action != Replay && r.Action != Discard && r.Action != Cancel {
		add("action", "must be one of replay, discard, cancel")
	}
	if r.Canary < 0 || r.Canary > MaxCanary {
		add("canary", "is %d, must be 0 to %d", r.Canary, MaxCanary)
	}
	if r.Rate < 1 || r.Rate > MaxRate {
		add("rate_per_minute", "is %d, must be 1 to %d", r.Rate, MaxRate)
	}
	if r.Max < 1 || r.Max > MaxTasks {
		add("max", "is %d, must be 1 to %d", r.Max, MaxTasks)
	}
	if n := len(r.Reason); n < 1 || n > MaxReason {
		add("reason", "has %d bytes, must have 1 to %d", n, MaxReason)
	}
	if r.Action != Replay && r.Canary != 0 {
		add("canary", "is for replays only")
	}
	if r.Action != Replay && r.Edit != nil {
		add("edit", "is for replays only")
	}
	if len(r.Edit) > MaxEdit {
		add("edit", "has %d bytes, at most %d are allowed", len(r.Edit), MaxEdit)
	} else if r.Edit != nil {
		if _, err := merge(json.RawMessage(`{}`), r.Edit); err != nil {
			details = append(details, detailsOf(err, "edit")...)
		}
	}
	if r.Action != Cancel && len(r.Filter.States) > 0 {
		add("filter.states", "is for cancellations only")
	}
	if i := slices.IndexFunc(r.Filter.States, func(s task.State) bool { return s.Terminal() || !slices.Contains(task.States(), s) }); i >= 0 {
		add(fmt.Sprintf("filter.states[%d]", i), "is no state of an open task")
	}
	if len(r.Filter.Kinds) > maxChoices || len(r.Filter.Causes) > maxChoices || len(r.Filter.Labels) > task.MaxLabels {
		add("filter", "has too many kinds, causes or labels")
	}
	if len(r.Filter.Search) > maxSearch || len(r.Filter.Fingerprint) > maxSearch || len(r.Filter.UserID) > maxSearch {
		add("filter", "has a text of more than %d bytes", maxSearch)
	}
	if after, before := r.Filter.CreatedAfter, r.Filter.CreatedBefore; after != nil && before != nil && !before.After(*after) {
		add("filter.created_before", "is not after created_after")
	}
	if details != nil {
		return fault.InvalidFields(details)
	}
	return nil
}

// Bounds of a filter.
const (
	maxChoices = 64
	maxSearch  = 256
)
