package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/notify"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/pusher"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents"
)

// system is what roles are made of: the broker, the database and the configuration.
type system struct {
	cfg    Config
	logger *slog.Logger
	broker *broker
	db     *postgres.DB // nil where the role does not need it
	model  llm.Client   // nil: the worker chooses it
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
	s := &system{cfg: cfg, logger: logger, broker: b}
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
}

// kinds returns what the platform serves. They need no model.
func kinds() ([]task.Kind, error) {
	all, err := agents.All(composer.New())
	if err != nil {
		return nil, err
	}
	out := make([]task.Kind, len(all))
	for i, a := range all {
		out[i] = a.Kind()
	}
	return out, nil
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
	service, err := task.NewService(task.Config{
		Log: s.broker.log, Queue: s.broker.queue, Progress: s.broker.log, Archive: postgres.NewStaleReads(s.db), Catalog: catalog, Logger: s.logger,
	})
	if err != nil {
		return err
	}
	cfg := api.Config{
		Tasks: service, Catalog: catalog, Logger: s.logger, AllowedOrigins: s.cfg.AllowedOrigins, Version: version,
		Checks: []api.Check{
			{Name: "broker", Required: true, Probe: s.broker.readyForAPI},
			{Name: "postgres", Probe: s.db.Ready},
		},
	}
	if cfg.Verifier, cfg.DevPrincipal, err = s.identity(); err != nil {
		return err
	}
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
	asking, stop := context.WithCancel(ctx)
	var said sync.WaitGroup
	said.Go(func() { s.sayDurability(asking) })
	defer said.Wait()
	defer stop()
	s.logger.InfoContext(ctx, "api listens", "address", listener.Addr().String())
	return server.Run(ctx, listener)
}

// identity decides how callers prove who they are.
func (s *system) identity() (*auth.Verifier, *auth.Principal, error) {
	if s.cfg.SkipAuth || s.cfg.dev {
		dev := auth.DevPrincipal()
		return nil, &dev, nil
	}
	if s.cfg.JWTSecret == "" {
		return nil, nil, &usageError{errors.New("JWT_SECRET_KEY is not set: the API needs it to check bearer tokens (toolboxai dev needs none)")}
	}
	verifier, err := auth.NewVerifier([]byte(s.cfg.JWTSecret))
	if err != nil {
		return nil, nil, &usageError{fmt.Errorf("JWT_SECRET_KEY: %w", err)}
	}
	return verifier, nil, nil
}

// sayDurability states what an acknowledgement means on this broker, as soon as that is known. It returns then or when ctx ends.
func (s *system) sayDurability(ctx context.Context) {
	for said := false; ; said = true {
		sentence, safe, err := nats.Durability(ctx, s.broker.js, s.broker.syncAlways)
		switch {
		case err == nil && (safe || s.cfg.development()):
			s.logger.InfoContext(ctx, "what an acknowledgement means", "durability", sentence)
			return
		case err == nil:
			s.logger.WarnContext(ctx, "ACKNOWLEDGED WORK MAY BE LOST", "durability", sentence)
			return
		case !said && ctx.Err() == nil:
			s.logger.WarnContext(ctx, "the broker's durability is not known yet", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(durabilityPause):
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
	s.logger.InfoContext(ctx, "model chosen", "model", client.Describe())
	all, err := agents.All(client)
	if err != nil {
		return err
	}
	runner, err := workers.NewRunner(workers.RunnerConfig{
		Worker: workerName(), Agents: all, Log: s.broker.log, Board: s.broker.log,
		Budgets: workers.DefaultBudgets(s.cfg.MaxAgentRetries), Timeout: s.cfg.agentTimeout(), Logger: s.logger,
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
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: s.cfg.DrainTimeout + drainMargin}, quiet{logger})
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
		<-ctx.Done()
		s.logger.InfoContext(ctx, "worker drains", "worker", runner.Worker, "at_most", s.cfg.DrainTimeout)
		return errors.Join(router.Close(), subscriber.Close(), <-ran)
	case err := <-ran:
		return errors.Join(err, subscriber.Close())
	}
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

// record copies the log into Postgres and dispatches what was left behind, until ctx ends.
func (s *system) record(ctx context.Context) error {
	feed, err := nats.NewFeed(s.broker.js, nats.Recorder, nats.FeedConfig{Batch: recordBatch, Logger: s.logger})
	if err != nil {
		return err
	}
	recorder := &workers.Recorder{Feed: feed, Archive: s.db, Logger: s.logger}
	reconciler := &workers.Reconciler{Log: s.broker.log, Queue: s.broker.queue, Latest: s.broker.log, Logger: s.logger}
	return runRoles(ctx, s.logger, role{"record", recorder.Run}, role{"reconcile", reconciler.Run})
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
	return notifier.Run(ctx)
}

// progress gives the notifier the reports of all tasks.
type progress struct{ log *nats.Log }

func (p progress) Progress(ctx context.Context, report func(events.Event)) error {
	return p.log.WatchProgress(ctx, report)
}

// quiet passes on what the router has to say beyond its routine.
type quiet struct{ watermill.LoggerAdapter }

func (q quiet) Info(msg string, fields watermill.LogFields) { q.Debug(msg, fields) }

func (q quiet) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return quiet{q.LoggerAdapter.With(fields)}
}

// address returns where the API listens.
func (c Config) address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }
