package api

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Where WebSockets are opened. They are older than the server-sent events of /api/v1, and their clients have these paths in them. All speak
// the same language, see socketRequest, and differ in the kinds of tasks that they tell of. An agent is a kind here, as in GET /agents.
const (
	contentSocketPath = "/ws/content"         // content and quiz
	robloxSocketPath  = "/ws/roblox"          // terrain, script and roblox_…
	agentSocketPath   = "/ws/agent/:agent_id" // the kind of that name or alias
)

const (
	socketMessage  = 4 << 10 // bytes of one message of a client's
	socketSubs     = 50      // subscriptions of one connection
	socketQueue    = 16      // messages that wait for one client
	socketPing     = 30 * time.Second
	socketGoodbye  = time.Second // for telling a client why its connection ends
	socketRate     = 20          // messages a second that are read of one client; others wait in its connection
	socketBurst    = 100
	socketReason   = 120 // bytes of a close frame's text
	upgradeVersion = "websocket"
)

// mountSockets serves the WebSockets.
func (s *Server) mountSockets(e *echo.Echo) {
	e.GET(contentSocketPath, s.serveSocket(func(echo.Context) (kindSet, error) { return kindSet{names: []string{"content", "quiz"}}, nil }))
	e.GET(robloxSocketPath, s.serveSocket(func(echo.Context) (kindSet, error) {
		return kindSet{names: []string{"terrain", "script"}, prefix: "roblox_"}, nil
	}))
	e.GET(agentSocketPath, s.serveSocket(func(c echo.Context) (kindSet, error) {
		kind, err := s.cfg.Catalog.Resolve(c.Param("agent_id"))
		if err != nil {
			return kindSet{}, fault.New(fault.NotFound, "there is no agent %q: an agent is a kind of task", clip(c.Param("agent_id")))
		}
		return kindSet{names: []string{kind.Name}}, nil
	}))
}

// kindSet is what a WebSocket tells of.
type kindSet struct {
	names  []string
	prefix string // of further names; empty for none
}

func (k kindSet) has(kind string) bool {
	return slices.Contains(k.names, kind) || k.prefix != "" && strings.HasPrefix(kind, k.prefix)
}

func (k kindSet) String() string {
	if k.prefix == "" {
		return strings.Join(k.names, ", ")
	}
	return strings.Join(k.names, ", ") + ", " + k.prefix + "*"
}

// checkHandshake holds the head of a request for a WebSocket against what needs no proof of who asks, so that nothing of it uses up a ticket.
func (s *Server) checkHandshake(r *http.Request, c *call) error {
	if r.Method != http.MethodGet {
		return nil // it is answered with 405
	}
	if !s.admitsOrigin(r) {
		return fault.New(fault.Forbidden, "pages of this origin may not open WebSockets: ALLOWED_ORIGINS says which may")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.InvalidField("query", "cannot be read: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if name != paramTicket {
			return fault.InvalidField(clip(name), "%s", unknownReason([]string{paramTicket}))
		}
	}
	if c.stream = upgrades(r); !c.stream {
		c.header.Set(echo.HeaderUpgrade, upgradeVersion)
		c.header.Set(echo.HeaderConnection, echo.HeaderUpgrade)
		return echo.NewHTTPError(http.StatusUpgradeRequired, "this is a WebSocket: send Connection: Upgrade and Upgrade: websocket over HTTP/1.1")
	}
	return nil
}

// upgrades reports whether r asks for a WebSocket.
func upgrades(r *http.Request) bool {
	has := func(header, token string) bool {
		return slices.ContainsFunc(strings.Split(strings.Join(r.Header.Values(header), ","), ","), func(part string) bool {
			return strings.EqualFold(strings.TrimSpace(part), token)
		})
	}
	return r.ProtoAtLeast(1, 1) && has(echo.HeaderConnection, "upgrade") && has(echo.HeaderUpgrade, upgradeVersion)
}

// admitsOrigin reports whether the page that r comes from may open WebSockets: one of this host, or of Config.AllowedOrigins. Browsers do not ask
// by themselves, as they do for other requests. Who is no browser sends no Origin.
func (s *Server) admitsOrigin(r *http.Request) bool {
	given := r.Header.Values(echo.HeaderOrigin)
	if len(given) == 0 {
		return true
	}
	if len(given) > 1 {
		return false
	}
	if slices.Equal(s.cfg.AllowedOrigins, []string{"*"}) || slices.Contains(s.cfg.AllowedOrigins, given[0]) {
		return true
	}
	u, err := url.Parse(given[0])
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// serveSocket returns what answers with a WebSocket. It stays in the request's goroutine, whose call says who asks, until the connection ends.
func (s *Server) serveSocket(of func(echo.Context) (kindSet, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx := c.Request().Context()
		p, err := principal(ctx)
		if err != nil {
			return err
		}
		kinds, err := of(c)
		if err != nil {
			return err
		}
		if err := s.streams.acquire(p.UserID); err != nil {
			return err
		}
		defer s.streams.release(p.UserID)
		if !s.upgraded.begin() {
			return fault.After(time.Second, "the server stops")
		}
		defer s.upgraded.done()
		ws, err := websocket.Accept(c.Response(), c.Request(), &websocket.AcceptOptions{
			InsecureSkipVerify: true, // checkHandshake has seen the origin
			CompressionMode:    websocket.CompressionDisabled,
		})
		if err != nil {
			return nil //nolint:nilerr // Accept has answered
		}
		ws.SetReadLimit(socketMessage)
		newSocket(ctx, s, p, kinds, ws).serve()
		return nil
	}
}

// upgraded counts the connections that net/http has let go of and does not wait for. It is safe for concurrent use.
type upgraded struct {
	mu    sync.Mutex
	open  int
	ended bool
	idle  chan struct{} // closed when none is left; nil until wait
}

// begin counts one more, and reports whether it may: none may once wait was called.
func (u *upgraded) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return false
	}
	u.open++
	return true
}

func (u *upgraded) done() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.open--; u.open == 0 && u.idle != nil {
		close(u.idle)
	}
}

// wait returns when none is left, or ctx ends, and how many are left. It is called once.
func (u *upgraded) wait(ctx context.Context) int {
	u.mu.Lock()
	u.ended, u.idle = true, make(chan struct{})
	if u.open == 0 {
		close(u.idle)
	}
	idle := u.idle
	u.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.open
}
