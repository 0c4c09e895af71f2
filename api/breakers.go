package api

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/breaker"
)

// Breakers knows the circuit breakers of all processes. *nats.BreakersClient has it.
type Breakers interface {
	// List returns the breakers of the processes that answer, sorted by process. Unavailable while the broker is away.
	List(ctx context.Context) ([]breaker.ProcessState, error)
	// Reset closes a breaker of one process, or of every process that has it where process is empty. NotFound when nobody has it.
	Reset(ctx context.Context, process, name string) error
}

// ListBreakers implements StrictServerInterface.
func (s *Server) ListBreakers(ctx context.Context, _ ListBreakersRequestObject) (ListBreakersResponseObject, error) {
	found, err := s.breakers(ctx)
	if err != nil {
		return nil, err
	}
	return ListBreakers200JSONResponse(success(ctx, found, "ok")), nil
}

func (s *Server) breakers(ctx context.Context) (BreakerList, error) {
	found, err := s.cfg.Breakers.List(ctx)
	if err != nil {
		return BreakerList{}, err
	}
	list := BreakerList{Processes: make([]breaker.ProcessState, len(found))}
	for i, p := range found {
		list.Processes[i] = breaker.ProcessState{Process: p.Process, Breakers: orNone(p.Breakers)}
	}
	return list, nil
}

// ResetBreaker implements StrictServerInterface.
func (s *Server) ResetBreaker(ctx context.Context, r ResetBreakerRequestObject) (ResetBreakerResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Breakers.Reset(ctx, r.Body.Process, r.Body.Name)
	s.record(ctx, p, "breaker.reset", r.Body.Name, map[string]string{"process": r.Body.Process}, err)
	if err != nil {
		return nil, err
	}
	found, err := s.breakers(ctx)
	if err != nil {
		return nil, err
	}
	return ResetBreaker200JSONResponse(success(ctx, found, "the breaker is closed")), nil
}
