package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// observe is the outermost middleware: it gives the request its id, answers errors and panics, and writes one access line.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		call := &call{
			id: requestID(r.Header.Get(echo.HeaderXRequestID)), began: time.Now(), trace: traceParent(r.Header.Get("traceparent")),
			stream: acceptsStream(r.Header.Get(echo.HeaderAccept)), control: http.NewResponseController(c.Response()),
		}
		ctx := withCall(r.Context(), call)
		c.SetRequest(r.WithContext(ctx))
		h := c.Response().Header()
		h.Set(echo.HeaderXRequestID, call.id)
		h.Set(echo.HeaderXContentTypeOptions, "nosniff")
		h.Set(echo.HeaderCacheControl, "no-store")
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
	case status >= 500:
		level = slog.LevelError
	case strings.Contains(path, "/health"):
		level = slog.LevelDebug
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
	}
	if call.fault != nil {
		line = append(line, slog.String("code", failureOf(call.fault).problem.Code))
		if status >= 500 {
			line = append(line, slog.Any("error", call.fault))
		}
	}
	s.logger.LogAttrs(ctx, level, "request", line...)
}

// guard holds a request against the contract before its handler runs: who asks, then parameters, then the body's head.
func (s *Server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		op := s.contract.operations[route{r.Method, c.Path()}]
		if op == nil {
			return next(c)
		}
		call := callOf(r.Context())
		call.operation = op
		if !op.public {
			p, err := s.authenticate(r)
			if err != nil {
				return err
			}
			call.principal = &p
		}
		if err := op.checkParameters(r); err != nil {
			return err
		}
		if op.body != nil {
			if err := op.body.admit(c.Response().Writer, r); err != nil {
				return err
			}
		}
		return next(c)
	}
}

// authenticate returns who sends r. A token that is sent is verified, also where the development principal would do.
func (s *Server) authenticate(r *http.Request) (auth.Principal, error) {
	header := r.Header.Get(echo.HeaderAuthorization)
	switch {
	case header == "" && s.cfg.DevPrincipal != nil:
		return *s.cfg.DevPrincipal, nil
	case header == "":
		return auth.Principal{}, fault.New(fault.Unauthorized, "a bearer token is needed: send Authorization: Bearer <token>")
	case s.cfg.Verifier == nil:
		return auth.Principal{}, fault.New(fault.Unauthorized, "this server verifies no tokens; send none")
	}
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return auth.Principal{}, fault.New(fault.Unauthorized, "the Authorization header must have the form Bearer <token>")
	}
	return s.cfg.Verifier.Verify(strings.TrimSpace(token))
}

func acceptsStream(accept string) bool { return strings.Contains(accept, "text/event-stream") }

// cors answers preflights and marks answers for the allowed origins.
func cors(origins []string) echo.MiddlewareFunc {
	return middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins:  origins,
		AllowMethods:  []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		AllowHeaders:  []string{"Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-ID", "traceparent"},
		ExposeHeaders: []string{"Location", "X-Request-ID", "Idempotent-Replayed", "Retry-After"},
		MaxAge:        600,
	})
}
