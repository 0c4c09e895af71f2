package llm

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// DefaultMaxWait is how long a call waits in place for a limit before it ends in a *PausedError.
const DefaultMaxWait = 5 * time.Second

// GovernConfig says how calls to models are kept within limits. Zero fields take the defaults.
type GovernConfig struct {
	Client  Client                      // the model to ask; required
	Model   Model                       // which one that is; what Client says where it is Identified, else what it is described as
	Open    func(Model) (Client, error) // of models that stand in, see Opener; nil: none does
	Meter   Meter                       // shared by all processes; required
	Policy  func() policy.Policy        // the newest revision, called for every call; required
	Kinds   Kinds                       // what is asked instead of Client for some purposes; needs Open
	MaxWait time.Duration               // in place, for a limit; DefaultMaxWait
	Breaker BreakerConfig
	// Breakers gets a breaker for each model that is asked, under the name provider/model. Nil: nobody sees them.
	Breakers *breaker.Registry
	Logger   *slog.Logger
}

// Governed is a Client that keeps to the limits of its providers, over all processes, and to the budgets of its callers:
//
//	fallback( budget( governor( breaker( provider ) ) ) )
//
// with all but the fallback once for each model. The breaker sees only what was really sent. The governor stands around it, so
// that a call waits before it is held against the breaker. The budget reserves the price of the model that is asked. The
// fallback is outermost: it decides after everything else has spoken. Nothing is retried but what the provider refused as too
// early (429); more is the task's business.
//
// Besides the errors of its Client it returns *PausedError and *BudgetError. It holds nothing to close.
type Governed struct {
	first   *chain
	kinds   Kinds
	chains  map[Model]*chain // of the models of kinds
	offline Client           // set when there is no model to govern
}

var _ Client = (*Governed)(nil)

// Govern returns the governed form of cfg.Client. The offline composer costs nothing and has no limits: it is passed through, and
// takes no Kinds beside it. Models of several purposes share one breaker and one place in every line.
//
// A configuration that lacks something, or names a model that cannot be opened, is Invalid; a model that Breakers has already is a
// Conflict.
func Govern(cfg GovernConfig) (*Governed, error) {
	if cfg.Client == nil {
		return nil, fault.New(fault.Invalid, "a governed client needs a client")
	}
	if cfg.Model == (Model{}) {
		cfg.Model, _ = modelOf(cfg.Client)
	}
	if cfg.Model.Provider == "" {
		return nil, fault.New(fault.Invalid, "it is not known which model %q asks", cfg.Client.Describe())
	}
	wrap, err := newWrapper(&cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Model.Provider == offlineProvider {
		if len(cfg.Kinds) > 0 {
			return nil, fault.InvalidField("LLM_KINDS", "is set, and the offline composer serves: configure a model for the other kinds, too, or unset it")
		}
		return &Governed{offline: cfg.Client}, nil
	}
	first, err := wrap(cfg.Model, cfg.Client)
	if err != nil {
		return nil, err
	}
	pool := &pool{
		policy: cfg.Policy, open: cfg.Open, wrap: wrap, log: cfg.Logger, links: map[Model]*link{cfg.Model: first}, bad: map[string]bool{},
	}
	g := &Governed{first: &chain{first, pool}, kinds: cfg.Kinds, chains: map[Model]*chain{}}
	for _, purpose := range cfg.Kinds.purposes() {
		m := cfg.Kinds[purpose].Model
		if m == (Model{}) {
			continue
		}
		l, err := pool.get(m)
		if err != nil {
			return nil, fault.New(fault.Invalid, "LLM_KINDS: %s cannot be asked for %s: %w", m, purpose, err)
		}
		g.chains[m] = &chain{l, pool}
	}
	return g, nil
}

// newWrapper checks what all governed models share, fills in defaults, and returns what puts a model behind its limits.
func newWrapper(cfg *GovernConfig) (func(Model, Client) (*link, error), error) {
	setZero(&cfg.MaxWait, DefaultMaxWait)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Meter == nil || cfg.Policy == nil || cfg.MaxWait < 0 {
		return nil, fault.New(fault.Invalid, "a governed client needs a meter, a policy and a wait that is not negative")
	}
	if cfg.Breakers == nil {
		cfg.Breakers = breaker.NewRegistry()
	}
	prices, err := newPricing()
	if err != nil {
		return nil, err
	}
	guess, warned := newEstimator(), new(atomic.Bool)
	return func(m Model, c Client) (*link, error) {
		brk, err := newBreaker(cfg.Breaker, m, cfg.Breakers, cfg.Logger)
		if err != nil {
			return nil, err
		}
		held := &guarded{model: m, next: c, breaker: brk}
		within := &governor{
			model: m, next: held, meter: cfg.Meter, policy: cfg.Policy, guess: guess, maxWait: cfg.MaxWait, log: cfg.Logger,
			line: make(chan struct{}, 1),
		}
		return &link{m, &budgeted{
			model: m, next: within, priced: c, meter: cfg.Meter, policy: cfg.Policy, guess: guess, pricing: prices,
			maxWait: cfg.MaxWait, log: cfg.Logger, warned: warned,
		}}, nil
	}, nil
}

// Complete implements Client. The kind of Request.Purpose may have a model and a temperature of its own. Response.Fallback says which
// models were asked before the one that answered, and why they did not. Deltas are those of one model only.
func (g *Governed) Complete(ctx context.Context, req Request) (Response, error) {
	if g.offline != nil {
		return g.offline.Complete(ctx, req)
	}
	return g.chainFor(req.Purpose).Complete(ctx, g.told(req))
}

// told returns req with the temperature of its kind.
func (g *Governed) told(req Request) Request {
	if t := g.kinds.of(req.Purpose).Temperature; t != nil {
		req.Temperature = *t
	}
	return req
}

func (g *Governed) chainFor(purpose string) *chain {
	if c, ok := g.chains[g.kinds.of(purpose).Model]; ok {
		return c
	}
	return g.first
}

// ModelFor returns which model is asked first for a purpose ("quiz.draft").
func (g *Governed) ModelFor(purpose string) Model {
	if g.offline != nil {
		m, _ := modelOf(g.offline)
		return m
	}
	return g.chainFor(purpose).first.model
}

// Describe implements Client: it is the first model's, and what is asked for some kinds instead.
func (g *Governed) Describe() string {
	if g.offline != nil {
		return g.offline.Describe()
	}
	return strings.TrimSpace(g.first.Describe() + " " + g.kinds.String())
}
