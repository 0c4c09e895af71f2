package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// EmbeddedConfig says how a broker inside the process runs. Zero fields take the defaults.
type EmbeddedConfig struct {
	StoreDir    string // where JetStream keeps its data; required. One process at a time: the broker does not lock it
	Host        string // of TCP and monitoring; 127.0.0.1
	Port        int    // of TCP; 0 takes a free one, -1 listens nowhere: in-process connections only
	MonitorPort int    // of monitoring over HTTP; 0 takes a free one, -1 has none
	SyncAlways  bool   // write each message through to disk before it is acknowledged
	MaxMemory   int64  // bytes for memory streams; 0 takes the broker's default, a part of the machine's
	MaxStore    int64  // bytes for file streams; 0 takes the broker's default, a part of the disk
	Logger      *slog.Logger
}

// Embedded is a broker inside the process. It has no authentication: it is for one machine.
type Embedded struct {
	server     *server.Server
	syncAlways bool
	stop       sync.Once
}

// startTimeout is generous: a store with much data is read before the broker is ready.
const startTimeout = 60 * time.Second

// StartEmbedded starts a broker and returns once it takes connections. The caller ends it with Shutdown. An error
// that wraps syscall.EADDRINUSE says that somebody has one of its ports; another call may have others.
func StartEmbedded(cfg EmbeddedConfig) (*Embedded, error) {
	if cfg.StoreDir == "" {
		return nil, errors.New("embedded broker: StoreDir is missing")
	}
	setDefault(&cfg.Host, "127.0.0.1")
	opts := &server.Options{
		ServerName: "toolboxai", Host: cfg.Host, HTTPHost: cfg.Host, DontListen: cfg.Port < 0,
		Port: freePort(cfg.Port), HTTPPort: freePort(cfg.MonitorPort), NoSigs: true,
		JetStream: true, StoreDir: cfg.StoreDir, SyncAlways: cfg.SyncAlways, DisableJetStreamBanner: true,
		JetStreamMaxMemory: cfg.MaxMemory, JetStreamMaxStore: cfg.MaxStore,
	}
	if cfg.MonitorPort < 0 {
		opts.HTTPPort = 0
	}
	for _, limit := range []*int64{&opts.JetStreamMaxMemory, &opts.JetStreamMaxStore} {
		if *limit == 0 {
			*limit = -1
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	log := serverLog{cfg.Logger, make(chan string, 1)}
	s.SetLogger(log, false, false)
	s.Start()
	e := &Embedded{server: s, syncAlways: cfg.SyncAlways}
	if err := e.ready(log.fatal); err != nil {
		e.Shutdown()
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return e, nil
}

// ready waits until the broker takes connections, or says why it never will.
func (e *Embedded) ready(fatal <-chan string) error {
	for limit := time.Now().Add(startTimeout); time.Now().Before(limit); {
		if e.server.ReadyForConnections(20*time.Millisecond) && e.server.JetStreamEnabled() {
			return nil
		}
		select {
		case text := <-fatal:
			if strings.Contains(text, syscall.EADDRINUSE.Error()) {
				return fmt.Errorf("%w: %s", syscall.EADDRINUSE, text)
			}
			return errors.New(text)
		default:
		}
	}
	return fmt.Errorf("not ready within %s", startTimeout)
}

// freePort turns our 0 into the broker's word for a free port.
func freePort(port int) int {
	if port <= 0 {
		return server.RANDOM_PORT
	}
	return port
}

// URL returns where clients of other processes connect, or "" when the broker listens nowhere.
func (e *Embedded) URL() string {
	if e.server.Addr() == nil {
		return ""
	}
	return "nats://" + e.server.Addr().String()
}

// MonitorURL returns where the broker's monitoring answers, or "" without it.
func (e *Embedded) MonitorURL() string {
	if e.server.MonitorAddr() == nil {
		return ""
	}
	return "http://" + e.server.MonitorAddr().String()
}

// SyncAlways reports whether each message is written through to disk before it is acknowledged.
func (e *Embedded) SyncAlways() bool { return e.syncAlways }

// InProcessConn returns a connection that needs no network; Connect uses it.
func (e *Embedded) InProcessConn() (net.Conn, error) { return e.server.InProcessConn() }

// Shutdown writes everything to disk, closes all connections and returns when nothing of the broker runs any more. Further
// calls wait for the first one.
func (e *Embedded) Shutdown() {
	e.stop.Do(func() {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	})
}

// serverLog passes the broker's own log lines on. What it calls fatal ends nothing by itself.
type serverLog struct {
	logger *slog.Logger
	fatal  chan string
}

func (l serverLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l serverLog) Debugf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l serverLog) Tracef(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l serverLog) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l serverLog) Errorf(format string, v ...any)  { l.say(slog.LevelError, format, v) }

func (l serverLog) Fatalf(format string, v ...any) {
	l.say(slog.LevelError, format, v)
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}

func (l serverLog) say(level slog.Level, format string, v []any) {
	if l.logger.Enabled(context.Background(), level) {
		l.logger.Log(context.Background(), level, "broker", "text", fmt.Sprintf(format, v...))
	}
}
