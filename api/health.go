package api

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	// probeTime bounds one look at one dependency.
	probeTime = time.Second
	// healthFresh is how long a report is repeated without looking again: these routes need no token.
	healthFresh = time.Second
)

// Check looks at one dependency.
type Check struct {
	Name     string
	Required bool                            // without it nothing can be served
	Probe    func(ctx context.Context) error // ends with ctx; one that does not is counted as down until it does
}

// checkup runs the checks and remembers the last report. It is safe for concurrent use.
type checkup struct {
	checks  []Check
	version string
	report  func(check string, err error) // is told of every dependency that is down

	mu      sync.Mutex
	last    Health
	takenAt time.Time
	pending []chan probed // by check; not nil while a probe has not returned
}

func newCheckup(checks []Check, version string, report func(string, error)) *checkup {
	return &checkup{checks: checks, version: version, report: report, pending: make([]chan probed, len(checks))}
}

// health returns the state of all dependencies, at most healthFresh old. It takes at most probeTime.
func (c *checkup) health(ctx context.Context) Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.takenAt.IsZero() && time.Since(c.takenAt) < healthFresh {
		return c.last
	}
	// The probes belong to nobody's request: others are answered with what they find.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	for i := range c.checks {
		if c.pending[i] == nil {
			c.pending[i] = start(ctx, c.checks[i].Probe)
		}
	}
	h := Health{Status: "healthy", Version: c.version, Checks: make([]HealthCheck, len(c.checks))}
	for i := range c.checks {
		h.Checks[i] = c.await(ctx, i)
		switch {
		case h.Checks[i].Up:
		case c.checks[i].Required:
			h.Status = "unhealthy"
		case h.Status == "healthy":
			h.Status = "degraded"
		}
	}
	c.last, c.takenAt = h, time.Now()
	return h
}

type probed struct {
	err  error
	took time.Duration
}

func start(ctx context.Context, probe func(context.Context) error) chan probed {
	done := make(chan probed, 1)
	go func() {
		began := time.Now()
		err := contained(ctx, probe)
		done <- probed{err, time.Since(began)}
	}()
	return done
}

func contained(ctx context.Context, probe func(context.Context) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	return probe(ctx)
}

func (c *checkup) await(ctx context.Context, i int) HealthCheck {
	out := HealthCheck{Name: c.checks[i].Name, Required: c.checks[i].Required}
	found := c.outcome(ctx, i)
	out.LatencyMS = float64(found.took.Microseconds()) / 1000
	if out.Up = found.err == nil; !out.Up {
		out.Reason = fault.KindOf(found.err).String()
		c.report(out.Name, found.err)
	}
	return out
}

// outcome waits for a probe until ctx ends. One that is done by then counts, however many others were waited for before it.
func (c *checkup) outcome(ctx context.Context, i int) probed {
	select {
	case found := <-c.pending[i]:
		c.pending[i] = nil
		return found
	case <-ctx.Done():
	}
	select {
	case found := <-c.pending[i]:
		c.pending[i] = nil
		return found
	default:
		return probed{fault.New(fault.Timeout, "no answer within %v", probeTime), probeTime}
	}
}

// alive is the answer of a process that runs.
func (s *Server) alive() Health {
	return Health{Status: "healthy", Version: s.cfg.Version, Checks: []HealthCheck{}}
}

// unhealthy returns what h fails for, or false when requests can be served.
func unhealthy(ctx context.Context, h Health) (UnhealthyAnswer, bool) {
	if h.Status != "unhealthy" {
		return UnhealthyAnswer{}, false
	}
	p := Problem{Code: fault.Unavailable.String(), Details: []Detail{}, Retryable: true}
	for _, c := range h.Checks {
		if c.Required && !c.Up {
			p.Details = append(p.Details, Detail{Field: c.Name, Reason: "is down: " + c.Reason})
		}
	}
	return UnhealthyAnswer{Status: "error", Data: h, Message: "a required dependency is down", Metadata: metadata(ctx), Error: p}, true
}

// GetHealth implements StrictServerInterface.
func (s *Server) GetHealth(ctx context.Context, _ GetHealthRequestObject) (GetHealthResponseObject, error) {
	h := s.checkup.health(ctx)
	if bad, ok := unhealthy(ctx, h); ok {
		return GetHealth503JSONResponse{UnhealthyJSONResponse(bad)}, nil
	}
	return GetHealth200JSONResponse{HealthyJSONResponse(success(ctx, h, h.Status))}, nil
}

// GetReadiness implements StrictServerInterface.
func (s *Server) GetReadiness(ctx context.Context, _ GetReadinessRequestObject) (GetReadinessResponseObject, error) {
	h := s.checkup.health(ctx)
	if bad, ok := unhealthy(ctx, h); ok {
		return GetReadiness503JSONResponse{UnhealthyJSONResponse(bad)}, nil
	}
	return GetReadiness200JSONResponse{HealthyJSONResponse(success(ctx, h, h.Status))}, nil
}

// GetLiveness implements StrictServerInterface.
func (s *Server) GetLiveness(ctx context.Context, _ GetLivenessRequestObject) (GetLivenessResponseObject, error) {
	return GetLiveness200JSONResponse{HealthyJSONResponse(success(ctx, s.alive(), "alive"))}, nil
}
