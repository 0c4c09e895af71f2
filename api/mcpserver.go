package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/api/mcp"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	// mcpPath is where clients of the Model Context Protocol are served.
	mcpPath = "/mcp"
	// mcpTime bounds one request of theirs. It is less than Limits.WriteTime, so that the client hears why.
	mcpTime = 80 * time.Second
	// mcpBatch is how many messages one request may hold.
	mcpBatch = 16
)

// newMCP returns the server of /mcp. Its tools are requests to the handler of this server.
func (s *Server) newMCP() (*mcp.Server, error) {
	return mcp.New(mcp.Config{
		API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }), Prefix: prefix,
		Kinds: s.cfg.Catalog.Kinds(), May: s.mayPerform, Version: s.cfg.Version, Logger: s.logger,
		Local: s.cfg.DevPrincipal != nil, // then a page needs no token to do harm
	})
}

// mayPerform reports whether the caller of ctx may perform an operation at all.
func (s *Server) mayPerform(ctx context.Context, operation string) bool {
	p := callOf(ctx).principal
	rule, known := s.rules[operation]
	if p == nil || !known {
		return false
	}
	_, err := rule.Decide(*p, time.Now())
	return err == nil
}

// mountMCP serves /mcp. It asks for proofs itself: whoever has one may connect, and each operation says what they may do.
func (s *Server) mountMCP(e *echo.Echo) {
	s.pages[mcpPath] = auth.Rule{Public: true}
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		e.Add(method, mcpPath, s.serveMCP)
	}
}

// serveMCP finds out who asks, counts the request, receives its body and hands it on. The first operation that it leads to is not counted
// once more for its user: a call of a tool counts as the request that it stands for.
func (s *Server) serveMCP(c echo.Context) error {
	r := c.Request()
	ctx, call := r.Context(), callOf(r.Context())
	if !s.admitsOrigin(r) {
		return fault.New(fault.Forbidden, "pages of this origin may not use the MCP server: ALLOWED_ORIGINS says which may")
	}
	p, err := s.authenticate(r, call)
	if err != nil {
		return s.countFailure(ctx, call, err)
	}
	call.principal = &p
	if err := s.limit(ctx, call, auth.Rule{}); err != nil {
		return err
	}
	if err := s.mcpOpen.acquire(p.UserID); err != nil {
		return err
	}
	defer s.mcpOpen.release(p.UserID)
	if err := receiveMCP(c.Response().Writer, r); err != nil {
		return err
	}
	_ = call.control.SetReadDeadline(time.Time{}) // it is read: an answer may take longer
	ctx, cancel := context.WithTimeout(ctx, mcpTime)
	defer cancel()
	paid := &atomic.Bool{}
	paid.Store(true)
	ctx = context.WithValue(context.WithValue(ctx, paidKey{}, paid), mcp.IDKey{}, call.id)
	call.header.Set("X-Accel-Buffering", "no")
	s.mcp.ServeHTTP(c.Response(), r.WithContext(ctx))
	return nil
}

// receiveMCP reads r's body and holds it against what one request may have.
func receiveMCP(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength > mcp.MaxBody {
		return tooLarge(mcp.MaxBody)
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mcp.MaxBody))
	if err != nil {
		return readFault(err)
	}
	r.Body = received{bytes.NewReader(raw)}
	if trimmed := bytes.TrimLeft(raw, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		var batch []json.RawMessage
		if json.Unmarshal(raw, &batch) == nil && len(batch) > mcpBatch {
			return fault.InvalidField("body", "holds %d messages, at most %d are allowed", len(batch), mcpBatch)
		}
	}
	return nil
}

// paidKey is where the context of a request may hold an *atomic.Bool that says whether one operation has been counted already.
type paidKey struct{}

// takePaid reports whether the request of ctx has been counted, which counts for one alone.
func takePaid(ctx context.Context) bool {
	paid, ok := ctx.Value(paidKey{}).(*atomic.Bool)
	return ok && paid.CompareAndSwap(true, false)
}

// challenge says how to prove who one is, as RFC 6750 has it.
func challenge(r *http.Request, message string) string {
	text := `Bearer realm="toolboxai"`
	if r.URL.Path == mcpPath && (r.Header.Get(echo.HeaderAuthorization) != "" || r.Header.Get(headerAPIKey) != "") {
		text += fmt.Sprintf(`, error="invalid_token", error_description=%q`, quotable(message))
	}
	return text
}

// quotable leaves of a text what may stand between quotes in a challenge.
func quotable(text string) string {
	return string(bytes.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return -1
		}
		return c
	}, []byte(text)))
}

// GetMCPHealth implements StrictServerInterface.
func (s *Server) GetMCPHealth(ctx context.Context, _ GetMCPHealthRequestObject) (GetMCPHealthResponseObject, error) {
	h := s.checkup.health(ctx)
	if bad, ok := unhealthy(ctx, h); ok {
		return GetMCPHealth503JSONResponse{UnhealthyJSONResponse(bad)}, nil
	}
	return GetMCPHealth200JSONResponse(success(ctx, MCPHealth{
		Status: h.Status, Served: true, Path: mcpPath, ProtocolVersions: s.mcp.Versions(), Tools: len(s.mcp.Tools()), Prompts: s.mcp.Prompts(),
		Version: h.Version, Checks: h.Checks,
	}, h.Status)), nil
}
