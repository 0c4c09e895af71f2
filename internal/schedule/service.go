package schedule

import (
	"cmp"
	"context"
	"encoding/json"
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
	Checker   Checker
	Audit     audit.Recorder   // nil: nothing is put on record
	Now       func() time.Time // time.Now when nil
}

// Service is how edges read and change schedules. It is safe for concurrent use and holds no state of its own. A schedule of
// another tenant is NotFound to all its methods.
type Service struct{ ServiceConfig }

// NewService checks cfg and returns the service.
func NewService(cfg ServiceConfig) (*Service, error) {
	for name, missing := range map[string]bool{"Documents": cfg.Documents == nil, "Tasks": cfg.Tasks == nil, "Checker": cfg.Checker == nil} {
		if missing {
			return nil, fmt.Errorf("schedule service: ServiceConfig.%s is missing", name)
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Service{cfg}, nil
}

func (s *Service) now() time.Time { return s.Now().UTC().Round(0) }

// Create makes a schedule that ticks from now on. Where key is not empty, the same key and definition give the same schedule
// again, and the second result is false.
//
// Errors: Invalid names the fields; Conflict when the key came with another definition, or the tenant has MaxPerTenant schedules.
func (s *Service) Create(ctx context.Context, tenant, by, key string, d Definition) (Schedule, bool, error) {
	now := s.now()
	if err := d.validate(tenant, s.Checker, now); err != nil {
		return Schedule{}, false, err
	}
	id, err := newID(tenant, key)
	if err != nil {
		return Schedule{}, false, err
	}
	if key != "" {
		if old, _, err := s.Documents.Get(ctx, documentKey(tenant, id)); err == nil {
			return s.existing(old, d)
		}
	}
	all, err := s.List(ctx, tenant)
	if err != nil {
		return Schedule{}, false, err
	}
	if len(all) >= MaxPerTenant {
		return Schedule{}, false, fault.New(fault.Conflict, "%s has %d schedules, at most %d are allowed; delete one that has ended", tenant, len(all), MaxPerTenant)
	}
	doc := Schedule{
		ID: id, Tenant: tenant, Definition: d, Revision: 1, CreatedBy: by, CreatedAt: now, UpdatedBy: by, UpdatedAt: now,
		State: State{Anchor: now.Truncate(time.Second), Through: now},
	}
	if err := s.show(&doc); err != nil {
		return Schedule{}, false, err
	}
	_, err = s.Documents.Put(ctx, doc.documentKey(), doc, 0)
	if fault.Is(err, fault.Conflict) {
		old, _, err := s.Documents.Get(ctx, documentKey(tenant, id))
		if err != nil {
			return Schedule{}, false, fmt.Errorf("read schedule %s: %w", id, err)
		}
		return s.existing(old, d)
	}
	if err != nil {
		return Schedule{}, false, fmt.Errorf("create schedule %s: %w", id, err)
	}
	s.audit(ctx, doc, by, "schedule.created", d)
	return doc, true, nil
}

// existing answers a repeated creation.
func (s *Service) existing(old Schedule, d Definition) (Schedule, bool, error) {
	if !same(old.Definition, d) {
		return Schedule{}, false, fault.New(fault.Conflict, "the Idempotency-Key was used for schedule %s with another definition, or it was edited since", old.ID)
	}
	return old, false, s.show(&old)
}

func same(a, b Definition) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// newID is random and ordered by time, or derived from the tenant's key.
func newID(tenant, key string) (string, error) {
	if key != "" {
		return uuid.NewSHA1(uuid.NewSHA1(uuid.NameSpaceURL, []byte("toolboxai:schedules:"+tenant)), []byte(key)).String(), nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("new schedule id: %w", err)
	}
	return id.String(), nil
}

// Get returns a schedule, or NotFound.
func (s *Service) Get(ctx context.Context, tenant, id string) (Schedule, error) {
	doc, _, err := s.read(ctx, tenant, id)
	if err != nil {
		return Schedule{}, err
	}
	return doc, s.show(&doc)
}

// List returns the tenant's schedules by name, at most MaxPerTenant of them.
func (s *Service) List(ctx context.Context, tenant string) ([]Schedule, error) {
	if err := events.CheckToken("tenant", tenant); err != nil {
		return nil, fault.InvalidField("tenant", "%v", err)
	}
	all, err := s.Documents.List(ctx, documentKey(tenant, "*"), MaxPerTenant)
	if err != nil {
		return nil, fmt.Errorf("list schedules: %w", err)
	}
	slices.SortFunc(all, func(a, b Schedule) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	for i := range all {
		if err := s.show(&all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Preview returns the next n ticks of a definition from now on, fewer when it ends before; n is 1 to MaxPreview. Runs are
// put off by what Jitter gives the schedule. Invalid as Create.
func (s *Service) Preview(_ context.Context, tenant string, d Definition, n int) ([]time.Time, error) {
	if n < 1 || n > MaxPreview {
		return nil, fault.InvalidField("count", "is %d, must be 1 to %d", n, MaxPreview)
	}
	now := s.now()
	if err := d.validate(tenant, s.Checker, now); err != nil {
		return nil, err
	}
	c, err := d.Calendar(now)
	if err != nil {
		return nil, err
	}
	return c.upcoming(now, n), nil
}

// Upcoming returns the next n ticks of a schedule that are not decided; n is 1 to MaxPreview. A paused one has none.
func (s *Service) Upcoming(ctx context.Context, tenant, id string, n int) ([]time.Time, error) {
	if n < 1 || n > MaxPreview {
		return nil, fault.InvalidField("count", "is %d, must be 1 to %d", n, MaxPreview)
	}
	doc, _, err := s.read(ctx, tenant, id)
	if err != nil || doc.Paused != nil {
		return []time.Time{}, err
	}
	c, err := doc.Calendar(doc.State.Anchor)
	if err != nil {
		return nil, err
	}
	return c.upcoming(doc.State.Through, n), nil
}

func (c *Calendar) upcoming(after time.Time, n int) []time.Time {
	ticks := make([]time.Time, 0, n)
	for tick, ok := c.Next(after); ok && len(ticks) < n; tick, ok = c.Next(tick) {
		ticks = append(ticks, tick)
	}
	return ticks
}

func (s *Service) read(ctx context.Context, tenant, id string) (Schedule, uint64, error) {
	if uuid.Validate(id) != nil || events.CheckToken("tenant", tenant) != nil {
		return Schedule{}, 0, notFound(id)
	}
	doc, rev, err := s.Documents.Get(ctx, documentKey(tenant, id))
	switch {
	case fault.Is(err, fault.NotFound):
		return Schedule{}, 0, notFound(id)
	case err != nil:
		return Schedule{}, 0, fmt.Errorf("read schedule %s: %w", id, err)
	}
	return doc, rev, nil
}

func notFound(id string) error { return fault.New(fault.NotFound, "there is no schedule %q", clip(id)) }

// show completes doc for a reader.
func (s *Service) show(doc *Schedule) error {
	c, err := doc.Calendar(doc.State.Anchor)
	if err != nil {
		return fmt.Errorf("schedule %s: %w", doc.ID, err)
	}
	doc.showNext(c)
	return nil
}

// onRecord is what of a definition goes on record: an entry stays when somebody has to be forgotten of whom an input or a name speaks. Its
// own fields stand in the place of the definition's.
type onRecord struct {
	Definition
	Name   *string `json:"name,omitempty"`
	Input  *string `json:"input,omitempty"`
	Labels *string `json:"labels,omitempty"`
}

// audit puts an act on record. The act is done already: what cannot be recorded does not undo it, and the caller is not told. Who hangs up leaves no gap.
func (s *Service) audit(ctx context.Context, doc Schedule, by, action string, detail any) {
	if s.Audit == nil {
		return
	}
	if d, ok := detail.(Definition); ok {
		detail = onRecord{Definition: d}
	}
	raw, err := json.Marshal(detail)
	if err != nil {
		return
	}
	_ = s.Audit.Append(context.WithoutCancel(ctx), audit.Entry{At: s.now(), Tenant: doc.Tenant, Actor: by, Action: action, Target: doc.ID, Detail: raw, Outcome: audit.Done})
}
