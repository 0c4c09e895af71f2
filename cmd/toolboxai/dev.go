package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/postgres/local"
	embeddedredis "github.com/toolboxai/orchestrator/internal/redis/embedded"
	"github.com/toolboxai/orchestrator/nats"
)

type devCommand struct {
	Data     string `help:"Where everything is kept (default: the user's data directory)." type:"path" env:"TOOLBOXAI_DATA"`
	Host     string `help:"Where to listen. There is no sign-in: keep it on this machine." default:"127.0.0.1"`
	Port     int    `help:"Port of the API." default:"8009" env:"PORT"`
	NATSPort int    `help:"Port of the broker for command-line tools; another one when it is taken." name:"nats-port" default:"4222"`
}

// Run runs every role in this process: the broker inside it, Postgres as its child, everybody the development admin.
// DATABASE_URL and NATS_URL replace the embedded ones.
func (c *devCommand) Run(ctx context.Context) (err error) {
	began := time.Now()
	cfg, logger, err := c.environment()
	if err != nil {
		return err
	}
	model, err := llm.Select(ctx, cfg.models())
	if err == nil {
		err = cfg.checkModels()
	}
	if err != nil {
		return &usageError{err}
	}
	if c.Data == "" {
		if c.Data, err = dataDirectory(); err != nil {
			return err
		}
	}
	held, err := holdDirectory(c.Data, "http://"+net.JoinHostPort(c.Host, strconv.Itoa(c.Port)))
	if err != nil {
		return err
	}
	defer held.release()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.address())
	if err != nil {
		return &usageError{fmt.Errorf("the API cannot listen: %w; choose another port with --port", err)}
	}
	defer listener.Close()

	services, err := c.start(ctx, cfg, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, services.stop()) }()
	if services.postgres != nil {
		cfg.DatabaseURL = services.postgres.URL()
	}
	if services.redis != nil {
		cfg.RedisURL = services.redis.URL()
	}
	if cfg, err = cfg.withChannels(c.Host, c.Port).withCallbacks(c.Host, c.Port).withKeys(c.Data); err != nil {
		return err
	}
	s, err := open(ctx, cfg, logger, "dev", services.broker, true)
	if err != nil {
		return err
	}
	defer s.close()
	s.model = model
	if err := migrate(ctx, cfg, logger, s.broker); err != nil {
		return err
	}
	roles := []role{{"postgres", services.watch}, {"recorder", s.record}, {"dispatcher", s.dispatch}, {"callbacks", s.callbacks}}
	if cfg.pusherWanted() {
		roles = append(roles, role{"notifier", s.notify})
	}
	roles = append(roles, role{"worker", s.work}, role{"api", func(ctx context.Context) error { return s.serveAPI(ctx, listener) }},
		role{"farewell", func(ctx context.Context) error { return sayStopping(ctx, cfg.DrainTimeout) }})
	c.greet(cfg, services, model.Describe(), time.Since(began))
	return stopped(ctx, runRoles(ctx, logger, roles...))
}

// withChannels has the API serve channels itself, at host and port, unless the environment names an app of Pusher's.
func (c Config) withChannels(host string, port int) Config {
	if !c.PusherEnabled || c.PusherAppID != "" {
		return c
	}
	c.Channels, c.PusherAppID, c.PusherKey = true, "toolboxai", "toolboxai-dev"
	c.PusherHost, c.PusherPort, c.PusherSSL = host, port, false
	return c
}

// environment is that of the other roles, with what a laptop needs.
func (c *devCommand) environment() (Config, *slog.Logger, error) {
	vars := append(os.Environ(), "HOST="+c.Host, "PORT="+strconv.Itoa(c.Port))
	for name, value := range map[string]string{"LOG_FORMAT": "text", "LOG_LEVEL": "warn"} {
		if os.Getenv(name) == "" {
			vars = append(vars, name+"="+value)
		}
	}
	cfg, err := loadConfig(vars)
	if err != nil {
		return Config{}, nil, &usageError{err}
	}
	if !cfg.development() {
		return Config{}, nil, &usageError{fmt.Errorf("ENVIRONMENT is %s: dev has no sign-in and runs only in development", cfg.Environment)}
	}
	cfg.dev = true
	logger, err := cfg.openLogs()
	return cfg, logger, err
}

// embedded are the services that run with the process.
type embedded struct {
	broker   *nats.Embedded
	postgres *local.Server
	redis    *embeddedredis.Server
}

// start runs the broker and Postgres side by side, those that the environment does not name.
func (c *devCommand) start(ctx context.Context, cfg Config, logger *slog.Logger) (*embedded, error) {
	var e embedded
	group, ctx := errgroup.WithContext(ctx)
	if cfg.NATSURL == "" {
		group.Go(func() (err error) {
			e.broker, err = startBroker(nats.EmbeddedConfig{
				StoreDir: filepath.Join(c.Data, "nats"), Port: freePort(ctx, c.NATSPort), MonitorPort: freePort(ctx, 8222),
				Logger: logger.With("component", "nats"),
			})
			return err
		})
	}
	if cfg.DatabaseURL == "" {
		group.Go(func() (err error) {
			e.postgres, err = local.Start(ctx, local.Config{Dir: filepath.Join(c.Data, "postgres"), Download: true, Logger: logger.With("component", "postgres")})
			return err
		})
	}
	if cfg.RedisURL == "" {
		group.Go(func() (err error) {
			e.redis, err = embeddedredis.StartEmbedded(embeddedredis.Config{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	return &e, nil
}

// watch ends when Postgres does.
func (e *embedded) watch(ctx context.Context) error {
	if e.postgres == nil {
		<-ctx.Done()
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-e.postgres.Done():
		return errors.New("it ended by itself; its log is at LOG_LEVEL=debug")
	}
}

func (e *embedded) stop() error {
	if e.broker != nil {
		e.broker.Shutdown()
	}
	if e.redis != nil {
		e.redis.Close()
	}
	if e.postgres == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return e.postgres.Stop(ctx)
}

// startBroker starts a broker, on any ports when somebody has taken one of its own since they were looked at.
func startBroker(cfg nats.EmbeddedConfig) (*nats.Embedded, error) {
	broker, err := nats.StartEmbedded(cfg)
	if errors.Is(err, syscall.EADDRINUSE) {
		cfg.Port, cfg.MonitorPort = 0, 0
		broker, err = nats.StartEmbedded(cfg)
	}
	return broker, err
}

// freePort returns port when nobody listens there, else 0: any.
func freePort(ctx context.Context, port int) int {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0
	}
	l.Close()
	return port
}

// sayStopping waits until ctx ends and then says how long stopping may take.
func sayStopping(ctx context.Context, drain time.Duration) error {
	<-ctx.Done()
	fmt.Printf("\nStopping: running tasks may finish for up to %s. Ctrl-C again stops at once.\n", drain)
	return nil
}

func (c *devCommand) greet(cfg Config, e *embedded, model string, took time.Duration) {
	base := "http://" + net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	brokerURL, monitor := redacted(cfg.NATSURL), ""
	if e.broker != nil {
		brokerURL, monitor = e.broker.URL(), ", monitoring at "+e.broker.MonitorURL()
	}
	channels := "off: PUSHER_ENABLED is false; follow tasks over server-sent events"
	switch {
	case cfg.Channels:
		channels = fmt.Sprintf("for pusher-js: key %s, wsHost %s, wsPort %d, authorised at /pusher/auth", cfg.PusherKey, c.Host, c.Port)
	case cfg.pusherWanted():
		channels = "Pusher app " + cfg.PusherAppID
	}
	fmt.Printf(`
ToolboxAI is up after %s

  API       %s/api/v1
  docs      %s/docs
  model     %s
  channels  %s
  broker    %s%s
  data      %s

Submit a first task from another terminal:

  curl -s %s/api/v1/agents/quiz/generate \
    -H 'Content-Type: application/json' \
    -d '{"subject":"History","objectives":["Explain why Rome fell"],"num_questions":5}'

Stop with Ctrl-C.
`, took.Round(10*time.Millisecond), base, base, model, channels, brokerURL, monitor, c.Data, base)
}

// redacted returns a list of broker addresses without the passwords and tokens in them.
func redacted(list string) string {
	addresses := strings.Split(list, ",")
	for i, address := range addresses {
		address = strings.TrimSpace(address)
		if !strings.Contains(address, "://") {
			address = "nats://" + address
		}
		u, err := url.Parse(address)
		if err != nil {
			addresses[i] = "(an address that cannot be read)"
			continue
		}
		if _, ok := u.User.Password(); u.User != nil && !ok {
			u.User = url.User("xxxxx") // a token
		}
		addresses[i] = u.Redacted()
	}
	return strings.Join(addresses, ",")
}

// dataDirectory returns where a user's programs keep their data.
func dataDirectory() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/toolboxai", nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "toolboxai"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", &usageError{fmt.Errorf("no data directory: %w; give one with --data", err)}
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "toolboxai"), nil
	}
	return filepath.Join(home, ".local", "share", "toolboxai"), nil
}
