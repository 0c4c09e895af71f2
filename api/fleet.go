package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// GetAgentStatus implements StrictServerInterface.
func (s *Server) GetAgentStatus(ctx context.Context, _ GetAgentStatusRequestObject) (GetAgentStatusResponseObject, error) {
	found, err := s.workers(ctx)
	if err != nil {
		return nil, err
	}
	fleet := Fleet{Workers: []Worker{}}
	for _, w := range found {
		fleet.Slots, fleet.Busy = fleet.Slots+w.Slots, fleet.Busy+w.Busy
		fleet.Workers = append(fleet.Workers, Worker{
			Name: w.Name, State: workerState(w), Build: w.Build, StartedAt: w.StartedAt, Slots: w.Slots, Busy: w.Busy, Kinds: orNone(w.Kinds),
		})
	}
	return GetAgentStatus200JSONResponse(success(ctx, fleet, "ok")), nil
}

// workers returns the fleet in the order of names. It is no secret within a school, and holds nothing of another one's tasks but numbers.
func (s *Server) workers(ctx context.Context) ([]task.Worker, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.cfg.Workers.Workers(ctx)
	if err != nil {
		return nil, err
	}
	found = slices.Clone(found)
	slices.SortFunc(found, func(a, b task.Worker) int { return cmp.Compare(a.Name, b.Name) })
	if p.Role != auth.PlatformAdmin { // an admin is one school's
		for i := range found {
			found[i].Kinds = slices.Clone(found[i].Kinds)
			for k := range found[i].Kinds {
				found[i].Kinds[k].LastError = "" // may quote another school's task
			}
		}
	}
	return found, nil
}

func workerState(w task.Worker) string {
	switch {
	case w.Draining:
		return "draining"
	case slices.ContainsFunc(w.Kinds, func(k task.WorkerKind) bool { return k.Failing }):
		return "error"
	case w.Busy > 0:
		return "busy"
	}
	return "idle"
}

func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// GetAgentMetrics implements StrictServerInterface.
func (s *Server) GetAgentMetrics(ctx context.Context, _ GetAgentMetricsRequestObject) (GetAgentMetricsResponseObject, error) {
	metrics, err := s.kindMetrics(ctx)
	if err != nil {
		return nil, err
	}
	message := "ok"
	if !metrics.Dispatcher {
		message = "no dispatcher answers: what waits is not known"
	}
	return GetAgentMetrics200JSONResponse(success(ctx, metrics, message)), nil
}

// GetKindMetrics implements StrictServerInterface. It is what an autoscaler asks: it answers 503 rather than a load that is not known.
func (s *Server) GetKindMetrics(ctx context.Context, r GetKindMetricsRequestObject) (GetKindMetricsResponseObject, error) {
	k, err := s.cfg.Catalog.Resolve(r.Kind)
	if err != nil {
		return nil, fault.New(fault.NotFound, "there is no kind %q; GET %s/agents lists them", clip(r.Kind), prefix)
	}
	metrics, err := s.kindMetrics(ctx)
	if err != nil {
		return nil, err
	}
	if !metrics.Dispatcher {
		return nil, fault.After(time.Second, "no dispatcher answers: the load of %s is not known", k.Name)
	}
	i := slices.IndexFunc(metrics.Kinds, func(m KindMetric) bool { return m.Kind == k.Name })
	return GetKindMetrics200JSONResponse(success(ctx, metrics.Kinds[i], "ok")), nil
}

// kindMetrics joins what the dispatcher and the workers know of each kind of the catalog.
func (s *Server) kindMetrics(ctx context.Context) (KindMetrics, error) {
	workers, err := s.workers(ctx)
	if err != nil {
		return KindMetrics{}, err
	}
	backlogs, err := s.cfg.Backlogs.Backlog(ctx)
	if kind := fault.KindOf(err); err != nil && kind != fault.Unavailable && kind != fault.Timeout {
		return KindMetrics{}, err
	}
	out := KindMetrics{Dispatcher: err == nil, Kinds: []KindMetric{}}
	for _, k := range s.cfg.Catalog.All() {
		m := KindMetric{Kind: k.Name, SuccessRate: 1}
		for _, b := range backlogs {
			if b.Kind == k.Name {
				m.Load, m.Pending, m.Held, m.Later, m.Running, m.OldestAgeSeconds = b.Load, b.Pending, b.Held, b.Later, b.Running, b.OldestAge
			}
		}
		m.addWorkers(workers, time.Now())
		out.Kinds = append(out.Kinds, m)
	}
	return out, nil
}

// addWorkers adds what the workers that serve the kind have done.
func (m *KindMetric) addWorkers(workers []task.Worker, now time.Time) {
	weighted := 0.0
	for _, w := range workers {
		for _, k := range w.Kinds {
			if k.Kind != m.Kind {
				continue
			}
			m.Workers, m.Slots = m.Workers+1, m.Slots+w.Slots
			m.Completed, m.Failed, m.Retried = m.Completed+k.Completed, m.Failed+k.Failed, m.Retried+k.Retried
			m.PerMinute += float64(k.Completed) / max(now.Sub(w.StartedAt).Minutes(), 1)
			m.P95MS = max(m.P95MS, k.P95MS)
			weighted += k.P50MS * float64(k.Completed)
		}
	}
	if m.Completed > 0 {
		m.P50MS = weighted / float64(m.Completed)
	}
	if ended := m.Completed + m.Failed; ended > 0 {
		m.SuccessRate = float64(m.Completed) / float64(ended)
	}
}
