package api

import (
	"context"
	"net/url"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/callback"
)

// Webhooks is what the edge needs of package callback. *callback.Service has it; see there for what each method does and returns.
type Webhooks interface {
	Create(ctx context.Context, tenant string, spec callback.Spec) (e callback.Endpoint, secret string, err error)
	List(ctx context.Context, tenant string) ([]callback.Endpoint, error)
	Get(ctx context.Context, tenant, id string) (callback.Endpoint, error)
	Update(ctx context.Context, tenant, id string, version int64, spec callback.Spec) (callback.Endpoint, error)
	Delete(ctx context.Context, tenant, id string) error
	Rotate(ctx context.Context, tenant, id string, overlap time.Duration) (e callback.Endpoint, secret string, err error)
	TaskSecrets(ctx context.Context, tenant string) ([]string, error)
	RotateTaskSecret(ctx context.Context, tenant string, overlap time.Duration) (secret string, err error)
	DeliveryBook
}

var _ Webhooks = (*callback.Service)(nil)

// shownWebhook returns e with lists that are there: clients need not ask.
func shownWebhook(e callback.Endpoint) callback.Endpoint {
	e.Events = orNone(e.Events)
	return e
}

func specOf(b *WebhookRequest) callback.Spec {
	return callback.Spec{URL: b.URL, Description: b.Description, Events: b.Events, Disabled: b.Disabled}
}

// recordWebhook puts what an admin says of a webhook on record. Of its URL that is where it leads: the rest may be a secret.
func (s *Server) recordWebhook(ctx context.Context, p auth.Principal, action, id string, b *WebhookRequest, err error) {
	var host string
	if u, err := url.Parse(b.URL); err == nil {
		host = u.Host
	}
	s.record(ctx, p, action, id, struct {
		Host     string        `json:"host"`
		Events   []events.Type `json:"events"`
		Disabled bool          `json:"disabled"`
	}{host, orNone(b.Events), b.Disabled}, err)
}

const keepSecret = "keep the secret: it is not shown again"

// ListWebhooks implements StrictServerInterface.
func (s *Server) ListWebhooks(ctx context.Context, _ ListWebhooksRequestObject) (ListWebhooksResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Webhooks.List(ctx, p.Tenant)
	if err != nil {
		return nil, err
	}
	list := make([]callback.Endpoint, len(all))
	for i, e := range all {
		list[i] = shownWebhook(e)
	}
	return ListWebhooks200JSONResponse(success(ctx, WebhookList{Webhooks: list}, "ok")), nil
}

// CreateWebhook implements StrictServerInterface.
func (s *Server) CreateWebhook(ctx context.Context, r CreateWebhookRequestObject) (CreateWebhookResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	made, secret, err := s.cfg.Webhooks.Create(ctx, p.Tenant, specOf(r.Body))
	s.recordWebhook(ctx, p, "webhook.created", made.ID, r.Body, err)
	if err != nil {
		return nil, err
	}
	return CreateWebhook201JSONResponse(success(ctx, IssuedWebhook{Webhook: shownWebhook(made), Secret: secret}, keepSecret)), nil
}

// GetWebhook implements StrictServerInterface.
func (s *Server) GetWebhook(ctx context.Context, r GetWebhookRequestObject) (GetWebhookResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.cfg.Webhooks.Get(ctx, p.Tenant, r.ID)
	if err != nil {
		return nil, err
	}
	return GetWebhook200JSONResponse(success(ctx, shownWebhook(found), "ok")), nil
}

// UpdateWebhook implements StrictServerInterface.
func (s *Server) UpdateWebhook(ctx context.Context, r UpdateWebhookRequestObject) (UpdateWebhookResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	saved, err := s.cfg.Webhooks.Update(ctx, p.Tenant, r.ID, r.Params.Version, specOf(r.Body))
	s.recordWebhook(ctx, p, "webhook.changed", r.ID, r.Body, err)
	if err != nil {
		return nil, err
	}
	return UpdateWebhook200JSONResponse(success(ctx, shownWebhook(saved), "the webhook is changed")), nil
}

// DeleteWebhook implements StrictServerInterface.
func (s *Server) DeleteWebhook(ctx context.Context, r DeleteWebhookRequestObject) (DeleteWebhookResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Webhooks.Delete(ctx, p.Tenant, r.ID)
	s.record(ctx, p, "webhook.deleted", r.ID, nil, err)
	if err != nil {
		return nil, err
	}
	return DeleteWebhook200JSONResponse(done(ctx, "the webhook is deleted")), nil
}

// RotateWebhook implements StrictServerInterface.
func (s *Server) RotateWebhook(ctx context.Context, r RotateWebhookRequestObject) (RotateWebhookResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	overlap := overlapOf(r.Body)
	rotated, secret, err := s.cfg.Webhooks.Rotate(ctx, p.Tenant, r.ID, overlap)
	s.record(ctx, p, "webhook.secret_rotated", r.ID, map[string]float64{"overlap_seconds": overlap.Seconds()}, err)
	if err != nil {
		return nil, err
	}
	return RotateWebhook200JSONResponse(success(ctx, IssuedWebhook{Webhook: shownWebhook(rotated), Secret: secret}, keepSecret)), nil
}

// GetTaskSecret implements StrictServerInterface.
func (s *Server) GetTaskSecret(ctx context.Context, _ GetTaskSecretRequestObject) (GetTaskSecretResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	secrets, err := s.cfg.Webhooks.TaskSecrets(ctx, p.Tenant)
	s.record(ctx, p, "webhook.task_secret_read", "", nil, err)
	if err != nil {
		return nil, err
	}
	return GetTaskSecret200JSONResponse(success(ctx, TaskSecrets{Secrets: secrets}, "ok")), nil
}

// RotateTaskSecret implements StrictServerInterface.
func (s *Server) RotateTaskSecret(ctx context.Context, r RotateTaskSecretRequestObject) (RotateTaskSecretResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	overlap := overlapOf(r.Body)
	secret, err := s.cfg.Webhooks.RotateTaskSecret(ctx, p.Tenant, overlap)
	s.record(ctx, p, "webhook.task_secret_rotated", "", map[string]float64{"overlap_seconds": overlap.Seconds()}, err)
	if err != nil {
		return nil, err
	}
	return RotateTaskSecret200JSONResponse(success(ctx, TaskSecrets{Secrets: []string{secret}}, "messages are signed with the new secret")), nil
}
