package mail_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/internal/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script says what a mail server does.
type script struct {
	noTLS, implicit bool              // it offers no STARTTLS; it speaks TLS from the first byte
	silent          bool              // it never says a word
	drip            bool              // it says something now and then, and never comes to an end
	auth            string            // "user password" that it wants
	answers         map[string]string // to a verb, instead of its own
}

// server is a mail server on the loopback that follows a script.
type server struct {
	script
	listener net.Listener
	cert     tls.Certificate
	roots    *x509.CertPool
	wg       sync.WaitGroup
	quit     chan struct{}

	mu    sync.Mutex
	mails []received
	verbs []string // that were said in clear
	conns map[net.Conn]bool
	opened,
	closed int
}

type received struct {
	from, to, data string
	encrypted      bool
	user           string
}

func start(t *testing.T, s script) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &server{script: s, listener: l, quit: make(chan struct{}), conns: map[net.Conn]bool{}}
	srv.cert, srv.roots = certificate(t)
	srv.wg.Go(srv.accept)
	t.Cleanup(srv.stop)
	return srv
}

func (s *server) stop() {
	s.listener.Close()
	close(s.quit)
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// config is how to reach the server.
func (s *server) config(change ...func(*mail.SMTPConfig)) mail.SMTPConfig {
	host, port, _ := net.SplitHostPort(s.listener.Addr().String())
	n, _ := strconv.Atoi(port)
	cfg := mail.SMTPConfig{Host: host, Port: n, From: "ToolboxAI <no-reply@school.example>", Roots: s.roots, Timeout: 20 * time.Second}
	for _, c := range change {
		c(&cfg)
	}
	return cfg
}

func (s *server) got() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.mails...)
}

func (s *server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.opened++
		s.mu.Unlock()
		s.wg.Go(func() {
			s.serve(c)
			s.mu.Lock()
			s.closed++
			s.mu.Unlock()
		})
	}
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	encrypted := s.implicit
	if s.implicit {
		c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{s.cert}})
	}
	in := bufio.NewReader(c)
	say := func(line string) { _, _ = c.Write([]byte(line + "\r\n")) }
	switch {
	case s.silent:
		_, _ = in.ReadByte() // until the client is gone
		return
	case s.drip:
		for {
			select {
			case <-s.quit:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if _, err := c.Write([]byte("220-one moment please\r\n")); err != nil {
				return
			}
		}
	}
	say("220 ready")
	var m received
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		verb := strings.ToUpper(strings.Fields(line + " ?")[0])
		if !encrypted {
			s.mu.Lock()
			s.verbs = append(s.verbs, verb)
			s.mu.Unlock()
		}
		if answer, scripted := s.answers[verb]; scripted {
			if answer == "" {
				return
			}
			say(answer)
			continue
		}
		switch verb {
		case "EHLO":
			say("250-here")
			if !s.noTLS && !encrypted {
				say("250-STARTTLS")
			}
			if s.auth != "" {
				say("250-AUTH PLAIN")
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{s.cert}})
			in, encrypted = bufio.NewReader(c), true
		case "AUTH":
			proof, _ := base64.StdEncoding.DecodeString(line[len("AUTH PLAIN "):])
			if m.user = strings.TrimSpace(strings.ReplaceAll(string(proof), "\x00", " ")); m.user != s.auth {
				say("535 no")
				continue
			}
			say("235 yes")
		case "MAIL":
			m.from = line
			say("250 ok")
		case "RCPT":
			m.to = line
			say("250 ok")
		case "DATA":
			say("354 go on")
			var data strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				data.WriteString(line)
			}
			m.data, m.encrypted = data.String(), encrypted
			s.mu.Lock()
			s.mails = append(s.mails, m)
			s.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// certificate returns one for 127.0.0.1 and who vouches for it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// deliver sends a mail to the server.
func deliver(ctx context.Context, t *testing.T, cfg mail.SMTPConfig) error {
	t.Helper()
	sender, err := mail.NewSMTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return sender.Send(ctx, mail.Message{To: "ada@school.example", Subject: "Grüße", Text: "Follow https://school.example/reset#token=s3cret\n.\nBye"})
}
