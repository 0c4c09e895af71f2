package callback

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// ServiceConfig is what a Service needs.
type ServiceConfig struct {
	Endpoints Endpoints        // required
	Log       DeliveryLog      // required
	Sealer    Sealer           // required
	Allow     *Allow           // nil: no exceptions
	Now       func() time.Time // nil: time.Now
}

// Service is how admins register endpoints and look at what was delivered. Whether somebody may is the edge's to decide. It is safe for
// concurrent use.
type Service struct {
	ServiceConfig
}

// NewService returns the service of cfg, or an Invalid fault that names what is missing.
func NewService(cfg ServiceConfig) (*Service, error) {
	if cfg.Endpoints == nil || cfg.Log == nil || cfg.Sealer == nil {
		return nil, fault.InvalidField("callback.ServiceConfig", "needs Endpoints, Log and Sealer")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Service{cfg}, nil
}

// now is the time now, as the store keeps it.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// CheckURL holds the callback_url of a task against the rules: see the function CheckURL. It is what task.Config.Callback takes.
func (s *Service) CheckURL(text string) error {
	_, err := CheckURL("callback_url", text, s.Allow)
	return err
}

// Create registers an endpoint. The text is the secret that signs its messages; it is returned this once. Errors: Invalid names the
// fields; Conflict when the tenant has MaxEndpoints; Unavailable, Timeout.
func (s *Service) Create(ctx context.Context, tenant string, spec Spec) (e Endpoint, secret string, err error) {
	if spec, err = spec.tidy(s.Allow); err != nil {
		return Endpoint{}, "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Endpoint{}, "", fmt.Errorf("new endpoint id: %w", err)
	}
	now, raw := s.now(), newSecret()
	e = Endpoint{ID: id.String(), Tenant: tenant, CreatedAt: now, Secrets: Secrets{Current: seal(s.Sealer, tenant, id.String(), raw)}}
	e.apply(spec, now)
	if err := s.Endpoints.CreateEndpoint(ctx, e, MaxEndpoints); err != nil {
		return Endpoint{}, "", fmt.Errorf("create an endpoint: %w", err)
	}
	return e, textOf(raw), nil
}

// disabledByAdmin is the reason of an endpoint that nobody but an admin disabled.
const disabledByAdmin = "disabled by an admin"

func (e *Endpoint) apply(spec Spec, now time.Time) {
	e.URL, e.Description, e.Events, e.UpdatedAt = spec.URL, spec.Description, spec.Events, now
	e.Version++
	switch {
	case !spec.Disabled:
		e.State, e.Reason = Active, ""
	case e.State != Disabled:
		e.State, e.Reason = Disabled, disabledByAdmin
	}
	e.seen(now)
}

// seen sets what follows from the secrets.
func (e *Endpoint) seen(now time.Time) {
	e.RotatingUntil = nil
	if until := e.Secrets.PreviousUntil; e.Secrets.Previous != nil && until != nil && now.Before(*until) {
		e.RotatingUntil = until
	}
}

// Get returns an endpoint of the tenant. NotFound; Unavailable, Timeout.
func (s *Service) Get(ctx context.Context, tenant, id string) (Endpoint, error) {
	e, err := s.Endpoints.Endpoint(ctx, tenant, id)
	e.seen(s.now())
	return e, err
}

// List returns the endpoints of a tenant, oldest first. Unavailable, Timeout.
func (s *Service) List(ctx context.Context, tenant string) ([]Endpoint, error) {
	all, err := s.Endpoints.ListEndpoints(ctx, tenant)
	for i := range all {
		all[i].seen(s.now())
	}
	return all, err
}

// Update puts spec in the place of what was said of an endpoint. version is the one that the caller saw; 0 takes whichever there is.
// An endpoint that is disabled loses what is pending for it to the dead letters; one that is enabled again is told of events from then
// on. Errors: Invalid names the fields; NotFound; Conflict when the version is another; Unavailable, Timeout.
func (s *Service) Update(ctx context.Context, tenant, id string, version int64, spec Spec) (Endpoint, error) {
	spec, err := spec.tidy(s.Allow)
	if err != nil {
		return Endpoint{}, err
	}
	return s.change(ctx, tenant, id, version, func(e *Endpoint, now time.Time) { e.apply(spec, now) })
}

func (s *Service) change(ctx context.Context, tenant, id string, version int64, change func(*Endpoint, time.Time)) (Endpoint, error) {
	e, err := s.Endpoints.Endpoint(ctx, tenant, id)
	if err != nil {
		return Endpoint{}, err
	}
	if version != 0 && version != e.Version {
		return Endpoint{}, fault.New(fault.Conflict, "the endpoint has version %d, not %d: somebody changed it", e.Version, version)
	}
	change(&e, s.now())
	if err := s.Endpoints.UpdateEndpoint(ctx, e); err != nil {
		return Endpoint{}, fmt.Errorf("change endpoint %s: %w", id, err)
	}
	return e, nil
}

// Delete removes an endpoint and what the log has of it. NotFound; Unavailable, Timeout.
func (s *Service) Delete(ctx context.Context, tenant, id string) error {
	return s.Endpoints.DeleteEndpoint(ctx, tenant, id)
}

// Rotate gives an endpoint a new secret and returns it, this once. For overlap, at most MaxOverlap, messages carry a signature of the
// secret before it as well; 0 ends that at once. Errors: Invalid (field "overlap"); NotFound; Conflict when somebody changed the
// endpoint at the same time; Unavailable, Timeout.
func (s *Service) Rotate(ctx context.Context, tenant, id string, overlap time.Duration) (e Endpoint, secret string, err error) {
	if err := checkOverlap(overlap); err != nil {
		return Endpoint{}, "", err
	}
	raw := newSecret()
	e, err = s.change(ctx, tenant, id, 0, func(e *Endpoint, now time.Time) {
		e.Secrets = e.Secrets.rotate(seal(s.Sealer, tenant, id, raw), now, overlap)
		e.UpdatedAt = now
		e.Version++
		e.seen(now)
	})
	if err != nil {
		return Endpoint{}, "", err
	}
	return e, textOf(raw), nil
}

func checkOverlap(overlap time.Duration) error {
	if overlap < 0 || overlap > MaxOverlap {
		return fault.InvalidField("overlap", "must be 0 to %d hours", int(MaxOverlap.Hours()))
	}
	return nil
}

// TaskSecrets returns the secrets that sign what goes to the callback_url of a tenant's tasks, the current one first. A tenant that has
// none gets one. Unavailable, Timeout.
func (s *Service) TaskSecrets(ctx context.Context, tenant string) ([]string, error) {
	stored, err := s.Endpoints.TaskSecrets(ctx, tenant, Secrets{Current: seal(s.Sealer, tenant, ofTasks, newSecret())})
	if err != nil {
		return nil, err
	}
	good, err := stored.open(s.Sealer, tenant, ofTasks, s.now())
	texts := make([]string, 0, len(good))
	for secret := range slices.Values(good) {
		texts = append(texts, textOf(secret))
	}
	return texts, err
}

// RotateTaskSecret is Rotate for the secret of TaskSecrets.
func (s *Service) RotateTaskSecret(ctx context.Context, tenant string, overlap time.Duration) (secret string, err error) {
	if err := checkOverlap(overlap); err != nil {
		return "", err
	}
	stored, err := s.Endpoints.TaskSecrets(ctx, tenant, Secrets{Current: seal(s.Sealer, tenant, ofTasks, newSecret())})
	if err != nil {
		return "", err
	}
	raw := newSecret()
	next := stored.rotate(seal(s.Sealer, tenant, ofTasks, raw), s.now(), overlap)
	if err := s.Endpoints.SetTaskSecrets(ctx, tenant, stored.Current, next); err != nil {
		return "", fmt.Errorf("rotate the secret of tasks: %w", err)
	}
	return textOf(raw), nil
}
