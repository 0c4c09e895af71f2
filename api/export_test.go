package api

import (
	"context"
	"net/http"
	"net/http/httptest"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// NewWithAccess returns a server whose table of who may do what was changed.
func NewWithAccess(cfg Config, change func(rules map[string]auth.Rule)) (*Server, error) {
	rules := access()
	change(rules)
	return newServer(cfg, rules)
}

// Guarded returns a function that lets one request to a route pass the server's guard to a handler that does nothing, and another one that
// only finds the route.
func (s *Server) Guarded(r *http.Request, path string) (guarded, bare func() error) {
	w := httptest.NewRecorder()
	nothing := func(echo.Context) error { return nil }
	through := s.guard(nothing)
	c := s.handler.NewContext(r, w)
	c.SetPath(path)
	ctx := withCall(r.Context(), &call{header: w.Header()})
	run := func(next echo.HandlerFunc) func() error {
		return func() error {
			c.SetRequest(r.WithContext(ctx))
			return next(c)
		}
	}
	return run(through), run(nothing)
}

// SocketAccess returns who may open which WebSocket, as x-access says it of an operation.
func SocketAccess() map[string]any {
	out := map[string]any{}
	for path, rule := range accessToSockets() {
		out[path] = describeRule(rule, "")
	}
	return out
}

// LimitAccount counts a try to sign in.
func (s *Server) LimitAccount(ctx context.Context, login string) error {
	return s.limitAccount(ctx, login)
}

// ParseSocketRequest reads a client's message.
func ParseSocketRequest(text []byte) (task, scope string, err error) {
	m, err := parseSocketRequest(text)
	return m.TaskID, m.Scope, err
}

// MCPTools returns each tool of /mcp with its operation.
func (s *Server) MCPTools() map[string]string { return s.mcp.Tools() }
