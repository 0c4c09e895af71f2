package api

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
)

// call is what one request carries beside its arguments. It belongs to the request's goroutine.
type call struct {
	id        string // of the request
	began     time.Time
	trace     string          // W3C traceparent, or empty
	route     string          // such as "GET /api/v1/tasks/:id"
	ip        netip.Addr      // of the client; invalid where the connection has none
	agent     string          // the client's User-Agent, cut to maxAgent
	operation *operation      // nil where the contract has none
	rule      auth.Rule       // who may
	principal *auth.Principal // nil on public routes
	proof     proof           // what the principal follows from
	reach     auth.Reach      // how far they reach with this operation
	verdict   *limit.Verdict  // the tightest of the limits that were asked; nil for none
	stream    bool            // the answer stays open: the client accepts server-sent events, or asks for a WebSocket
	lines     bool            // the answer stays open, and is lines of JSON
	socket    bool            // the route is a WebSocket's
	paid      bool            // it was counted for its user before: see serveMCP
	header    http.Header     // of the answer
	control   *http.ResponseController
	fault     error // what the answer was made from, for the access log
}

// follows reports whether the answer is to stay open.
func (c *call) follows() bool { return c.stream || c.lines }

// maxAgent is how much of a User-Agent is kept, in bytes.
const maxAgent = 256

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callOf returns the call of ctx. Outside a request it is an empty one.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{began: time.Now(), header: http.Header{}}
}

// principal returns who is asking. The guard lets nobody through who is not known, so that the error, Unauthorized, shows a bug.
func principal(ctx context.Context) (auth.Principal, error) {
	if p := callOf(ctx).principal; p != nil {
		return *p, nil
	}
	return auth.Principal{}, fault.New(fault.Unauthorized, "a bearer token or an API key is needed")
}

// caller returns who is asking and how far they reach with what they ask: see access.
func caller(ctx context.Context) (auth.Principal, auth.Reach, error) {
	p, err := principal(ctx)
	return p, callOf(ctx).reach, err
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
