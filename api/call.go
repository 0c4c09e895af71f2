package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// call is what one request carries beside its arguments. It belongs to the request's goroutine.
type call struct {
	id        string // of the request
	began     time.Time
	trace     string          // W3C traceparent, or empty
	operation *operation      // nil where the contract has none
	principal *auth.Principal // nil on public routes
	stream    bool            // the client accepts server-sent events
	control   *http.ResponseController
	fault     error // what the answer was made from, for the access log
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callOf returns the call of ctx. Outside a request it is an empty one.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{began: time.Now()}
}

// principal returns who is asking, or Unauthorized.
func principal(ctx context.Context) (auth.Principal, error) {
	if p := callOf(ctx).principal; p != nil {
		return *p, nil
	}
	return auth.Principal{}, fault.New(fault.Unauthorized, "a bearer token is needed")
}

// submitter returns who is asking, or Forbidden when they may not submit tasks.
func submitter(ctx context.Context) (auth.Principal, error) {
	p, err := principal(ctx)
	if err == nil && !p.CanSubmit() {
		err = fault.New(fault.Forbidden, "the role %s may not submit tasks; admin and teacher may", p.Role)
	}
	return p, err
}

// administrator returns who is asking, or Forbidden when they may not use admin routes.
func administrator(ctx context.Context) (auth.Principal, error) {
	p, err := principal(ctx)
	if err == nil && !p.CanAdminister() {
		err = fault.New(fault.Forbidden, "the role %s may not use admin routes; admin may", p.Role)
	}
	return p, err
}

// requestID returns the client's id when it is a plain one, else a fresh one.
func requestID(given string) string {
	if given != "" && len(given) <= 128 && strings.IndexFunc(given, notPlain) < 0 {
		return given
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "unknown"
	}
	return id.String()
}

func notPlain(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
}

// traceParent returns h when it has the form of a W3C traceparent of version 00, else nothing.
func traceParent(h string) string {
	if len(h) != 55 || h[:3] != "00-" || h[35] != '-' || h[52] != '-' {
		return ""
	}
	for _, part := range []string{h[3:35], h[36:52], h[53:]} {
		if strings.Trim(part, "0123456789abcdef") != "" {
			return ""
		}
	}
	if strings.Trim(h[3:35], "0") == "" || strings.Trim(h[36:52], "0") == "" {
		return ""
	}
	return h
}
