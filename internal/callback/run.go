package callback

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// RunnerConfig is what a Runner needs.
type RunnerConfig struct {
	Planner   *Planner       // nil: this process delivers only
	Queue     Queue          // required
	Secrets   Endpoints      // required: where the secrets of callback_urls are
	Sealer    Sealer         // required
	Allow     *Allow         // nil: no exceptions
	Resolver  Resolver       // nil: net.DefaultResolver
	Roots     *x509.CertPool // whom receivers' certificates may be from; nil: the system's
	Senders   int            // requests under way at once; default 32, 1 to 256
	PerTarget int            // the same to one target, over all processes; default 4
	PerTenant int            // the same for one tenant; default half of Senders
	Lease     time.Duration  // how long a delivery is taken for; default 1 min, at least three times Timeout
	Timeout   time.Duration  // of one request; default 15 s
	Poll      time.Duration  // how often deliveries are looked for while none are due; default 1 s
	Sweep     time.Duration  // how often the log of deliveries is cleaned up and counted; default 30 s
	Grace     time.Duration  // how long requests under way may go on when Run is to end; default 5 s
	Now       func() time.Time
	Logger    *slog.Logger // nil discards
}

// broken is how many tries in a row must fail for a target to be tried once at a time.
const broken = 10

// Runner plans and delivers. It shares the deliveries with every other Runner on the same database.
type Runner struct {
	cfg    RunnerConfig
	sender *sender
	random func(time.Duration) time.Duration
	stats  counters
}

// NewRunner returns a Runner, or an Invalid fault that names the wrong fields.
func NewRunner(cfg RunnerConfig) (*Runner, error) {
	def(&cfg.Senders, 32)
	def(&cfg.PerTarget, 4)
	def(&cfg.PerTenant, max(1, cfg.Senders/2))
	def(&cfg.Timeout, sendWait)
	def(&cfg.Lease, max(time.Minute, 3*cfg.Timeout))
	def(&cfg.Poll, time.Second)
	def(&cfg.Sweep, 30*time.Second)
	def(&cfg.Grace, 5*time.Second)
	def(&cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var bad []fault.Detail
	check := func(ok bool, field, reason string) {
		if !ok {
			bad = append(bad, fault.Detail{Field: field, Reason: reason})
		}
	}
	check(cfg.Queue != nil, "Queue", "is missing")
	check(cfg.Secrets != nil, "Secrets", "is missing")
	check(cfg.Sealer != nil, "Sealer", "is missing")
	check(cfg.Senders >= 1 && cfg.Senders <= 256, "Senders", "must be 1 to 256")
	check(cfg.PerTarget >= 1 && cfg.PerTarget <= 256, "PerTarget", "must be 1 to 256")
	check(cfg.PerTenant >= 1, "PerTenant", "must be at least 1")
	check(cfg.Timeout > 0, "Timeout", "must be above 0")
	check(cfg.Lease >= 3*cfg.Timeout, "Lease", "must be at least three times Timeout")
	check(cfg.Poll > 0, "Poll", "must be above 0")
	check(cfg.Sweep > 0, "Sweep", "must be above 0")
	check(cfg.Grace > 0, "Grace", "must be above 0")
	if bad != nil {
		return nil, fault.InvalidFields(bad)
	}
	d := &dialer{allow: cfg.Allow, resolver: cfg.Resolver, dial: func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
		return d.DialContext(ctx, network, address)
	}}
	return &Runner{cfg: cfg, random: jitter, sender: newSender(d, cfg.Roots, cfg.Timeout, cfg.Now)}, nil
}

// Run plans and delivers until ctx ends; requests that are under way then have Grace to come to their end, and what is cut off is tried
// by others. It returns an error when the feed breaks. Trouble with the database is waited out. Call it once.
func (r *Runner) Run(ctx context.Context) error {
	defer r.sender.close()
	g, running := errgroup.WithContext(ctx)
	if r.cfg.Planner != nil {
		g.Go(func() error { return r.cfg.Planner.Run(running) })
	}
	g.Go(func() error { r.deliverAll(running); return nil })
	g.Go(func() error { r.sweepAll(running); return nil })
	return g.Wait()
}

// deliverAll keeps the places for requests filled.
func (r *Runner) deliverAll(ctx context.Context) {
	cut, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var under sync.WaitGroup
	defer func() { // behind the last claim
		defer time.AfterFunc(r.cfg.Grace, cancel).Stop()
		under.Wait()
	}()
	var wake <-chan struct{}
	if r.cfg.Planner != nil {
		wake = r.cfg.Planner.wake
	}
	places := make(chan struct{}, r.cfg.Senders)
	free := make(chan struct{}, 1) // has an entry when a place came free since the last claim
	poll := time.NewTimer(0)
	defer poll.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-free:
		case <-poll.C:
		}
		poll.Reset(r.cfg.Poll/2 + r.random(r.cfg.Poll))
		limit := r.cfg.Senders - len(places)
		if limit == 0 {
			continue
		}
		jobs, claim, err := r.claim(ctx, limit)
		if err != nil {
			if failures++; failures == 1 && ctx.Err() == nil {
				r.cfg.Logger.WarnContext(ctx, "deliveries wait for the database", "error", err)
			}
			sleep(ctx, max(fault.RetryAfter(err), r.random(min(time.Minute, time.Second<<min(failures, 6)))))
			continue
		}
		failures = 0
		for _, job := range jobs {
			places <- struct{}{}
			under.Go(func() {
				r.deliver(cut, job, claim)
				<-places
				select {
				case free <- struct{}{}:
				default:
				}
			})
		}
	}
}

func (r *Runner) claim(ctx context.Context, limit int) ([]Job, Claim, error) {
	c := Claim{
		Now: r.cfg.Now(), Lease: r.cfg.Lease, Limit: limit, PerTarget: r.cfg.PerTarget, PerTenant: r.cfg.PerTenant, Broken: broken,
	}
	jobs, err := r.cfg.Queue.Claim(ctx, c)
	return jobs, c, err
}

// sleep returns after d, or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
