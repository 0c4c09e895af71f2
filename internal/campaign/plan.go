package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Plan is what a campaign would do.
type Plan struct {
	Matched int       `json:"matched"` // tasks, counted up to MaxCounted
	More    bool      `json:"more"`    // there are more than were counted
	Sample  []Sample  `json:"sample"`  // the newest
	AsOf    time.Time `json:"as_of"`   // of the list
	Stale   bool      `json:"stale"`   // newer tasks may be missing
}

// Sample is a task that a campaign would act on.
type Sample struct {
	Task    task.Task       `json:"task"`            // without input and result
	Input   json.RawMessage `json:"input,omitempty"` // what it would be replayed with, where there is an edit
	Problem []fault.Detail  `json:"problem,omitempty"`
}

// Sizes of a plan.
const (
	MaxCounted = 10_000
	MaxSample  = 10
)

// Plan counts what r would act on and shows a sample, with the inputs as r.Edit makes them. It does nothing and makes nothing.
//
// Errors: Invalid names the fields; Unavailable.
func (s *Service) Plan(ctx context.Context, tenant string, r Request) (Plan, error) {
	if err := r.validate(tenant); err != nil {
		return Plan{}, err
	}
	p := Plan{Sample: []Sample{}}
	for cursor, first := "", true; first || cursor != ""; first = false {
		f := r.Filter.tasks(tenant, r.Action)
		f.Cursor, f.Limit = cursor, task.MaxPage
		page, err := s.Tasks.List(ctx, f)
		if err != nil {
			return Plan{}, fmt.Errorf("plan a campaign: %w", err)
		}
		if first {
			p.AsOf, p.Stale = page.AsOf, page.Stale
		}
		for _, t := range page.Tasks[:min(len(page.Tasks), MaxSample-len(p.Sample))] {
			p.Sample = append(p.Sample, Sample{Task: t})
		}
		p.Matched += len(page.Tasks)
		cursor = page.Next
		if cursor != "" && p.Matched >= MaxCounted {
			p.More = true
			break
		}
	}
	if r.Edit == nil {
		return p, nil
	}
	for i := range p.Sample {
		if err := s.try(ctx, &p.Sample[i], r.Edit); err != nil {
			return Plan{}, err
		}
	}
	return p, nil
}

// try applies an edit to a sample.
func (s *Service) try(ctx context.Context, sample *Sample, edit json.RawMessage) error {
	t, err := s.Tasks.Get(ctx, sample.Task.Tenant, sample.Task.ID)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("plan a campaign: %w", err)
	}
	if t.Kind == task.UnknownKind {
		return nil // skipped, whatever the edit
	}
	sample.Input, err = merge(t.Input, edit)
	if err == nil {
		err = s.Tasks.CheckInput(t.Kind, sample.Input)
	}
	if err != nil {
		sample.Problem = detailsOf(err, "input")
	}
	return nil
}
