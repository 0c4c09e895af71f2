package callback

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// MaxReplay is how many dead deliveries one call makes pending again.
const MaxReplay = 10_000

// Test sends a message of TypeTest to an endpoint, once, by the way that all messages go. What came of it is in the log under the id
// that is returned. Errors: NotFound; Conflict when the endpoint is disabled; Unavailable, Timeout.
func (s *Service) Test(ctx context.Context, tenant, id string) (Delivery, error) {
	e, err := s.Endpoints.Endpoint(ctx, tenant, id)
	if err != nil {
		return Delivery{}, err
	}
	if e.State != Active {
		return Delivery{}, fault.New(fault.Conflict, "the endpoint is disabled: enable it first")
	}
	key, err := uuid.NewV7()
	if err != nil {
		return Delivery{}, fmt.Errorf("new delivery id: %w", err)
	}
	now := s.now()
	d := Delivery{
		ID: key.String(), Tenant: tenant, EndpointID: id, Target: id, EventType: TypeTest, State: Pending, CreatedAt: now, NextAt: &now, ExpiresAt: now,
	}
	if d.Body, err = encode(TypeTest, now, testData{Tenant: tenant, Endpoint: id}); err != nil {
		return Delivery{}, err
	}
	if err := s.Log.AddDelivery(ctx, d); err != nil {
		return Delivery{}, fmt.Errorf("test endpoint %s: %w", id, err)
	}
	return d, nil
}

// Deliveries returns a page of the delivery log, the newest first. Errors: Invalid (fields "state", "limit", "cursor"); Unavailable,
// Timeout.
func (s *Service) Deliveries(ctx context.Context, f DeliveryFilter) (DeliveryPage, error) {
	def(&f.Limit, 50)
	if f.Limit < 1 || f.Limit > MaxPage {
		return DeliveryPage{}, fault.InvalidField("limit", "must be 1 to %d", MaxPage)
	}
	switch f.State {
	case "", Pending, Delivered, Dead:
	default:
		return DeliveryPage{}, fault.InvalidField("state", "%.64q is none of pending, delivered, dead", f.State)
	}
	page, err := s.Log.ListDeliveries(ctx, f)
	for i := range page.Deliveries {
		page.Deliveries[i].URL = Shown(page.Deliveries[i].URL)
	}
	return page, err
}

// Delivery returns one delivery. NotFound; Unavailable, Timeout.
func (s *Service) Delivery(ctx context.Context, tenant, id string) (Delivery, error) {
	d, err := s.Log.Delivery(ctx, tenant, id)
	d.URL = Shown(d.URL)
	return d, err
}

// Replay makes a dead delivery pending again, for another day and under the same webhook-id. Errors: NotFound; Conflict when it is not
// dead, or its endpoint is disabled; Unavailable, Timeout.
func (s *Service) Replay(ctx context.Context, tenant, id string) error {
	d, err := s.Log.Delivery(ctx, tenant, id)
	if err != nil {
		return err
	}
	now := s.now()
	n, err := s.Log.Replay(ctx, Replay{Tenant: tenant, ID: id, At: now, ExpiresAt: now.Add(RetryFor), Limit: 1})
	if err != nil {
		return fmt.Errorf("replay delivery %s: %w", id, err)
	}
	if n == 0 {
		return fault.New(fault.Conflict, "delivery %s is %s, or its endpoint is disabled: only dead ones to an active endpoint are replayed", id, d.State)
	}
	return nil
}

// ReplayDead makes the dead deliveries of an endpoint pending again, the oldest first and at most MaxReplay, and returns how many there
// were: call it again while it is MaxReplay. Errors: NotFound; Conflict when the endpoint is disabled; Unavailable, Timeout.
func (s *Service) ReplayDead(ctx context.Context, tenant, endpoint string) (int, error) {
	e, err := s.Endpoints.Endpoint(ctx, tenant, endpoint)
	if err != nil {
		return 0, err
	}
	if e.State != Active {
		return 0, fault.New(fault.Conflict, "the endpoint is disabled: enable it first")
	}
	now := s.now()
	n, err := s.Log.Replay(ctx, Replay{Tenant: tenant, EndpointID: endpoint, At: now, ExpiresAt: now.Add(RetryFor), Limit: MaxReplay})
	if err != nil {
		return n, fmt.Errorf("replay what endpoint %s did not take: %w", endpoint, err)
	}
	return n, nil
}
