package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/notify"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/pusher"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/telemetry"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/chat"
)

// system is what roles are made of: the broker, the database and the configuration.
type system struct {
	cfg    Config
	logger *slog.Logger
	broker *broker
	db     *postgres.DB         // nil where the role does not need it
	model  llm.Client           // nil: the worker chooses it
	shown  *prometheus.Registry // at /metrics
}

// open connects to what a role needs. Neither the broker nor Postgres has to be there yet. The caller calls close.
func open(ctx context.Context, cfg Config, logger *slog.Logger, name string, embedded *nats.Embedded, withDB bool) (*system, error) {
	if withDB {
		if err := need(name, map[string]string{"DATABASE_URL": cfg.DatabaseURL}); err != nil {
			return nil, &usageError{err}
		}
	}
	b, err := openBroker(cfg, logger, "toolboxai-"+name, embedded)
	if err != nil {
		return nil, err
	}
	s := &system{cfg: cfg, logger: logger, broker: b, shown: telemetry.NewRegistry(version, nats.NewDispatcherClient(b.conn))}
	if withDB {
		s.db, err = postgres.Open(ctx, postgres.Config{URL: cfg.DatabaseURL, Head: b.head, Logger: logger})
		if err != nil {
			b.conn.Close()
			return nil, &usageError{fmt.Errorf("DATABASE_URL: %w", err)}
		}
	}
	return s, nil
}

func (s *system) close() {
	if s.db != nil {
		s.db.Close()
	}
	s.broker.conn.Close()
	s.cfg.closeLogs(context.Background())
}

// kinds returns what the platform serves. They need no model.
func kinds() ([]task.Kind, error) {
	all, err := allAgents(composer.New(), nil)
	if err != nil {
		return nil, err
	}
	return kindsOf(all), nil
}

// serveAPI runs the HTTP API on listener until ctx ends.
func (s *system) serveAPI(ctx context.Context, listener net.Listener) error {
	all, err := kinds()
	if err != nil {
		return err
	}
	catalog, err := task.NewCatalog(all)
	if err != nil {
		return err
	}
	gate, err := nats.NewGate(s.broker.js, nats.GateConfig{Logger: s.logger})
	if err != nil {
		return err
	}
	policies, err := nats.NewPolicyStore(s.broker.js, s.logger)
	if err != nil {
		return err
	}
	intake := &intake{Queue: s.broker.queue, full: gate.Full}
	news := nats.NewNewsfeed(s.broker.conn, nats.NewsfeedConfig{Logger: s.logger})
	id, err := s.identify()
	if err != nil {
		return err
	}
	service, err := s.service("/api", catalog, intake, ruled{gate, policies}, id.webhooks.CheckURL)
	if err != nil {
		return err
	}
	shared := sharedLog{s.broker.log, news}
	service.Log, service.Progress = shared, shared
	fleet, err := nats.NewFleet(s.broker.conn, nats.FleetConfig{})
	if err != nil {
		return err
	}
	defer fleet.Close()
	record := s.auditStream()
	schedules, campaigns, err := s.books(service, record)
	if err != nil {
		return err
	}
	process := workerName()
	counting, count, err := s.limiter(process, id.breakers)
	if err != nil {
		return err
	}
	spending, err := newMeter(s.cfg, s.logger)
	if err != nil {
		return err
	}
	defer spending.close()
	generations, err := nats.NewGenerations(s.broker.js)
	if err != nil {
		return err
	}
	kept, err := openCaches(s.cfg, llm.GovernConfig{Meter: spending, Policy: policies.Current, Breakers: id.breakers, Logger: s.logger}, generations.Current)
	if err != nil {
		return err
	}
	defer kept.end()
	dispatcher := nats.NewDispatcherClient(s.broker.conn)
	cfg := api.Config{
		Cache: kept.forAPI(),
		Tasks: service, Catalog: catalog, Logger: s.logger, AllowedOrigins: s.cfg.AllowedOrigins, Version: version, Production: s.cfg.production(),
		Workers: fleet, Backlogs: dispatcher, Policies: policies, Schedules: schedules, Campaigns: campaigns, Ledger: s.db,
		Audit: record, AuditLog: s.auditTrail(), AccessLog: postgres.NewAccessLog(s.db), Access: nats.NewAccessLog(s.broker.js, s.logger), Breakers: nats.NewBreakersClient(s.broker.conn),
		Limiter: counting, Rates: rates(policies.Current), Metrics: s.metrics(),
		Checks: []api.Check{
			{Name: "broker", Required: true, Probe: s.broker.readyForAPI},
			{Name: "revocations", Required: true, Probe: id.ready},
			{Name: "dispatcher", Probe: func(ctx context.Context) error { _, err := dispatcher.Backlog(ctx); return err }},
			{Name: "postgres", Probe: s.db.Ready},
		},
	}
	id.serve(&cfg)
	pushing, err := s.push(&cfg)
	if err != nil {
		return err
	}
	cfg.News = news
	if cfg.Chats, err = s.chats(service); err != nil {
		return err
	}
	cfg.DevPrincipal = s.cfg.developer()
	if s.cfg.SkipAuth {
		s.logger.WarnContext(ctx, "SKIP_AUTH is set: everybody is the development admin")
	}
	if cfg.TrustedProxies, err = s.cfg.trustedProxies(); err != nil {
		return &usageError{err}
	}
	server, err := api.New(cfg)
	if err != nil {
		return err
	}
	s.logger.InfoContext(ctx, "api listens", "address", listener.Addr().String())
	roles := append(append(id.roles(s), pushing...), role{"news", s.provisioned(news.Run)}, role{"policy", s.provisioned(policies.Run)}, role{"gate", s.provisioned(gate.Run)}, role{"limits", count},
		role{"breakers", func(ctx context.Context) error { return nats.ServeBreakers(ctx, s.broker.conn, process, id.breakers) }},
		role{"durability", func(ctx context.Context) error { return s.declare(ctx, &intake.known) }})
	if cfg.DevPrincipal != nil {
		roles = append(roles, role{"developer", s.enlist})
	}
	return runRoles(ctx, s.logger, append(roles, role{"http", func(ctx context.Context) error { return server.Run(ctx, listener) }})...)
}

// metrics serves what monitoring asks for. Every role tells the dispatcher's figures: which one is scraped does not matter.
func (s *system) metrics() http.Handler {
	return telemetry.Handler(s.shown)
}

// provisioned returns run as it begins once the broker has its streams and buckets, and again when it ended because they were not there: an
// API that starts beside the broker answers its health checks meanwhile, and one whose broker lost its memory goes on.
func (s *system) provisioned(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			if err := s.broker.awaitProvisioned(ctx, s.logger); err != nil {
				return err
			}
			err := run(ctx)
			if ctx.Err() != nil {
				return nil //nolint:nilerr // being stopped is how it ends
			}
			s.logger.WarnContext(ctx, "a document of the broker cannot be followed, trying again", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// work runs agents until ctx ends, and then drains.
func (s *system) work(ctx context.Context) error {
	client := s.model
	if client == nil {
		var err error
		if client, err = llm.Select(ctx, s.cfg.models()); err != nil {
			return &usageError{err}
		}
	}
	if err := s.cfg.checkModels(); err != nil {
		return &usageError{err}
	}
	own, err := s.cfg.modelKinds()
	if err != nil {
		return &usageError{err}
	}
	s.logger.InfoContext(ctx, "model chosen", "model", client.Describe(), "kinds", own.String())
	policies, err := nats.NewPolicyStore(s.broker.js, s.logger)
	if err != nil {
		return err
	}
	counting, err := newMeter(s.cfg, s.logger)
	if err != nil {
		return err
	}
	defer counting.close()
	name, breakers := workerName(), breaker.NewRegistry()
	generations, err := nats.NewGenerations(s.broker.js)
	if err != nil {
		return err
	}
	kept, err := openCaches(s.cfg, llm.GovernConfig{Meter: counting, Policy: policies.Current, Breakers: breakers, Logger: s.logger}, generations.Current)
	if err != nil {
		return err
	}
	defer kept.end()
	limiter, count, err := s.limiter(name, breakers)
	if err != nil {
		return err
	}
	may := newRights()
	heeding, err := may.role(s)
	if err != nil {
		return err
	}
	start, err := s.starter(limiter, rates(policies.Current), may)
	if err != nil {
		return err
	}
	return runRoles(ctx, s.logger, role{"policy", policies.Run}, heeding, role{"durability", s.shareSyncs}, role{"limits", count},
		role{"breakers", func(ctx context.Context) error { return nats.ServeBreakers(ctx, s.broker.conn, name, breakers) }}, role{"agents", func(ctx context.Context) error {
			governed, err := s.govern(ctx, client, own, counting, policies, breakers, kept)
			if ctx.Err() != nil {
				return nil //nolint:nilerr // being stopped is how it ends
			}
			if err != nil {
				return err
			}
			equipped, done, err := s.equip(governed, breakers)
			if err != nil {
				return err
			}
			defer done()
			return s.runAgents(ctx, name, equipped, start)
		}})
}

// runAgents serves the kinds of this worker until ctx ends, and then drains.
func (s *system) runAgents(ctx context.Context, name string, client llm.Client, start chat.Submitter) error {
	all, err := s.agents(client, start)
	if err != nil {
		return err
	}
	runner, err := workers.NewRunner(workers.RunnerConfig{
		Worker: name, Build: version, Slots: s.cfg.MaxGenerations, Agents: all, Log: s.broker.log, Board: s.broker.log, Blobs: s.broker.blobs,
		Budgets: workers.DefaultBudgets(s.cfg.MaxAgentRetries).With(events.CauseInvalidOutput, s.cfg.InvalidRetries), Timeout: s.cfg.agentTimeout(), Patience: s.cfg.writePatience(), Logger: s.logger,
	})
	if err != nil {
		return err
	}
	subscriber, err := nats.NewSubscriber(s.broker.js, nats.SubscriberConfig{
		Slots: s.cfg.MaxGenerations, DrainTimeout: s.cfg.DrainTimeout, Logger: s.logger,
	})
	if err != nil {
		return err
	}
	logger := watermill.NewSlogLogger(s.logger.With("component", "router"))
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: s.cfg.DrainTimeout + drainMargin}, routine{logger})
	if err != nil {
		return err
	}
	for _, kind := range runner.Kinds() {
		router.AddConsumerHandler("work-"+kind, kind, subscriber, runner.Handle)
	}
	ran := make(chan error, 1)
	go func() { ran <- router.Run(context.WithoutCancel(ctx)) }()
	select {
	case <-router.Running():
		s.logger.InfoContext(ctx, "worker pulls", "worker", runner.Worker, "kinds", runner.Kinds(), "slots", s.cfg.MaxGenerations)
		presence, err := nats.RegisterWorker(s.broker.conn, runner.Stats)
		if err != nil {
			return errors.Join(err, router.Close(), subscriber.Close(), <-ran)
		}
		defer presence.Stop()
		<-ctx.Done()
		s.logger.InfoContext(ctx, "worker drains", "worker", runner.Worker, "at_most", s.cfg.DrainTimeout)
		runner.Drain()
		presence.Announce()
		return errors.Join(router.Close(), subscriber.Close(), <-ran)
	case err := <-ran:
		return errors.Join(err, subscriber.Close())
	}
}

// agents returns those of the kinds that this worker serves.
func (s *system) agents(client llm.Client, start chat.Submitter) ([]workers.Agent, error) {
	all, err := allAgents(client, start)
	if err != nil || len(s.cfg.WorkerKinds) == 0 {
		return all, err
	}
	var own []workers.Agent
	for _, kind := range s.cfg.WorkerKinds {
		i := slices.IndexFunc(all, func(a workers.Agent) bool { return a.Kind().Name == kind })
		if i < 0 {
			return nil, &usageError{fmt.Errorf("WORKER_KINDS: there is no kind %q", kind)}
		}
		own = append(own, all[i])
	}
	return own, nil
}

// workerName returns a name that no other worker has.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	host = strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(host))
	return host[:min(len(host), events.MaxToken-9)] + "-" + uuid.NewString()[:8]
}

// notify tells subscribers until ctx ends.
func (s *system) notify(ctx context.Context) error {
	if !s.cfg.PusherEnabled {
		s.logger.InfoContext(ctx, "PUSHER_ENABLED is false: nobody is told; tasks can be followed over server-sent events")
		<-ctx.Done()
		return nil
	}
	if err := need("the notifier", map[string]string{
		"PUSHER_APP_ID": s.cfg.PusherAppID, "PUSHER_KEY": s.cfg.PusherKey, "PUSHER_SECRET": s.cfg.PusherSecret,
	}); err != nil {
		return &usageError{err}
	}
	sender, err := pusher.New(pusher.Config{
		AppID: s.cfg.PusherAppID, Key: s.cfg.PusherKey, Secret: s.cfg.PusherSecret, Cluster: s.cfg.PusherCluster,
		Host: s.cfg.PusherHost, Port: s.cfg.PusherPort, Plaintext: !s.cfg.PusherSSL,
	})
	if err != nil {
		return &usageError{err}
	}
	defer sender.Close()
	feed, err := nats.NewFeed(s.broker.js, nats.Notifier, nats.FeedConfig{Wait: notifyWait, Logger: s.logger})
	if err != nil {
		return err
	}
	notifier, err := notify.New(notify.Config{Feed: feed, Progress: progress{s.broker.log}, Lookup: s.broker.log, Sender: sender, Log: s.logger})
	if err != nil {
		return err
	}
	if err := telemetry.AddNotifier(s.shown, telemetry.Notifier{Stats: notifier.Stats, Active: feed.Active, Behind: func(ctx context.Context) (uint64, error) {
		lag, err := feed.Lag(ctx)
		return lag.Events, err
	}}); err != nil {
		return err
	}
	return notifier.Run(ctx)
}

// progress gives the notifier the reports of all tasks.
type progress struct{ log *nats.Log }

func (p progress) Progress(ctx context.Context, report func(events.Event)) error {
	return p.log.WatchProgress(ctx, report)
}

// routine passes on what the router has to say beyond its routine.
type routine struct{ watermill.LoggerAdapter }

func (q routine) Info(msg string, fields watermill.LogFields) { q.Debug(msg, fields) }

func (q routine) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return routine{q.LoggerAdapter.With(fields)}
}

// address returns where the API listens.
func (c Config) address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }
