package apikey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/secret"
)

// pepper is the label of what MACs of secrets are made with.
const pepper = "apikey pepper"

// publishWait is how long a change waits for the broker.
const publishWait = 5 * time.Second

// Config says what a Service works with.
type Config struct {
	Store   Store            // required
	Box     *secret.Box      // required
	Revoker Revoker          // required
	Audit   audit.Recorder   // required
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil discards
}

// Service makes and changes keys. Whether somebody may change keys at all is the edge's to decide; whose, is decided here: their own,
// and those of people below them. An API key changes none. It is safe for concurrent use.
type Service struct {
	store   Store
	box     *secret.Box
	revoker Revoker
	audit   audit.Recorder
	now     func() time.Time
	logger  *slog.Logger
}

// NewService returns the service of cfg.
func NewService(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Box == nil || cfg.Revoker == nil || cfg.Audit == nil {
		return nil, errors.New("apikey: Store, Box, Revoker and Audit are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{store: cfg.Store, box: cfg.Box, revoker: cfg.Revoker, audit: cfg.Audit, now: cfg.Now, logger: cfg.Logger}, nil
}

// Create makes a key for by, or for spec.UserID, somebody of by's tenant over whom by has power. The text is what is sent as the bearer token; it is
// returned this once. Errors: Invalid names the fields; Forbidden; NotFound for a user whom the tenant does not have; Conflict when
// the user is disabled or has MaxKeys; Unavailable, Timeout.
func (s *Service) Create(ctx context.Context, by auth.Principal, spec Spec) (k Key, text string, err error) {
	if err := person(by); err != nil {
		return Key{}, "", err
	}
	if spec.UserID == "" {
		spec.UserID = by.UserID
	}
	owner, err := s.store.Owner(ctx, by.Tenant, spec.UserID)
	if err != nil {
		return Key{}, "", fmt.Errorf("create an API key: %w", err)
	}
	if owner.UserID != by.UserID && !by.Role.Above(owner.Role) {
		return Key{}, "", fault.New(fault.Forbidden, "you may make keys for yourself, and for people whose role is below yours")
	}
	if !owner.Active {
		return Key{}, "", fault.New(fault.Conflict, "the user is disabled")
	}
	now := s.time()
	if spec, err = spec.tidy(owner.Role, now); err != nil {
		return Key{}, "", err
	}
	k = Key{
		ID: random(idSize), Tenant: owner.Tenant, UserID: owner.UserID, Name: spec.Name, Scopes: spec.Scopes, IPs: spec.IPs, Origins: spec.Origins,
		PerMinute: spec.PerMinute, CreatedAt: now, ExpiresAt: spec.ExpiresAt,
	}
	part := random(secretSize)
	err = s.store.Create(ctx, k, mac(s.box, k.ID, part), MaxKeys)
	s.record(ctx, by, "apikey.created", k, map[string]any{"user_id": k.UserID, "scopes": k.Scopes}, err)
	if err != nil {
		return Key{}, "", fmt.Errorf("create an API key: %w", err)
	}
	s.tell(ctx, k)
	return k, format(k.ID, part), nil
}

// List returns a page of the tenant's keys, or of one user's when userID is not empty: the newest first, also those that are revoked, and
// the cursor of the next page, empty on the last. limit is 1 to MaxPage, 50 when 0. Errors: Invalid (fields "cursor", "limit"),
// Unavailable, Timeout.
func (s *Service) List(ctx context.Context, tenant, userID, cursor string, limit int) (keys []Key, next string, err error) {
	if limit == 0 {
		limit = 50
	}
	if limit < 1 || limit > MaxPage {
		return nil, "", fault.InvalidField("limit", "must be 1 to %d", MaxPage)
	}
	return s.store.List(ctx, tenant, userID, cursor, limit)
}

// Get returns a key of the tenant. NotFound; Unavailable, Timeout.
func (s *Service) Get(ctx context.Context, tenant, id string) (Key, error) {
	r, err := s.store.Get(ctx, tenant, id)
	return r.Key, err
}

// Rotate gives a key a new secret and returns its text, this once. The secret before it stays good for overlap, at most MaxOverlap; 0
// ends it at once. Errors: Invalid (field "overlap"); NotFound, also for the key of somebody whose keys are none of by's business;
// Forbidden; Conflict when the key is revoked or expired, or was rotated at the same time; Unavailable, Timeout.
func (s *Service) Rotate(ctx context.Context, by auth.Principal, id string, overlap time.Duration) (k Key, text string, err error) {
	if overlap < 0 || overlap > MaxOverlap {
		return Key{}, "", fault.InvalidField("overlap", "must be 0 to %d hours", int(MaxOverlap.Hours()))
	}
	r, err := s.find(ctx, by, id, func(owner auth.Role) bool { return by.Role.Above(owner) }) // who knows its secret can act for its user
	if err != nil {
		return Key{}, "", err
	}
	now := s.time()
	if r.Key.RevokedAt != nil || r.Key.ExpiresAt != nil && !now.Before(*r.Key.ExpiresAt) {
		return Key{}, "", fault.New(fault.Conflict, "the API key is revoked or has expired: make a new one")
	}
	part := random(secretSize)
	rotation := Rotation{Replaces: r.Hash, Hash: mac(s.box, id, part), At: now}
	if overlap > 0 {
		until := now.Add(overlap)
		rotation.Until = &until
	}
	k, err = s.store.Rotate(ctx, by.Tenant, id, rotation)
	s.record(ctx, by, "apikey.rotated", r.Key, map[string]any{"overlap_seconds": int(overlap.Seconds())}, err)
	if err != nil {
		return Key{}, "", fmt.Errorf("rotate API key %s: %w", id, err)
	}
	s.tell(ctx, k)
	return k, format(id, part), nil
}

// Revoke ends a key for good; again, it is a success. Admins may end the key of anybody but a platform admin. When the broker cannot be
// reached the key is revoked and the error, Unavailable or Timeout, says that some processes may take it for another minute: repeat it. Other
// errors: NotFound, also for the key of somebody whose keys are none of by's business; Forbidden.
func (s *Service) Revoke(ctx context.Context, by auth.Principal, id string) error {
	r, err := s.find(ctx, by, id, func(owner auth.Role) bool { return by.Role == owner || by.Role.Above(owner) })
	if err != nil {
		return err
	}
	changed, err := s.store.Revoke(ctx, by.Tenant, id, s.time())
	if changed || err != nil {
		s.record(ctx, by, "apikey.revoked", r.Key, map[string]any{"user_id": r.Key.UserID}, err)
	}
	if err == nil {
		err = s.publish(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("revoke API key %s: %w", id, err)
	}
	return nil
}

// find returns a key that by may change: their own, or as an admin one whose user's role is within their power.
func (s *Service) find(ctx context.Context, by auth.Principal, id string, power func(owner auth.Role) bool) (Record, error) {
	if err := person(by); err != nil {
		return Record{}, err
	}
	r, err := s.store.Get(ctx, by.Tenant, id)
	switch {
	case err != nil:
		return Record{}, err
	case r.Key.UserID == by.UserID:
		return r, nil
	case by.Role != auth.Admin && by.Role != auth.PlatformAdmin:
		return Record{}, fault.New(fault.NotFound, "there is no API key %.64q", id)
	case !power(r.Owner.Role):
		return Record{}, fault.New(fault.Forbidden, "the API key is that of a user whose role is not below yours")
	}
	return r, nil
}

// person refuses API keys: one that is leaked must not make others.
func person(by auth.Principal) error {
	if by.KeyID != "" || by.Scopes != nil {
		return fault.New(fault.Forbidden, "API keys may not do this: sign in")
	}
	return nil
}

// time is the time now, as the store keeps it.
func (s *Service) time() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

func (s *Service) publish(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishWait)
	defer cancel()
	return s.revoker.Publish(ctx, auth.Revocation{Kind: auth.RevokedKey, ID: id, Before: s.now()})
}

// tell publishes a change that need not be heard at once: without it a process knows the key as it was for a minute.
func (s *Service) tell(ctx context.Context, k Key) {
	if err := s.publish(ctx, k.ID); err != nil {
		s.logger.WarnContext(ctx, "a change of an API key could not be published", "key_id", k.ID, "error", err)
	}
}

// record puts on record what was done, or tried. What was done stays done when the record cannot be written; the log then says so.
func (s *Service) record(ctx context.Context, by auth.Principal, action string, k Key, detail map[string]any, err error) {
	e := audit.Entry{Tenant: k.Tenant, Actor: by.UserID, Action: action, Target: k.ID, Outcome: audit.Done, SessionID: by.SessionID}
	if err != nil {
		e.Outcome = fault.KindOf(err).String()
	}
	e.Detail, _ = json.Marshal(detail) // of strings and numbers: it always encodes
	if err := s.audit.Append(context.WithoutCancel(ctx), e); err != nil {
		s.logger.ErrorContext(ctx, "a change of an API key is not on record", "action", action, "key_id", k.ID, "actor", by.UserID, "outcome", e.Outcome, "error", err)
	}
}

// mac returns what is stored of a secret.
func mac(box *secret.Box, id, part string) []byte { return box.MAC(pepper, proof(id, part)) }

func proof(id, part string) []byte { return []byte(id + "." + part) }
