package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Security is how a connection to a mail server is kept from being read.
type Security string

const (
	STARTTLS Security = "starttls" // it begins in clear and is refused unless it becomes TLS
	TLS      Security = "tls"      // from the first byte
	Clear    Security = "none"     // not at all: on this host, with no password
)

// tryLater is what a sender is told to wait when the server does not say.
const tryLater = 10 * time.Second

// SMTPConfig says which mail server to use. Host and From are required.
type SMTPConfig struct {
	Host     string
	Port     int      // 587, and 465 for TLS
	Security Security // STARTTLS
	Username string   // empty: without signing in
	Password string
	From     string           // "ToolboxAI <no-reply@school.example>", or only the address
	Timeout  time.Duration    // of one mail, from the connection to the server's last word; 20 s
	Roots    *x509.CertPool   // who may vouch for the server; nil: whom the system trusts
	Breaker  *breaker.Breaker // stands before the server; nil: none
}

// SMTP hands mails to a mail server, over a connection of its own for each: they are few. It does not print its password.
type SMTP struct {
	cfg  SMTPConfig
	from *netmail.Address
}

var _ Sender = (*SMTP)(nil)

// NewSMTP checks cfg and returns the sender without connecting. The error names what is wrong with cfg.
func NewSMTP(cfg SMTPConfig) (*SMTP, error) {
	if cfg.Security == "" {
		cfg.Security = STARTTLS
	}
	if cfg.Port == 0 {
		cfg.Port = 587
		if cfg.Security == TLS {
			cfg.Port = 465
		}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 20 * time.Second
	}
	from, err := netmail.ParseAddress(cfg.From)
	switch {
	case err != nil || !isAddress(from.Address):
		return nil, errors.New("mail: SMTPConfig.From is no e-mail address")
	case cfg.Host == "" || strings.ContainsAny(cfg.Host, "/ \r\n"):
		return nil, errors.New("mail: SMTPConfig.Host is no host")
	case cfg.Port < 0 || cfg.Port > 65535:
		return nil, fmt.Errorf("mail: SMTPConfig.Port is %d, must be 1 to 65535", cfg.Port)
	case cfg.Timeout < 0:
		return nil, errors.New("mail: SMTPConfig.Timeout is negative")
	case cfg.Security != STARTTLS && cfg.Security != TLS && cfg.Security != Clear:
		return nil, fmt.Errorf("mail: SMTPConfig.Security is %q, must be %s, %s or %s", cfg.Security, STARTTLS, TLS, Clear)
	case cfg.Security == Clear && !isLoopback(cfg.Host):
		return nil, errors.New("mail: SMTPConfig.Security is none: mails let people in, they do not leave this host in clear")
	case cfg.Security == Clear && cfg.Username != "":
		return nil, errors.New("mail: SMTPConfig.Security is none: a password is not sent in clear")
	case (cfg.Username == "") != (cfg.Password == ""):
		return nil, errors.New("mail: SMTPConfig.Username and Password go together")
	}
	return &SMTP{cfg, from}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// String names the server.
func (s *SMTP) String() string {
	return "smtp server " + net.JoinHostPort(s.cfg.Host, strconv.Itoa(s.cfg.Port))
}

// GoString is String: %#v prints no password either.
func (s *SMTP) GoString() string { return s.String() }

// Send implements Sender. It ends within SMTPConfig.Timeout, however slow the server is.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	letter, err := s.letter(m)
	if err != nil {
		return err
	}
	send := func(ctx context.Context) error { return s.deliver(ctx, letter) }
	if s.cfg.Breaker != nil {
		return s.cfg.Breaker.Do(ctx, send)
	}
	return send(ctx)
}

func (s *SMTP) letter(m Message) (*gomail.Msg, error) {
	letter := gomail.NewMsg()
	letter.FromMailAddress(s.from)
	if err := letter.To(m.To); err != nil {
		return nil, fault.InvalidField("to", "is no e-mail address")
	}
	letter.Subject(m.Subject)
	letter.SetDate()
	letter.SetMessageIDWithValue(rand.Text() + "@" + s.domain())
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no holiday notice answers it
	letter.SetBodyString(gomail.TypeTextPlain, m.Text)
	return letter, nil
}

func (s *SMTP) domain() string { return s.from.Address[strings.LastIndex(s.from.Address, "@")+1:] }

// deliver makes one attempt. The library bounds neither the greeting nor a server that drips, and leaves connections open when it
// fails half-way: the connection is ours therefore, with one deadline for all of it.
func (s *SMTP) deliver(ctx context.Context, letter *gomail.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return failure(ctx, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	client, err := s.client(conn)
	if err != nil {
		return fault.New(fault.Internal, "set up a mail client: %w", err)
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return failure(ctx, err)
	}
	if err := client.SendWithSMTPClient(session, letter); err != nil {
		return failure(ctx, err)
	}
	_ = client.CloseWithSMTPClient(session) // the server has the mail: how it says goodbye is its own affair
	return nil
}

func (s *SMTP) dial(ctx context.Context) (net.Conn, error) {
	address := net.JoinHostPort(s.cfg.Host, strconv.Itoa(s.cfg.Port))
	if s.cfg.Security == TLS {
		return (&tls.Dialer{Config: s.tls()}).DialContext(ctx, "tcp", address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

func (s *SMTP) tls() *tls.Config {
	return &tls.Config{ServerName: s.cfg.Host, RootCAs: s.cfg.Roots, MinVersion: tls.VersionTLS12}
}

func (s *SMTP) client(conn net.Conn) (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithPort(s.cfg.Port), gomail.WithTimeout(s.cfg.Timeout), gomail.WithHELO(s.domain()), gomail.WithTLSConfig(s.tls()), gomail.WithoutNoop(),
		gomail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return conn, nil }),
	}
	switch s.cfg.Security {
	case STARTTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case TLS:
		options = append(options, gomail.WithSSL())
	case Clear:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.cfg.Username != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.cfg.Username), gomail.WithPassword(s.cfg.Password))
	}
	return gomail.NewClient(s.cfg.Host, options...)
}
