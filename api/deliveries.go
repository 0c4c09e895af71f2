package api

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/callback"
)

// DeliveryBook is the part of Webhooks for what was sent and is to be.
type DeliveryBook interface {
	Test(ctx context.Context, tenant, id string) (callback.Delivery, error)
	Deliveries(ctx context.Context, f callback.DeliveryFilter) (callback.DeliveryPage, error)
	Delivery(ctx context.Context, tenant, id string) (callback.Delivery, error)
	Replay(ctx context.Context, tenant, id string) error
	ReplayDead(ctx context.Context, tenant, endpoint string) (int, error)
}

// TestWebhook implements StrictServerInterface.
func (s *Server) TestWebhook(ctx context.Context, r TestWebhookRequestObject) (TestWebhookResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	sent, err := s.cfg.Webhooks.Test(ctx, p.Tenant, r.ID)
	s.record(ctx, p, "webhook.tested", r.ID, nil, err)
	if err != nil {
		return nil, err
	}
	return TestWebhook202JSONResponse(success(ctx, sent, "see the delivery for what came of it")), nil
}

// ListDeliveries implements StrictServerInterface.
func (s *Server) ListDeliveries(ctx context.Context, r ListDeliveriesRequestObject) (ListDeliveriesResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	q := r.Params
	page, err := s.cfg.Webhooks.Deliveries(ctx, callback.DeliveryFilter{
		Tenant: p.Tenant, EndpointID: q.Endpoint, TaskID: q.Task, State: q.State, Cursor: q.Cursor, Limit: q.Limit,
	})
	if err != nil {
		return nil, err
	}
	return ListDeliveries200JSONResponse(success(ctx, DeliveryPage{Deliveries: orNone(page.Deliveries), Next: page.Next}, "ok")), nil
}

// GetDelivery implements StrictServerInterface.
func (s *Server) GetDelivery(ctx context.Context, r GetDeliveryRequestObject) (GetDeliveryResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.cfg.Webhooks.Delivery(ctx, p.Tenant, r.ID)
	if err != nil {
		return nil, err
	}
	return GetDelivery200JSONResponse(success(ctx, found, "ok")), nil
}

// ReplayDelivery implements StrictServerInterface.
func (s *Server) ReplayDelivery(ctx context.Context, r ReplayDeliveryRequestObject) (ReplayDeliveryResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Webhooks.Replay(ctx, p.Tenant, r.ID)
	s.record(ctx, p, "webhook.delivery_replayed", r.ID, nil, err)
	if err != nil {
		return nil, err
	}
	return ReplayDelivery200JSONResponse(done(ctx, "it waits for its next try")), nil
}

// ReplayWebhook implements StrictServerInterface.
func (s *Server) ReplayWebhook(ctx context.Context, r ReplayWebhookRequestObject) (ReplayWebhookResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	n, err := s.cfg.Webhooks.ReplayDead(ctx, p.Tenant, r.ID)
	s.record(ctx, p, "webhook.replayed", r.ID, map[string]int{"replayed": n}, err)
	if err != nil {
		return nil, err
	}
	return ReplayWebhook200JSONResponse(success(ctx, Replayed{Replayed: n, More: n == callback.MaxReplay}, "they wait for their next try")), nil
}
