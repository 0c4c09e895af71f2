package mail_test

import (
	"context"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
	ours "github.com/toolboxai/orchestrator/internal/mail"
)

func TestSMTP_SendsWhatItWasGiven(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script script
		cfg    func(*ours.SMTPConfig)
	}{
		"STARTTLS": {script{}, func(*ours.SMTPConfig) {}},
		"TLS":      {script{implicit: true}, func(c *ours.SMTPConfig) { c.Security = ours.TLS }},
		"signed in": {script{auth: "robot hunter2hunter2"}, func(c *ours.SMTPConfig) {
			c.Username, c.Password = "robot", "hunter2hunter2"
		}},
		"in clear on this host": {script{noTLS: true}, func(c *ours.SMTPConfig) { c.Security = ours.Clear }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := start(t, c.script)
			cfg := srv.config(c.cfg)
			if err := deliver(t.Context(), t, cfg); err != nil {
				t.Fatal(err)
			}
			mails := srv.got()
			if len(mails) != 1 {
				t.Fatalf("got %d mails, want 1", len(mails))
			}
			if m := mails[0]; m.encrypted != (cfg.Security != ours.Clear) || m.user != c.script.auth ||
				!strings.HasPrefix(m.from, "MAIL FROM:<no-reply@school.example>") || m.to != "RCPT TO:<ada@school.example>" {
				t.Errorf("got %+v", m)
			}
			parsed, err := mail.ReadMessage(strings.NewReader(mails[0].data))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(parsed.Body))
			if want := "Follow https://school.example/reset#token=s3cret\r\n.\r\nBye"; err != nil || strings.TrimSpace(strings.ReplaceAll(string(body), "..", ".")) != want {
				t.Errorf("the text is %q (%v), want %q", body, err, want)
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
			if err != nil || subject != "Grüße" {
				t.Errorf("the subject is %q (%v)", subject, err)
			}
			if got := parsed.Header.Get("Message-Id"); !strings.HasSuffix(got, "@school.example>") {
				t.Errorf("the message id %q names more than our domain", got)
			}
			if got := parsed.Header.Get("Auto-Submitted"); got != "auto-generated" {
				t.Errorf("Auto-Submitted is %q", got)
			}
		})
	}
}

func TestSMTP_RefusesToSpeakInClear(t *testing.T) {
	t.Parallel()
	srv := start(t, script{noTLS: true, auth: "robot hunter2hunter2"})
	err := deliver(t.Context(), t, srv.config(func(c *ours.SMTPConfig) { c.Username, c.Password = "robot", "hunter2hunter2" }))
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want Unavailable", err)
	}
	if got := srv.got(); len(got) != 0 {
		t.Errorf("a mail went out in clear: %+v", got)
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if slices.Contains(srv.verbs, "AUTH") || slices.Contains(srv.verbs, "MAIL") || !slices.Contains(srv.verbs, "EHLO") {
		t.Errorf("said in clear was %v", srv.verbs)
	}
}

func TestSMTP_RefusesWhoNobodyVouchesFor(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*ours.SMTPConfig){
		"STARTTLS": func(c *ours.SMTPConfig) { c.Roots = nil },
		"TLS":      func(c *ours.SMTPConfig) { c.Roots, c.Security = nil, ours.TLS },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := start(t, script{implicit: name == "TLS"})
			if err := deliver(t.Context(), t, srv.config(change)); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("got %v, want Unavailable for the certificate", err)
			}
			if got := srv.got(); len(got) != 0 {
				t.Errorf("a mail went out: %+v", got)
			}
		})
	}
}

func TestSMTP_EndsInTimeHoweverSlowTheServerIs(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]script{"silent": {silent: true}, "drips": {drip: true}, "silent under TLS": {silent: true, implicit: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := start(t, s)
			began := time.Now()
			err := deliver(t.Context(), t, srv.config(func(c *ours.SMTPConfig) {
				c.Timeout = 200 * time.Millisecond
				if s.implicit {
					c.Security = ours.TLS
				}
			}))
			if !fault.Is(err, fault.Timeout) {
				t.Errorf("got %v, want Timeout", err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			hungUp(t, srv)
		})
	}
}

func TestSMTP_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	srv := start(t, script{silent: true})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := deliver(ctx, t, srv.config()); !fault.Is(err, fault.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	hungUp(t, srv)
}

// hungUp waits until the server has lost all connections: none is left behind by a failure.
func hungUp(t *testing.T, srv *server) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		srv.mu.Lock()
		opened, closed := srv.opened, srv.closed
		srv.mu.Unlock()
		if opened > 0 && opened == closed {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d of %d connections are open", opened-closed, opened)
		}
	}
}

func TestSMTP_SaysWhetherAMailMayGoLater(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verb, answer string
		want         fault.Kind
	}{
		"no such mailbox":      {"RCPT", "550 5.1.1 <ada@school.example> unknown", fault.Invalid},
		"greylisted":           {"RCPT", "451 4.7.1 <ada@school.example> try again", fault.Unavailable},
		"sender not allowed":   {"MAIL", "553 no", fault.Invalid},
		"full":                 {"DATA", "452 4.2.2 full", fault.Unavailable},
		"hangs up":             {"RCPT", "", fault.Unavailable},
		"STARTTLS goes wrong":  {"STARTTLS", "454 not now", fault.Unavailable},
		"password is not ours": {"AUTH", "535 5.7.8 bad password hunter2hunter2", fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := start(t, script{auth: "robot hunter2hunter2", answers: map[string]string{c.verb: c.answer}})
			err := deliver(t.Context(), t, srv.config(func(c *ours.SMTPConfig) { c.Username, c.Password = "robot", "hunter2hunter2" }))
			if !fault.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			for _, secret := range []string{"ada@", "hunter2", "s3cret"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells %q: %v", secret, err)
				}
			}
			hungUp(t, srv)
		})
	}
}

func TestSMTP_IsUnavailableWhenNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	stop, err := breaker.New(breaker.Config{Name: "mail", Failures: 1, Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time the breaker says so
		if err := deliver(t.Context(), t, ours.SMTPConfig{Host: "127.0.0.1", Port: port, From: "a@b.example", Breaker: stop}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v, want Unavailable", err)
		}
	}
	if stop.State().State != breaker.Open {
		t.Errorf("the breaker is %s", stop.State().State)
	}
}

func TestNewSMTP_RefusesWhatIsNotSafe(t *testing.T) {
	t.Parallel()
	good := ours.SMTPConfig{Host: "mail.school.example", From: "a@b.example"}
	for name, change := range map[string]func(*ours.SMTPConfig){
		"no host":              func(c *ours.SMTPConfig) { c.Host = "" },
		"no sender":            func(c *ours.SMTPConfig) { c.From = "nobody" },
		"port":                 func(c *ours.SMTPConfig) { c.Port = 70000 },
		"negative timeout":     func(c *ours.SMTPConfig) { c.Timeout = -1 },
		"unknown security":     func(c *ours.SMTPConfig) { c.Security = "ssl" },
		"clear over a network": func(c *ours.SMTPConfig) { c.Security = ours.Clear },
		"password in clear": func(c *ours.SMTPConfig) {
			c.Security, c.Host, c.Username, c.Password = ours.Clear, "127.0.0.1", "a", "b"
		},
		"user, no password": func(c *ours.SMTPConfig) { c.Username = "a" },
	} {
		cfg := good
		change(&cfg)
		if _, err := ours.NewSMTP(cfg); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	good.Username, good.Password = "robot", "hunter2hunter2"
	s, err := ours.NewSMTP(good)
	if err != nil {
		t.Fatal(err)
	}
	if printed := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Contains(printed, "hunter2") {
		t.Errorf("it prints its password: %s", printed)
	}
}
