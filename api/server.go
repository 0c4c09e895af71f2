// Package api is the HTTP edge: it checks who asks and what they send, hands it to package task, and answers.
//
// openapi.yaml is the source. From it come the generated strict server (api.gen.go), the contract that every request is held
// against, and, with the kinds of the catalog added, the document that is served at /api/v1/openapi.json and shown at /docs.
// A new kind therefore appears in routes, validation and documentation without an edit here.
//
//	request ─► observe ─► guard ─► generated code ─► handler ─► task.Service
//	           id, log    who,     decodes           a few
//	           errors     contract                   lines
//
// Handlers return faults; problem.go alone turns them into HTTP. Echo does not leave this package.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Tasks is what the edge needs of the domain. *task.Service has it; see there for what each method does and returns.
type Tasks interface {
	Submit(ctx context.Context, sub task.Submission) (task.Task, bool, error)
	Get(ctx context.Context, tenant, id string) (task.Task, error)
	List(ctx context.Context, f task.Filter) (task.Page, error)
	History(ctx context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error)
	Follow(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, error)
	Cancel(ctx context.Context, tenant, id, by, reason string) (task.Task, error)
	Replay(ctx context.Context, tenant, id string, req task.ReplayRequest) (task.Task, error)
	Discard(ctx context.Context, tenant, id, by, reason string) (task.Task, error)
}

var _ Tasks = (*task.Service)(nil)

// Config is what a Server needs.
type Config struct {
	Tasks        Tasks
	Catalog      *task.Catalog
	Verifier     *auth.Verifier  // of bearer tokens; may be nil when DevPrincipal is set
	DevPrincipal *auth.Principal // who asks without a token; nil makes tokens required. For development only
	Checks       []Check         // what /health/ready looks at
	Logger       *slog.Logger    // discards when nil

	AllowedOrigins []string       // CORS: such as "https://app.example.org", or "*" alone; none when empty
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed; when empty, the connection's address counts

	Heartbeat  time.Duration // between signs of life of a stream; 15 s when 0
	MaxStreams int           // open streams per server; 1,024 when 0
	Drain      time.Duration // how long Run waits for requests when it stops; 15 s when 0
	Version    string        // "dev" when empty
}

// Server answers HTTP. It is safe for concurrent use.
type Server struct {
	cfg      Config
	logger   *slog.Logger
	contract *contract
	checkup  *checkup
	streams  slots
	handler  *echo.Echo
	stopping chan struct{} // closed when Run stops: streams end
}

var _ StrictServerInterface = (*Server)(nil)

// New checks cfg and returns a server.
func New(cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	s := &Server{cfg: cfg, logger: cfg.Logger, streams: make(slots, cfg.MaxStreams), stopping: make(chan struct{})}
	s.checkup = newCheckup(cfg.Checks, cfg.Version, func(name string, err error) {
		s.logger.Warn("dependency is down", "check", name, "error", err)
	})
	doc, err := newDocument(cfg.Catalog.Kinds())
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if s.contract, err = newContract(doc); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if err := s.routes(doc); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return s, nil
}

func (cfg *Config) complete() error {
	switch {
	case cfg.Tasks == nil:
		return errors.New("Config.Tasks is missing")
	case cfg.Catalog == nil:
		return errors.New("Config.Catalog is missing")
	case cfg.Verifier == nil && cfg.DevPrincipal == nil:
		return errors.New("Config.Verifier is missing: without it and without a DevPrincipal nobody could ask anything")
	case cfg.Heartbeat < 0 || cfg.MaxStreams < 0 || cfg.Drain < 0:
		return errors.New("Config.Heartbeat, MaxStreams and Drain may not be negative")
	}
	if cfg.DevPrincipal != nil {
		if err := cfg.DevPrincipal.Check(); err != nil {
			return fmt.Errorf("Config.DevPrincipal: %w", err)
		}
	}
	for i, c := range cfg.Checks {
		if c.Name == "" || c.Probe == nil {
			return fmt.Errorf("Config.Checks[%d] has no name or no probe", i)
		}
	}
	if err := CheckOrigins(cfg.AllowedOrigins); err != nil {
		return fmt.Errorf("Config.AllowedOrigins: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 15 * time.Second
	}
	if cfg.MaxStreams == 0 {
		cfg.MaxStreams = 1024
	}
	if cfg.Drain == 0 {
		cfg.Drain = 15 * time.Second
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	return nil
}

// CheckOrigins reports whether each of origins is one that a browser sends, scheme://host[:port], or the only one is "*". The error
// names the first that is not.
func CheckOrigins(origins []string) error {
	if slices.Equal(origins, []string{"*"}) {
		return nil
	}
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Contains(origin, "*") || u.Scheme+"://"+u.Host != origin {
			return fmt.Errorf("%q is no origin such as https://app.example.org, nor * alone", origin)
		}
	}
	return nil
}

// routes builds the handler.
func (s *Server) routes(doc object) error {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Binder = binder{}
	e.HTTPErrorHandler = s.answerError
	e.IPExtractor = ipExtractor(s.cfg.TrustedProxies)
	e.Use(s.observe)
	if len(s.cfg.AllowedOrigins) > 0 {
		e.Use(cors(s.cfg.AllowedOrigins))
	}
	e.Use(s.guard)

	strict := NewStrictHandler(s, nil)
	RegisterHandlersWithBaseURL(e, strict, prefix)
	for _, k := range s.cfg.Catalog.Kinds() {
		for _, path := range k.Routes {
			e.POST(prefix+path, s.typed(k))
		}
	}
	if err := s.checkCoverage(e); err != nil {
		return err
	}
	document, err := documentHandler(doc)
	if err != nil {
		return err
	}
	docs := docsHandler()
	e.GET("/", s.getIndex)
	e.GET("/health", strict.GetHealth)
	e.GET("/health/live", strict.GetLiveness)
	e.GET("/health/ready", strict.GetReadiness)
	e.GET(documentPath, document)
	e.GET(docsPath, docs)
	e.GET(docsPath+"/*", docs)
	s.handler = e
	return nil
}

// checkCoverage fails when a route is not in the contract: nothing would guard it.
func (s *Server) checkCoverage(e *echo.Echo) error {
	for _, r := range e.Routes() {
		if _, ok := s.contract.operations[route{r.Method, r.Path}]; !ok {
			return fmt.Errorf("the route %s %s is not in the OpenAPI document", r.Method, r.Path)
		}
	}
	return nil
}

func ipExtractor(proxies []netip.Prefix) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		trust = append(trust, echo.TrustIPRange(&net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// Handler returns the server's handler, for a listener of one's own.
func (s *Server) Handler() http.Handler { return s.handler }
