// Package api is the HTTP edge: it checks who asks and what they send, hands it to package task, and answers.
//
// openapi.yaml is the source. From it come the generated strict server (api.gen.go), the contract that every request is held
// against, and, with the kinds of the catalog added, the document that is served at /api/v1/openapi.json and shown at /docs.
// A new kind therefore appears in routes, validation and documentation without an edit here.
//
//	request ─► observe ─► guard ────────────────────────────────────────► generated code ─► handler ─► task.Service
//	           id, log    bulkhead, who, rate limits, access, contract    decodes           a few
//	           errors     503       401  429          403     400                           lines
//
// Who may do what stands in access.go and nowhere else: a rule for each operation. The guard asks it before anything else is looked at,
// and a handler holds each object against how far its caller reaches.
//
// Handlers return faults; problem.go alone turns them into HTTP. Echo does not leave this package.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/api/mcp"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/policy"
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
	Signal(ctx context.Context, tenant, id, name string, data json.RawMessage, by string) (task.Task, error)
	Explain(ctx context.Context, tenant, id string) (task.Explanation, error)
}

// Workers knows the workers that are alive.
type Workers interface {
	Workers(ctx context.Context) ([]task.Worker, error)
}

// Backlogs knows what waits and runs, by kind. Unavailable when no dispatcher answers.
type Backlogs interface {
	Backlog(ctx context.Context) ([]task.Backlog, error)
}

// Policies keeps the policy.
type Policies interface {
	// Current returns the newest revision that this process has heard of.
	Current() policy.Policy
	// Save replaces the revision that p names, and returns the new one. Conflict when that is not the newest.
	Save(ctx context.Context, p policy.Policy) (policy.Policy, error)
}

var _ Tasks = (*task.Service)(nil)

// Config is what a Server needs.
type Config struct {
	Tasks        Tasks
	Catalog      *task.Catalog
	Workers      Workers
	Backlogs     Backlogs
	Policies     Policies
	Audit        audit.Recorder // where the acts of admins are put on record
	AuditLog     audit.Reader
	Schedules    ScheduleBook
	Campaigns    CampaignBook
	Ledger       Ledger
	Verifier     *auth.Verifier  // of bearer tokens; may be nil when DevPrincipal is set
	DevPrincipal *auth.Principal // who asks without a token; nil makes tokens required. For development only
	Metrics      http.Handler    // serves /metrics; nowhere when nil
	Checks       []Check         // what /health/ready looks at
	Logger       *slog.Logger    // discards when nil

	Authenticator KeyAuthenticator     // of API keys; nil: there are none
	Sharing       Sharing              // what students and parents may read
	Students      Students             // whose data is looked at
	Access        audit.AccessRecorder // of who looked at a student's data
	Breakers      Breakers

	Accounts  Accounts
	Directory Directory
	Keys      KeyBook
	Webhooks  Webhooks
	AccessLog audit.AccessReader
	Privacy   Privacy
	Cache     SemanticCache // nil: there is none
	Chats     Chats         // nil: there is no assistant
	Tickets   Tickets
	Contexts  AgentContexts
	News      News
	Push      Push // nil: nothing is pushed
	// PushEvents takes webhooks of the server of channels; nil: none are taken.
	PushEvents PushEvents
	// Channels serves the clients of the Pusher protocol, and ChannelTriggers those who send to them; nil: somebody else does.
	Channels, ChannelTriggers http.Handler

	JWKS []byte // the public keys of access tokens, as JSON; an empty set when nil

	Limiter   limit.Limiter       // nil: nobody is asked to slow down
	Rates     func() limit.Rates  // the limits in force; those of the policy when nil
	Bulkheads map[string]Bulkhead // by Rule.Group, in place of the defaults

	Production bool   // answers say that browsers must come by TLS, also where nothing tells us that they did
	Limits     Limits // of connections

	AllowedOrigins []string       // CORS: such as "https://app.example.org", or "*" alone; none when empty
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed; when empty, the connection's address counts

	Heartbeat  time.Duration // between signs of life of a stream; 15 s when 0
	MaxStreams int           // open streams per server, an eighth of them by one user; 1,024 when 0
	Drain      time.Duration // how long Run waits for requests when it stops; 15 s when 0
	Version    string        // "dev" when empty
}

// Server answers HTTP. It is safe for concurrent use.
type Server struct {
	cfg      Config
	logger   *slog.Logger
	contract *contract
	checkup  *checkup
	streams  *slots
	upgraded upgraded
	handler  *echo.Echo
	stopping chan struct{} // closed when Run stops: streams end

	pages     map[string]auth.Rule // by route: what is no operation
	sockets   map[string]auth.Rule // those of pages that are WebSockets
	bulkheads map[string]*places   // by Rule.Group
	students  students
	owners    owners

	mcp     *mcp.Server
	mcpOpen *slots               // requests to it
	rules   map[string]auth.Rule // by operation
}

var _ StrictServerInterface = (*Server)(nil)

// New checks cfg and returns a server.
func New(cfg Config) (*Server, error) { return newServer(cfg, access()) }

func newServer(cfg Config, rules map[string]auth.Rule) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	s := &Server{
		cfg: cfg, logger: cfg.Logger, streams: newSlots(cfg.MaxStreams), stopping: make(chan struct{}),
		pages: accessToPages(), sockets: accessToSockets(), bulkheads: map[string]*places{}, students: students{port: cfg.Students},
		mcpOpen: newSlots(cfg.MaxStreams), rules: rules,
	}
	maps.Copy(s.pages, s.sockets)
	for group, b := range cfg.Bulkheads {
		s.bulkheads[group] = newPlaces(group, b)
	}
	s.checkup = newCheckup(cfg.Checks, cfg.Version, func(name string, err error) {
		s.logger.Warn("dependency is down", "check", name, "error", err)
	})
	doc, err := newDocument(cfg.Catalog.Kinds(), rules)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if s.contract, err = newContract(doc, rules); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if s.mcp, err = s.newMCP(); err != nil {
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
	case cfg.Workers == nil || cfg.Backlogs == nil || cfg.Policies == nil || cfg.Audit == nil || cfg.AuditLog == nil:
		return errors.New("Config.Workers, Backlogs, Policies, Audit and AuditLog are required")
	case cfg.Schedules == nil || cfg.Campaigns == nil || cfg.Ledger == nil:
		return errors.New("Config.Schedules, Campaigns and Ledger are required")
	case cfg.Sharing == nil || cfg.Students == nil || cfg.Access == nil || cfg.Breakers == nil:
		return errors.New("Config.Sharing, Students, Access and Breakers are required")
	case cfg.Accounts == nil || cfg.Directory == nil || cfg.Keys == nil || cfg.AccessLog == nil || cfg.Privacy == nil || cfg.Tickets == nil || cfg.Contexts == nil || cfg.News == nil || cfg.Webhooks == nil:
		return errors.New("Config.Accounts, Directory, Keys, Webhooks, AccessLog, Privacy, Tickets, Contexts and News are required")
	case cfg.Verifier == nil && cfg.DevPrincipal == nil:
		return errors.New("Config.Verifier is missing: without it and without a DevPrincipal nobody could ask anything")
	case cfg.Heartbeat < 0 || cfg.MaxStreams < 0 || cfg.Drain < 0:
		return errors.New("Config.Heartbeat, MaxStreams and Drain may not be negative")
	}
	if (cfg.Channels == nil) != (cfg.ChannelTriggers == nil) {
		return errors.New("Config.Channels and ChannelTriggers go together")
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
	if err := cfg.Limits.complete(); err != nil {
		return err
	}
	if err := cfg.completeBulkheads(); err != nil {
		return err
	}
	if cfg.Rates == nil {
		cfg.Rates = currentRates(cfg.Policies)
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

// completeBulkheads puts the defaults where nothing is said.
func (cfg *Config) completeBulkheads() error {
	all := bulkheads()
	for group, b := range cfg.Bulkheads {
		if _, ok := all[group]; !ok {
			return fmt.Errorf("Config.Bulkheads: there is no group %q", group)
		}
		if b.Slots < 1 || b.Queue < 0 {
			return fmt.Errorf("Config.Bulkheads: %s has %d slots and a queue of %d", group, b.Slots, b.Queue)
		}
		all[group] = b
	}
	cfg.Bulkheads = all
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
	e.Pre(aliases)
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
	docs, err := docsHandler()
	if err != nil {
		return err
	}
	s.mount(e)
	s.mountSockets(e)
	s.mountMCP(e)
	e.GET("/", s.getIndex)
	e.GET("/health", strict.GetHealth)
	e.GET("/health/live", strict.GetLiveness)
	e.GET("/health/ready", strict.GetReadiness)
	e.GET("/health/mcp", strict.GetMCPHealth)
	if s.cfg.Metrics != nil {
		e.GET("/metrics", echo.WrapHandler(s.cfg.Metrics))
	}
	e.GET(documentPath, document)
	e.GET(docsPath, docs)
	e.GET(docsPath+"/*", docs)
	for _, r := range e.Routes() {
		_, operation := s.contract.operations[route{r.Method, r.Path}]
		if _, page := s.pages[r.Path]; !operation && !page {
			return fmt.Errorf("the page %s %s has no rule: say in access.go who may see it", r.Method, r.Path)
		}
	}
	s.handler = e
	return nil
}

// aliases serves the paths that Pusher's client libraries ask by themselves as those of the contract.
func aliases(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if u := c.Request().URL; u.Path == "/pusher/auth" || u.Path == "/pusher/user-auth" {
			u.Path = prefix + u.Path
		}
		return next(c)
	}
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
