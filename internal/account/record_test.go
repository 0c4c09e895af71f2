package account_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/mail"
)

// pages is what a process writes down, for anybody to read.
type pages struct {
	mu sync.Mutex
	b  strings.Builder
}

func (p *pages) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(data)
}

func (p *pages) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

// diary remembers what everybody was told, and what of it lets in.
type diary struct {
	*office
	t       *testing.T
	pages   pages // logs and errors
	secrets []string
}

func (d *diary) tokens(t account.Tokens, err error) account.Tokens {
	d.t.Helper()
	d.ok(err)
	d.secrets = append(d.secrets, t.AccessToken, t.RefreshToken)
	return t
}

func (d *diary) login(user, password string) account.Tokens {
	d.t.Helper()
	result, err := d.Login(d.t.Context(), account.Credentials{Login: user, Password: password}, laptop)
	d.ok(err)
	if result.Tokens == nil {
		d.secrets = append(d.secrets, result.Challenge.Token)
		return account.Tokens{}
	}
	return d.tokens(*result.Tokens, nil)
}

func (d *diary) ok(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// fails writes down an error.
func (d *diary) fails(err error) {
	d.t.Helper()
	if err == nil {
		d.t.Error("it did not fail")
	}
	fmt.Fprintf(&d.pages, "%v %+v\n", err, err)
}

// live goes through all that happens to accounts, with what fails of it.
func (d *diary) live() {
	ctx, t := d.t.Context(), d.t
	const wrong = "w0nderfully wrong one"
	d.secrets = append(d.secrets, goodPassword, otherPassword, wrong, "password1234", "argon2id", deploymentKey)
	invitation := d.invite(account.InviteSpec{Email: "ada@school.example", Role: auth.Teacher})
	d.secrets = append(d.secrets, invitation.Token)
	bad := newcomer("ada", invitation.Token)
	bad.Password = "password1234"
	_, err := d.Register(ctx, bad, laptop)
	d.fails(err)
	u, err := d.Register(ctx, newcomer("ada", invitation.Token), laptop)
	d.ok(err)
	_, err = d.Register(ctx, newcomer("bob", invitation.Token), laptop)
	d.fails(err)

	first := d.login("ada", goodPassword)
	second := d.tokens(d.Refresh(ctx, first.RefreshToken, laptop))
	d.tokens(d.Refresh(ctx, first.RefreshToken, laptop))
	_, err = d.Refresh(ctx, first.RefreshToken, thief)
	d.fails(err)
	_, err = d.Refresh(ctx, second.RefreshToken, laptop)
	d.fails(err)
	_, err = d.Refresh(ctx, second.RefreshToken+"x", laptop)
	d.fails(err)

	p := member(d.office, d.login("ada", goodPassword))
	d.fails(d.ChangePassword(ctx, p, wrong, otherPassword))
	d.fails(d.ChangePassword(ctx, p, goodPassword, "password1234"))
	d.advance(time.Second)
	d.ok(d.ChangePassword(ctx, p, goodPassword, otherPassword))
	reset := asked(t, d.office)
	d.secrets = append(d.secrets, reset)
	d.fails(d.ResetPassword(ctx, reset, otherPassword, laptop))
	d.fails(d.ResetPassword(ctx, reset+"x", goodPassword, laptop))
	d.advance(time.Second)
	d.ok(d.ResetPassword(ctx, reset, "nine purple walruses", laptop))
	d.secrets = append(d.secrets, "nine purple walruses")
	_, link, err := d.ResetLink(ctx, "ada")
	d.ok(err)
	d.secrets = append(d.secrets, token(t, link))

	p = member(d.office, d.login("ada", "nine purple walruses"))
	secret, codes := d.app(p)
	d.secrets = append(append(d.secrets, secret), codes...)
	d.login("ada", "nine purple walruses")
	_, err = d.CompleteLogin(ctx, d.secrets[len(d.secrets)-1], account.Proof{Code: d.not(secret)}, laptop)
	d.fails(err)
	d.tokens(d.CompleteLogin(ctx, d.secrets[len(d.secrets)-1], account.Proof{BackupCode: codes[0]}, laptop))
	for range 6 { // one of them locks
		_, err := d.Login(ctx, account.Credentials{Login: "ada", Password: wrong}, thief)
		d.fails(err)
	}
	_, err = d.Login(ctx, account.Credentials{Login: goodPassword, Password: wrong}, thief) // a password where the name belongs
	d.fails(err)
	d.ok(d.Unlock(ctx, admin, u.ID))
	d.ok(d.RevokeUser(ctx, "school", u.ID, "test"))
	d.secrets = append(d.secrets, d.ask("SELECT password_hash FROM users WHERE password_hash IS NOT NULL UNION ALL SELECT hash FROM password_history")...)
	d.secrets = append(d.secrets, d.ask("SELECT encode(hash, 'hex') FROM one_time_tokens UNION ALL SELECT encode(refresh_hash, 'hex') FROM sessions")...)
	d.secrets = append(d.secrets, d.ask("SELECT encode(hash, 'base64') FROM one_time_tokens UNION ALL SELECT encode(refresh_hash, 'base64') FROM sessions")...)
}

// Of all that is written down about an account, nothing lets anybody in: the record, logs, errors, what is published. A mail holds its own
// token, and no other secret.
func TestRecord_HoldsNoSecrets(t *testing.T) {
	t.Parallel()
	d := &diary{t: t}
	d.office = newOffice(t, func(c *account.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&d.pages, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	d.live()

	d.mu.Lock()
	defer d.mu.Unlock()
	written := d.pages.String()
	for _, r := range d.ended {
		written += fmt.Sprintf("%+v\n", r)
	}
	for _, e := range d.entries {
		data, err := json.Marshal(e)
		d.ok(err)
		written += string(data) + string(e.Detail) + "\n"
	}
	if len(d.entries) < 15 || len(d.secrets) < 30 || len(d.mails) < 5 {
		t.Fatalf("little happened: %d entries, %d secrets, %d mails", len(d.entries), len(d.secrets), len(d.mails))
	}
	for _, secret := range d.secrets {
		if secret == "" {
			t.Fatal("a secret is empty")
		}
		if at := strings.Index(written, secret); at >= 0 {
			t.Errorf("a secret is written down: … %s", written[max(0, at-100):at+len(secret)])
		}
	}
	for _, m := range d.mails {
		held := 0
		for _, secret := range d.secrets {
			if strings.Contains(m.Subject+m.Text, secret) {
				held++
			}
		}
		if own := map[string]int{"You are invited": 1, "Set a new password": 1}[m.Subject]; held != own {
			t.Errorf("the mail %q holds %d secrets, want %d", m.Subject, held, own)
		}
	}
}

// away is a mail server and a record that are not there.
type away struct{}

func (away) Append(context.Context, audit.Entry) error { return errors.New("the record is away") }

func (away) Send(context.Context, mail.Message) error { return errors.New("the mail server is away") }

// Nobody is kept from their account because the record or the mail server is away: the log says what is missing.
func TestRecord_MayBeAway(t *testing.T) {
	t.Parallel()
	var log pages
	o := newOffice(t, func(c *account.Config) {
		c.Audit, c.Mail, c.Logger = away{}, away{}, slog.New(slog.NewTextHandler(&log, nil))
	})
	o.user("ada", auth.Teacher)
	p := member(o, o.signIn("ada", laptop))
	o.must(o.RequestReset(t.Context(), "ada", laptop))
	o.must(o.ChangePassword(t.Context(), p, goodPassword, otherPassword))
	o.must(o.Logout(t.Context(), p))
	for _, want := range []string{"action=login.succeeded", "action=reset.requested", "action=password.changed", "action=logout", `subject="Set a new password"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "@") {
		t.Errorf("the log names an address:\n%s", log.String())
	}
}
