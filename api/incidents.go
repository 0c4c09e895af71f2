package api

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Ledger answers what the log's copy knows of many tasks at a time.
type Ledger interface {
	Incidents(ctx context.Context, f task.IncidentFilter) (task.IncidentPage, error)
	UsageReport(ctx context.Context, f task.UsageFilter) ([]task.UsageRow, error)
}

// CampaignBook is what the edge needs of package campaign. *campaign.Service has it; see there for what each method does and returns.
type CampaignBook interface {
	Plan(ctx context.Context, tenant string, r campaign.Request) (campaign.Plan, error)
	Start(ctx context.Context, tenant, by, key string, r campaign.Request) (campaign.Campaign, bool, error)
	Get(ctx context.Context, tenant, id string) (campaign.Campaign, error)
	List(ctx context.Context, tenant string) ([]campaign.Campaign, error)
	Stop(ctx context.Context, tenant, id, by, reason string) (campaign.Campaign, error)
}

var _ CampaignBook = (*campaign.Service)(nil)

// ListIncidents implements StrictServerInterface.
func (s *Server) ListIncidents(ctx context.Context, r ListIncidentsRequestObject) (ListIncidentsResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	q := r.Params
	kinds, err := s.cfg.Catalog.ResolveAll(q.Kind)
	if err != nil {
		return nil, err
	}
	page, err := s.cfg.Ledger.Incidents(ctx, task.IncidentFilter{
		Tenant: p.Tenant, Kinds: kinds, Causes: q.Cause, Fingerprint: q.Fingerprint, Search: q.Search, FailedAfter: q.FailedAfter, FailedBefore: q.FailedBefore,
		Order: task.IncidentOrder(q.Order), Cursor: q.Cursor, Limit: q.Limit,
	})
	if err != nil {
		return nil, err
	}
	return ListIncidents200JSONResponse(success(ctx, Incidents{Incidents: orNone(page.Incidents), Next: page.Next}, "ok")), nil
}

// shown returns c without its runner's bookmark.
func shown(c campaign.Campaign) campaign.Campaign {
	c.Place = campaign.Place{}
	return c
}

// PlanCampaign implements StrictServerInterface.
func (s *Server) PlanCampaign(ctx context.Context, r PlanCampaignRequestObject) (PlanCampaignResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := s.cfg.Campaigns.Plan(ctx, p.Tenant, *r.Body)
	if err != nil {
		return nil, err
	}
	return PlanCampaign200JSONResponse(success(ctx, plan, "nothing was changed")), nil
}

// StartCampaign implements StrictServerInterface.
func (s *Server) StartCampaign(ctx context.Context, r StartCampaignRequestObject) (StartCampaignResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	if r.Body.Action == campaign.Replay {
		kinds := r.Body.Filter.Kinds
		if len(kinds) == 0 { // any
			kinds = s.kindNames()
		}
		for _, kind := range kinds {
			if err := s.mayDeploy(ctx, kind); err != nil {
				return nil, err
			}
		}
	}
	c, created, err := s.cfg.Campaigns.Start(ctx, p.Tenant, p.UserID, r.Params.IdempotencyKey, *r.Body)
	if err != nil {
		return nil, err
	}
	if !created {
		return StartCampaign200JSONResponse(success(ctx, shown(c), "an earlier request with this Idempotency-Key started the campaign")), nil
	}
	return StartCampaign202JSONResponse(success(ctx, shown(c), "the campaign is under way")), nil
}

// ListCampaigns implements StrictServerInterface.
func (s *Server) ListCampaigns(ctx context.Context, _ ListCampaignsRequestObject) (ListCampaignsResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Campaigns.List(ctx, p.Tenant)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i] = shown(all[i])
	}
	return ListCampaigns200JSONResponse(success(ctx, Campaigns{Campaigns: orNone(all)}, "ok")), nil
}

// GetCampaign implements StrictServerInterface.
func (s *Server) GetCampaign(ctx context.Context, r GetCampaignRequestObject) (GetCampaignResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.cfg.Campaigns.Get(ctx, p.Tenant, r.ID)
	if err != nil {
		return nil, err
	}
	return GetCampaign200JSONResponse(success(ctx, shown(c), "ok")), nil
}

// StopCampaign implements StrictServerInterface.
func (s *Server) StopCampaign(ctx context.Context, r StopCampaignRequestObject) (StopCampaignResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	reason := ""
	if r.Body != nil {
		reason = r.Body.Reason
	}
	c, err := s.cfg.Campaigns.Stop(ctx, p.Tenant, r.ID, p.UserID, reason)
	if err != nil {
		return nil, err
	}
	return StopCampaign200JSONResponse(success(ctx, shown(c), "the campaign is "+string(c.State))), nil
}

// GetUsage implements StrictServerInterface.
func (s *Server) GetUsage(ctx context.Context, r GetUsageRequestObject) (GetUsageResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	q := r.Params
	if !q.To.After(q.From) {
		return nil, fault.InvalidField("to", "is not after from")
	}
	kinds, err := s.cfg.Catalog.ResolveAll(q.Kind)
	if err != nil {
		return nil, err
	}
	rows, err := s.cfg.Ledger.UsageReport(ctx, task.UsageFilter{
		Tenant: p.Tenant, UserID: q.User, Workflow: q.Workflow, Kinds: kinds, From: q.From, To: q.To, By: q.By,
	})
	if err != nil {
		return nil, err
	}
	return GetUsage200JSONResponse(success(ctx, UsageReport{Rows: orNone(rows)}, "ok")), nil
}
