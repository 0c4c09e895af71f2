package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/nats"
)

type apiCommand struct{}

func (apiCommand) Run(ctx context.Context) error {
	cfg, logger, err := environment()
	if err != nil {
		return err
	}
	s, err := open(ctx, cfg, logger, "api", nil, true)
	if err != nil {
		return err
	}
	defer s.close()
	if s.cfg, err = cfg.keysForAPI(); err != nil {
		return &usageError{err}
	}
	if _, err := s.identify(); err != nil { // what is wrong with the configuration is said before it listens
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.address())
	if err != nil {
		return &usageError{fmt.Errorf("HOST, PORT: %w", err)}
	}
	return stopped(ctx, s.serveAPI(ctx, listener))
}

type workerCommand struct{}

func (workerCommand) Run(ctx context.Context) error {
	all, err := kinds()
	if err != nil {
		return err
	}
	var consumers []nats.ConsumerRef
	for _, k := range all {
		consumers = append(consumers, nats.WorkConsumers(k.Name)...)
	}
	return runRole(ctx, "worker", false, (*system).work, consumers...)
}

type recorderCommand struct{}

func (recorderCommand) Run(ctx context.Context) error {
	return runRole(ctx, "recorder", true, (*system).record, nats.ConsumerRef{Stream: events.StreamEvents, Name: nats.Recorder})
}

type notifierCommand struct{}

func (notifierCommand) Run(ctx context.Context) error {
	return runRole(ctx, "notifier", false, (*system).notify, nats.ConsumerRef{Stream: events.StreamEvents, Name: nats.Notifier})
}

type callbacksCommand struct{}

func (callbacksCommand) Run(ctx context.Context) error {
	return runRole(ctx, "callbacks", true, (*system).callbacks, nats.ConsumerRef{Stream: events.StreamEvents, Name: nats.Callbacks})
}

// runRole runs a role without an API once the consumers that it uses are there, and answers for its health at OPS_ADDR.
func runRole(ctx context.Context, name string, withDB bool, work func(*system, context.Context) error, consumers ...nats.ConsumerRef) error {
	cfg, logger, err := environment()
	if err != nil {
		return err
	}
	logger = logger.With("role", name)
	s, err := open(ctx, cfg, logger, name, nil, withDB)
	if err != nil {
		return err
	}
	defer s.close()
	roles := []role{{name, func(ctx context.Context) error {
		if err := s.broker.awaitProvisioned(ctx, logger, consumers...); err != nil {
			return err
		}
		return work(s, ctx)
	}}}
	if cfg.OpsAddr != "" {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.OpsAddr)
		if err != nil {
			return &usageError{fmt.Errorf("OPS_ADDR: %w", err)}
		}
		roles = append([]role{{"ops", func(ctx context.Context) error { return serveOps(ctx, listener, s.ready, s.metrics()) }}}, roles...)
	}
	return stopped(ctx, runRoles(ctx, logger, roles...))
}

// stopped makes nothing of the errors that come of being asked to stop.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

type migrateCommand struct{}

func (migrateCommand) Run(ctx context.Context) error {
	cfg, logger, err := environment()
	if err != nil {
		return err
	}
	if err := need("migrate", map[string]string{"DATABASE_URL": cfg.DatabaseURL, "NATS_URL": cfg.NATSURL}); err != nil {
		return &usageError{err}
	}
	b, err := openBroker(cfg, logger, "toolboxai-migrate", nil)
	if err != nil {
		return err
	}
	defer b.conn.Close()
	return migrate(ctx, cfg, logger, b)
}

// migratePatience is how long migrate waits for a broker and a database that are starting.
const migratePatience = time.Minute

// migrate brings streams, consumers and tables to what this program needs. It may be repeated, and run by several at once.
func migrate(ctx context.Context, cfg Config, logger *slog.Logger, b *broker) error {
	all, err := kinds()
	if err != nil {
		return err
	}
	names := make([]string, len(all))
	for i, k := range all {
		names[i] = k.Name
	}
	changes, err := patiently(ctx, logger, func(ctx context.Context) ([]string, error) {
		return nats.Provision(ctx, b.js, cfg.topology(names))
	})
	for _, change := range changes {
		logger.InfoContext(ctx, "broker changed", "change", change)
	}
	if err != nil {
		return fmt.Errorf("streams and consumers: %w", err)
	}
	applied, err := patiently(ctx, logger, func(ctx context.Context) ([]string, error) { return postgres.Migrate(ctx, cfg.DatabaseURL) })
	for _, name := range applied {
		logger.InfoContext(ctx, "database migrated", "migration", name)
	}
	if err != nil {
		return fmt.Errorf("tables: %w", err)
	}
	logger.InfoContext(ctx, "broker and database are as they should be", "changes", len(changes)+len(applied))
	return nil
}

// patiently repeats a step of migrate while what it needs is still starting.
func patiently(ctx context.Context, logger *slog.Logger, step func(context.Context) ([]string, error)) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, migratePatience)
	defer cancel()
	var done []string
	for {
		more, err := step(ctx)
		done = append(done, more...)
		if err == nil || !retryable(err) {
			return done, err
		}
		logger.InfoContext(ctx, "waiting", "error", err)
		select {
		case <-ctx.Done():
			return done, err
		case <-time.After(time.Second):
		}
	}
}

type healthCommand struct {
	URL string `help:"Where the role answers: the API, or OPS_ADDR of another role." default:"http://127.0.0.1:8009" env:"TOOLBOXAI_URL"`
}

func (c *healthCommand) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/health/ready", nil)
	if err != nil {
		return &usageError{err}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", res.Status)
	}
	fmt.Println("ready")
	return nil
}
