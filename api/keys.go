package api

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// KeyBook is what the edge needs of package apikey to keep keys. *apikey.Service has it; see there for what each method does and returns.
type KeyBook interface {
	Create(ctx context.Context, by auth.Principal, spec apikey.Spec) (k apikey.Key, text string, err error)
	List(ctx context.Context, tenant, userID, cursor string, limit int) (keys []apikey.Key, next string, err error)
	Get(ctx context.Context, tenant, id string) (apikey.Key, error)
	Rotate(ctx context.Context, by auth.Principal, id string, overlap time.Duration) (k apikey.Key, text string, err error)
	Revoke(ctx context.Context, by auth.Principal, id string) error
}

var _ KeyBook = (*apikey.Service)(nil)

// defaultOverlap is how long the text before a rotation stays good where nobody says: a day to change it everywhere.
const defaultOverlap = 24 * time.Hour

// overlapOf is how long what a rotation replaces stays good.
func overlapOf(b *RotateRequest) time.Duration {
	if b == nil || b.OverlapSeconds == nil {
		return defaultOverlap
	}
	return time.Duration(*b.OverlapSeconds) * time.Second
}

// shownKey returns k with lists that are there: clients need not ask.
func shownKey(k apikey.Key) apikey.Key {
	k.Scopes, k.IPs, k.Origins = orNone(k.Scopes), orNone(k.IPs), orNone(k.Origins)
	return k
}

// ListAPIKeys implements StrictServerInterface.
func (s *Server) ListAPIKeys(ctx context.Context, r ListAPIKeysRequestObject) (ListAPIKeysResponseObject, error) {
	p, reach, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	user := r.Params.User
	if reach < auth.Tenant {
		if user != "" && user != p.UserID {
			return nil, fault.New(fault.Forbidden, "only admins may list the keys of others")
		}
		user = p.UserID
	}
	keys, next, err := s.cfg.Keys.List(ctx, p.Tenant, user, r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	page := APIKeyPage{Keys: make([]apikey.Key, len(keys)), Next: next}
	for i, k := range keys {
		page.Keys[i] = shownKey(k)
	}
	return ListAPIKeys200JSONResponse(success(ctx, page, "ok")), nil
}

// CreateAPIKey implements StrictServerInterface.
func (s *Server) CreateAPIKey(ctx context.Context, r CreateAPIKeyRequestObject) (CreateAPIKeyResponseObject, error) {
	p, reach, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	b := r.Body
	if reach < auth.Tenant && b.UserID != "" && b.UserID != p.UserID {
		return nil, fault.New(fault.Forbidden, "only admins may make keys for others")
	}
	if usual := s.cfg.Rates().Key(homeOf(p), 0).Rate; reach < auth.Tenant && b.PerMinute > usual { // else nobody had a limit of their own
		return nil, fault.New(fault.Forbidden, "only admins may make keys for more than %d requests a minute", usual)
	}
	made, text, err := s.cfg.Keys.Create(ctx, p, apikey.Spec{
		Name: b.Name, Scopes: b.Scopes, IPs: b.IPs, Origins: b.Origins, PerMinute: b.PerMinute, ExpiresAt: b.ExpiresAt, UserID: b.UserID,
	})
	if err != nil {
		return nil, err
	}
	return CreateAPIKey201JSONResponse(success(ctx, IssuedAPIKey{Key: shownKey(made), Text: text}, "keep the key: it is not shown again")), nil
}

// keyInReach returns a key that the caller may see and change. Another one does not exist for them.
func (s *Server) keyInReach(ctx context.Context, id string) (auth.Principal, apikey.Key, error) {
	p, reach, err := caller(ctx)
	if err != nil {
		return p, apikey.Key{}, err
	}
	k, err := s.cfg.Keys.Get(ctx, p.Tenant, id)
	if err == nil && reach < auth.Tenant && k.UserID != p.UserID {
		err = fault.New(fault.NotFound, "there is no API key %q", clip(id))
	}
	return p, k, err
}

// GetAPIKey implements StrictServerInterface.
func (s *Server) GetAPIKey(ctx context.Context, r GetAPIKeyRequestObject) (GetAPIKeyResponseObject, error) {
	_, k, err := s.keyInReach(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return GetAPIKey200JSONResponse(success(ctx, shownKey(k), "ok")), nil
}

// RotateAPIKey implements StrictServerInterface.
func (s *Server) RotateAPIKey(ctx context.Context, r RotateAPIKeyRequestObject) (RotateAPIKeyResponseObject, error) {
	p, k, err := s.keyInReach(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	rotated, text, err := s.cfg.Keys.Rotate(ctx, p, k.ID, overlapOf(r.Body))
	if err != nil {
		return nil, err
	}
	return RotateAPIKey200JSONResponse(success(ctx, IssuedAPIKey{Key: shownKey(rotated), Text: text}, "keep the key: it is not shown again")), nil
}

// RevokeAPIKey implements StrictServerInterface.
func (s *Server) RevokeAPIKey(ctx context.Context, r RevokeAPIKeyRequestObject) (RevokeAPIKeyResponseObject, error) {
	p, k, err := s.keyInReach(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Keys.Revoke(ctx, p, k.ID); err != nil {
		return nil, err
	}
	return RevokeAPIKey200JSONResponse(done(ctx, "the key is refused from now on")), nil
}
