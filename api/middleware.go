package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
)

// observe is the outermost middleware: it gives the request its id, answers errors and panics, and writes one access line.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		call := &call{
			id: requestID(r.Header.Get(echo.HeaderXRequestID)), began: time.Now(), trace: traceParent(r.Header.Get("traceparent")),
			route: r.Method + " " + c.Path(), agent: clipTo(r.UserAgent(), maxAgent),
			stream: acceptsStream(r.Header.Get(echo.HeaderAccept)), header: c.Response().Header(), control: http.NewResponseController(c.Response()), paid: takePaid(r.Context()),
		}
		call.lines = chatLines(c.Path(), r.Header.Get(echo.HeaderAccept))
		call.ip, _ = netip.ParseAddr(c.RealIP()) // invalid where the connection has no address
		call.ip = call.ip.Unmap()
		ctx := withCall(r.Context(), call)
		c.SetRequest(r.WithContext(ctx))
		call.header.Set(echo.HeaderXRequestID, call.id)
		s.protect(call.header, r)
		if err := s.contain(c, next); err != nil {
			s.answerError(err, c)
		}
		s.access(ctx, c, call)
		return nil
	}
}

// contain turns a panic into an error. http.ErrAbortHandler is the one that net/http wants to see.
func (s *Server) contain(c echo.Context, next echo.HandlerFunc) (err error) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if e, ok := cause.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			panic(cause)
		}
		err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
	}()
	return next(c)
}

func (s *Server) access(ctx context.Context, c echo.Context, call *call) {
	level, status := slog.LevelInfo, c.Response().Status
	path := c.Path()
	switch {
	case strings.Contains(path, "/health"): // also 503: what is down is logged when it goes down, not each time that somebody asks
		level = slog.LevelDebug
	case status >= 500:
		level = slog.LevelError
	}
	if !s.logger.Enabled(ctx, level) {
		return
	}
	line := []slog.Attr{
		slog.String("request_id", call.id), slog.String("method", c.Request().Method), slog.String("route", path), slog.Int("status", status),
		slog.Duration("took", time.Since(call.began)), slog.Int64("bytes", c.Response().Size), slog.String("ip", c.RealIP()),
	}
	if call.principal != nil {
		line = append(line, slog.String("tenant", call.principal.Tenant), slog.String("user_id", call.principal.UserID))
		if call.principal.KeyID != "" {
			line = append(line, slog.String("key_id", call.principal.KeyID))
		}
		if call.principal.Home != "" {
			line = append(line, slog.String("home_tenant", call.principal.Home))
		}
	}
	if call.fault != nil {
		line = append(line, slog.String("code", failureOf(call.fault).problem.Code))
		if status >= 500 {
			line = append(line, slog.Any("error", call.fault))
		}
	}
	s.logger.LogAttrs(ctx, level, "request", line...)
}

// guard decides whether a request comes to its handler: is there a place, who asks, do they ask too often, may they, and is it what
// the contract says. What has no rule is not served: an unknown route, and a method that a route does not have.
func (s *Server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		call := callOf(r.Context())
		if err := s.checkURL(r); err != nil {
			return err
		}
		rule := auth.Rule{Public: true, Class: limit.ClassPublic, Group: groupRead} // of what is not there
		if call.operation = s.contract.operations[route{r.Method, c.Path()}]; call.operation != nil {
			rule = call.operation.rule
		} else if page, ok := s.pages[c.Path()]; ok {
			rule = page
		}
		call.rule = rule
		if _, call.socket = s.sockets[c.Path()]; call.socket {
			if err := s.checkHandshake(r, call); err != nil {
				return err
			}
		}
		at := place{of: s.placesOf(rule, call)}
		if err := at.take(r.Context()); err != nil {
			return err
		}
		defer at.release()
		if err := s.admit(c, call, rule); err != nil {
			return err
		}
		if err := call.operation.check(c); err != nil {
			return err
		}
		if call.operation.takesItsTime() { // a client's: who sends slowly keeps nobody from being served
			at.release()
			if err := receive(c.Request()); err != nil {
				return err
			}
			if err := unform(c.Request()); err != nil {
				return err
			}
			if err := at.take(r.Context()); err != nil {
				return err
			}
		}
		err := next(c)
		if fault.Is(err, fault.Unauthorized) { // a wrong password, or what else proves somebody
			err = s.countFailure(c.Request().Context(), call, err)
		}
		return err
	}
}

// placesOf returns the bulkhead of a request, or nil: a stream has a slot of its own.
func (s *Server) placesOf(rule auth.Rule, call *call) *places {
	group := rule.Group
	if group == groupStream {
		if call.follows() {
			return nil
		}
		group = groupRead
	}
	return s.bulkheads[group]
}

// admit finds out who asks, counts the request and lets it through when the rule does. It puts into the request's context whom the
// audit will name.
func (s *Server) admit(c echo.Context, call *call, rule auth.Rule) error {
	r := c.Request()
	from := audit.From{IP: addressText(call.ip), RequestID: call.id}
	if !rule.Public {
		p, err := s.authenticate(r, call)
		if err != nil {
			return s.countFailure(r.Context(), call, err)
		}
		call.principal = &p
		from.Actor, from.SessionID, from.KeyID = p.UserID, p.SessionID, p.KeyID
	}
	c.SetRequest(r.WithContext(audit.WithFrom(r.Context(), from)))
	if err := s.limit(r.Context(), call, rule); err != nil || rule.Public {
		return err
	}
	p := *call.principal
	reach, err := rule.Decide(p, time.Now())
	if err != nil {
		return err
	}
	if p, err = s.actIn(c.Request(), call, p); err != nil {
		return err
	}
	call.principal, call.reach = &p, reach
	return nil
}

func addressText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

// check holds a request against the contract: parameters, then the body's head.
func (op *operation) check(c echo.Context) error {
	if op == nil {
		return nil
	}
	r := c.Request()
	if err := op.checkParameters(r); err != nil {
		return err
	}
	if err := op.checkPath(c.Param); err != nil {
		return err
	}
	if op.body == nil {
		return nil
	}
	return op.body.admit(c.Response().Writer, r)
}

func acceptsStream(accept string) bool { return strings.Contains(accept, "text/event-stream") }
