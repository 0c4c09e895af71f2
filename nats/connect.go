package nats

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ConnectConfig says which broker to use and who asks. One of URL and Embedded is required.
type ConnectConfig struct {
	URL      string    // one or several, with commas between; may hold user and password
	Embedded *Embedded // takes precedence over URL
	Creds    string    // path of a credentials file, or empty
	TLS      *tls.Config
	Name     string // shown in the broker's monitoring; "toolboxai"
	Inbox    string // prefix of reply subjects; "_INBOX". Brokers with a user per role allow each its own: see nats.conf
	Logger   *slog.Logger
}

// Connect returns a connection that comes back by itself for as long as it takes. It does not wait for a broker that is not
// there yet. While there is none, what is sent fails at once instead of being kept and sent late. The caller closes it.
func Connect(cfg ConnectConfig) (*natsgo.Conn, jetstream.JetStream, error) {
	if cfg.URL == "" && cfg.Embedded == nil {
		return nil, nil, errors.New("connect to the broker: neither a URL nor an embedded broker is given")
	}
	setDefault(&cfg.Name, "toolboxai")
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	log := &connLog{logger: cfg.Logger.With("conn", cfg.Name)}
	opts := []natsgo.Option{
		natsgo.Name(cfg.Name),
		natsgo.MaxReconnects(-1),
		natsgo.RetryOnFailedConnect(true),
		natsgo.IgnoreAuthErrorAbort(), // a password that is changed on one side first is no reason to give up for good
		natsgo.ReconnectWait(100 * time.Millisecond),
		natsgo.ReconnectJitter(200*time.Millisecond, time.Second),
		natsgo.ReconnectBufSize(-1),
		natsgo.PingInterval(10 * time.Second),
		natsgo.MaxPingsOutstanding(2),
		natsgo.DisconnectErrHandler(log.down),
		natsgo.ReconnectHandler(log.up),
		natsgo.ErrorHandler(log.trouble),
	}
	if cfg.Inbox != "" {
		opts = append(opts, natsgo.CustomInboxPrefix(cfg.Inbox))
	}
	if cfg.Creds != "" {
		opts = append(opts, natsgo.UserCredentials(cfg.Creds))
	}
	if cfg.TLS != nil {
		opts = append(opts, natsgo.Secure(cfg.TLS))
	}
	if cfg.Embedded != nil {
		opts = append(opts, natsgo.InProcessServer(cfg.Embedded))
	}
	nc, err := natsgo.Connect(cfg.URL, opts...)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the broker: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("connect to the broker: %w", err)
	}
	return nc, js, nil
}

// connLog says what happens to a connection, and the same trouble once a minute at most: a slow reader or a missing permission
// would fill the log.
type connLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	last   string
	at     time.Time
}

const quiet = time.Minute

func (l *connLog) down(_ *natsgo.Conn, err error) {
	if err != nil {
		l.logger.Warn("broker connection lost", "error", err)
	}
}

func (l *connLog) up(nc *natsgo.Conn) {
	l.logger.Info("broker connection is back", "url", nc.ConnectedUrlRedacted())
}

func (l *connLog) trouble(_ *natsgo.Conn, sub *natsgo.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	l.mu.Lock()
	repeated := l.last == err.Error() && time.Since(l.at) < quiet
	if !repeated {
		l.last, l.at = err.Error(), time.Now()
	}
	l.mu.Unlock()
	if !repeated {
		l.logger.Warn("broker reports trouble", "subject", subject, "error", err)
	}
}
