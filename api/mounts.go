package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// Where the server of channels is: its clients and its callers have these paths in them.
const (
	socketPath   = "/app/:key"
	triggersPath = "/apps/*"
)

// mount serves the server of channels, where this process has one. It asks for proofs of its own, and says itself who may do what.
func (s *Server) mount(e *echo.Echo) {
	if s.cfg.Channels == nil {
		return
	}
	own := auth.Rule{Public: true}
	s.pages[socketPath], s.pages[triggersPath] = own, own
	e.GET(socketPath, echo.WrapHandler(s.cfg.Channels))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		e.Add(method, triggersPath, echo.WrapHandler(s.cfg.ChannelTriggers))
	}
}
