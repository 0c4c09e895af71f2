package campaign

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// ServiceConfig is what a Service needs.
type ServiceConfig struct {
	Documents Documents
	Tasks     Tasks
	Audit     audit.Recorder // nil: nothing is put on record beside the histories of the tasks
}

// Service is how edges plan, start and stop campaigns. It is safe for concurrent use and holds no state of its own. A campaign of
// another tenant is NotFound to all its methods.
type Service struct{ ServiceConfig }

// NewService checks cfg and returns the service.
func NewService(cfg ServiceConfig) (*Service, error) {
	for name, missing := range map[string]bool{"Documents": cfg.Documents == nil, "Tasks": cfg.Tasks == nil} {
		if missing {
			return nil, fmt.Errorf("campaign service: ServiceConfig.%s is missing", name)
		}
	}
	return &Service{cfg}, nil
}

// Start makes a campaign, which a runner takes up at once. Where key is not empty, the same key and request give the same campaign
// again, and the second result is false.
//
// Errors: Invalid names the fields, also "edit" when it makes an input of the plan's sample invalid and "filter" when nothing matches;
// Conflict when the key came with another request, or the tenant has MaxActive campaigns under way; Unavailable.
func (s *Service) Start(ctx context.Context, tenant, by, key string, r Request) (Campaign, bool, error) {
	if err := r.validate(tenant); err != nil {
		return Campaign{}, false, err
	}
	id, err := newID(tenant, key)
	if err != nil {
		return Campaign{}, false, err
	}
	if key != "" {
		if old, _, err := s.Documents.Get(ctx, documentKey(tenant, id)); err == nil {
			return existing(old, r)
		}
	}
	plan, err := s.Plan(ctx, tenant, r)
	if err != nil {
		return Campaign{}, false, err
	}
	if plan.Matched == 0 {
		return Campaign{}, false, fault.InvalidField("filter", "matches nothing")
	}
	for _, sample := range plan.Sample {
		if sample.Problem != nil {
			return Campaign{}, false, fault.InvalidFields(append([]fault.Detail{{
				Field: "edit", Reason: "makes the input of task " + sample.Task.ID + " invalid",
			}}, sample.Problem...))
		}
	}
	if err := s.makeRoom(ctx, tenant); err != nil {
		return Campaign{}, false, err
	}
	matched := min(plan.Matched, r.Max)
	c := Campaign{
		ID: id, Tenant: tenant, Request: r, By: by, State: Planned, CreatedAt: now(), Counts: Counts{Matched: matched, Remaining: matched},
	}
	_, err = s.Documents.Put(ctx, c.documentKey(), c, 0)
	if fault.Is(err, fault.Conflict) {
		old, err := s.Get(ctx, tenant, id)
		if err != nil {
			return Campaign{}, false, err
		}
		return existing(old, r)
	}
	if err != nil {
		return Campaign{}, false, fmt.Errorf("start campaign %s: %w", id, err)
	}
	s.audit(ctx, c, by, "campaign.started", r)
	return c, true, nil
}

// existing answers a repeated start.
func existing(old Campaign, r Request) (Campaign, bool, error) {
	x, errX := json.Marshal(old.Request)
	y, errY := json.Marshal(r)
	if errX != nil || errY != nil || string(x) != string(y) {
		return Campaign{}, false, fault.New(fault.Conflict, "the Idempotency-Key was used for campaign %s with another request", old.ID)
	}
	return old, false, nil
}

// makeRoom deletes the oldest campaigns that ended, so that MaxKept remain with a new one.
func (s *Service) makeRoom(ctx context.Context, tenant string) error {
	all, err := s.List(ctx, tenant)
	if err != nil {
		return err
	}
	active := 0
	for i, c := range all {
		switch {
		case !c.State.Ended():
			active++
		case i >= MaxKept-1:
			if err := s.Documents.Delete(ctx, c.documentKey(), 0); err != nil {
				return fmt.Errorf("delete campaign %s: %w", c.ID, err)
			}
		}
	}
	if active >= MaxActive {
		return fault.New(fault.Conflict, "%s has %d campaigns under way, at most %d are allowed; stop one", tenant, active, MaxActive)
	}
	return nil
}

// Get returns a campaign, or NotFound.
func (s *Service) Get(ctx context.Context, tenant, id string) (Campaign, error) {
	c, _, err := s.read(ctx, tenant, id)
	return c, err
}

// List returns the tenant's campaigns, newest first, at most about MaxKept of them.
func (s *Service) List(ctx context.Context, tenant string) ([]Campaign, error) {
	if err := events.CheckToken("tenant", tenant); err != nil {
		return nil, fault.InvalidField("tenant", "%v", err)
	}
	all, err := s.Documents.List(ctx, documentKey(tenant, "*"), 2*MaxKept)
	if err != nil {
		return nil, fmt.Errorf("list campaigns: %w", err)
	}
	slices.SortFunc(all, func(a, b Campaign) int { return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID)) })
	return all, nil
}

// maxRaces bounds how often a document is changed anew because somebody else changed it in between.
const maxRaces = 16

// Stop ends a campaign: what it replayed goes on, nothing more is replayed. One that has ended is returned as it is.
func (s *Service) Stop(ctx context.Context, tenant, id, by, reason string) (Campaign, error) {
	for range maxRaces {
		c, rev, err := s.read(ctx, tenant, id)
		if err != nil || c.State.Ended() {
			return c, err
		}
		c.end(Stopped, "stopped by "+by+": "+bounded(reason))
		_, err = s.Documents.Put(ctx, c.documentKey(), c, rev)
		if fault.Is(err, fault.Conflict) {
			continue
		}
		if err != nil {
			return Campaign{}, fmt.Errorf("stop campaign %s: %w", id, err)
		}
		s.audit(ctx, c, by, "campaign.stopped", map[string]string{"reason": reason})
		return c, nil
	}
	return Campaign{}, fault.After(time.Second, "campaign %s changes too fast to stop it; try again", id)
}

// end closes c. Its place stays until its runner has noticed.
func (c *Campaign) end(state State, why string) {
	at := now()
	c.State, c.Why, c.EndedAt = state, why, &at
}

func (s *Service) read(ctx context.Context, tenant, id string) (Campaign, uint64, error) {
	if uuid.Validate(id) != nil || events.CheckToken("tenant", tenant) != nil {
		return Campaign{}, 0, notFound(id)
	}
	c, rev, err := s.Documents.Get(ctx, documentKey(tenant, id))
	switch {
	case fault.Is(err, fault.NotFound):
		return Campaign{}, 0, notFound(id)
	case err != nil:
		return Campaign{}, 0, fmt.Errorf("read campaign %s: %w", id, err)
	}
	return c, rev, nil
}

func notFound(id string) error { return fault.New(fault.NotFound, "there is no campaign %.64q", id) }

// newID is random and ordered by time, or derived from the tenant's key.
func newID(tenant, key string) (string, error) {
	if key != "" {
		return uuid.NewSHA1(uuid.NewSHA1(uuid.NameSpaceURL, []byte("toolboxai:campaigns:"+tenant)), []byte(key)).String(), nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("new campaign id: %w", err)
	}
	return id.String(), nil
}

// audit puts an act on record. The act is done already: what cannot be recorded does not undo it, and the caller is not told. Who hangs up leaves no gap.
func (s *Service) audit(ctx context.Context, c Campaign, by, action string, detail any) {
	if s.Audit == nil {
		return
	}
	raw, err := json.Marshal(detail)
	if err != nil {
		return
	}
	_ = s.Audit.Append(context.WithoutCancel(ctx), audit.Entry{At: now(), Tenant: c.Tenant, Actor: by, Action: action, Target: c.ID, Detail: raw, Outcome: audit.Done})
}

func now() time.Time { return time.Now().UTC().Round(0) }

// detailsOf returns what err says of fields, or all that it says as a detail of field.
func detailsOf(err error, field string) []fault.Detail {
	var f *fault.Error
	if errors.As(err, &f) && f.Details != nil {
		return f.Details
	}
	return []fault.Detail{{Field: field, Reason: err.Error()}}
}

// bounded clips what comes from elsewhere into the document.
func bounded(s string) string {
	if len(s) > MaxReason {
		return s[:MaxReason] + "…"
	}
	return s
}
