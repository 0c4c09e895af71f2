package account_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/mail"
)

const (
	goodPassword  = "four green bicycles"
	otherPassword = "nine tired violins"
)

var (
	laptop = account.Client{IP: netip.MustParseAddr("198.51.100.1"), UserAgent: "Firefox"}
	thief  = account.Client{IP: netip.MustParseAddr("203.0.113.9"), UserAgent: "curl"}
)

// office is a desktop of which a test can read what was mailed, published and put on record.
type office struct {
	*desktop
	broken error // of the revoker

	mu      sync.Mutex
	mails   []mail.Message
	ended   []auth.Revocation
	entries []audit.Entry
}

func newOffice(tb testing.TB, change ...func(*account.Config)) *office {
	tb.Helper()
	o := &office{}
	o.desktop = newDesktop(tb, append([]func(*account.Config){func(c *account.Config) {
		c.Mail, c.Revoker, c.Audit, c.PublicURL = o, o, o, "https://app.example.org"
	}}, change...)...)
	o.SetAnswerStep(time.Nanosecond)
	return o
}

// Send implements mail.Sender.
func (o *office) Send(_ context.Context, m mail.Message) error {
	if err := m.Check(); err != nil {
		o.tb.Errorf("the mail %q is none: %v", m.Subject, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mails = append(o.mails, m)
	return nil
}

// Publish implements account.Revoker.
func (o *office) Publish(_ context.Context, r auth.Revocation) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken != nil {
		return o.broken
	}
	o.ended = append(o.ended, r)
	return nil
}

// Append implements audit.Recorder.
func (o *office) Append(ctx context.Context, e audit.Entry) error {
	e = audit.Complete(ctx, e)
	if err := e.Check(); err != nil {
		o.tb.Errorf("the entry %+v is none: %v", e, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.entries = append(o.entries, e)
	return nil
}

// trail returns what is on record, as "action outcome actor target ip detail".
func (o *office) trail() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for _, e := range o.entries {
		out = append(out, strings.TrimSpace(strings.Join([]string{e.Action, e.Outcome, e.Actor, e.Target, e.IP, string(e.Detail)}, " ")))
	}
	return out
}

// count returns how many entries begin so.
func (o *office) count(prefix string) int {
	n := 0
	for _, line := range o.trail() {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// published reports whether it was published that something ended.
func (o *office) published(kind, id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.ContainsFunc(o.ended, func(r auth.Revocation) bool { return r.Kind == kind && r.ID == id })
}

// letters returns the mails to somebody.
func (o *office) letters(to string) []mail.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.mails), func(m mail.Message) bool { return m.To != to })
}

// user adds a user of the tenant school with goodPassword and an e-mail address.
func (o *office) user(name string, role auth.Role) {
	o.tb.Helper()
	hash, err := o.cfg.Hasher.Hash(o.tb.Context(), goodPassword)
	o.must(err)
	o.sql(`INSERT INTO users (id, tenant, username, username_key, email, email_key, name, role, password_hash, created_at, updated_at)
		VALUES ($1, 'school', $1, $1, $1 || '@school.example', $1 || '@school.example', 'Name of ' || $1, $2, $3, now(), now())`, name, role, hash)
}

// signIn returns the tokens of a user who has no second factor.
func (o *office) signIn(login string, from account.Client) account.Tokens {
	o.tb.Helper()
	result, err := o.Login(o.tb.Context(), account.Credentials{Login: login, Password: goodPassword}, from)
	o.must(err)
	if result.Tokens == nil {
		o.tb.Fatal("no tokens")
	}
	return *result.Tokens
}

// ask returns the first column of what a statement selects.
func (o *office) ask(sql string, args ...any) []string {
	o.tb.Helper()
	conn, err := pgx.Connect(o.tb.Context(), o.url)
	o.must(err)
	defer conn.Close(context.Background())
	rows, err := conn.Query(o.tb.Context(), sql, args...)
	o.must(err)
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	o.must(err)
	return out
}

var errAway = errors.New("away")

// noSecrets fails when something that lets people in, or a hash of it, is on record.
func (o *office) noSecrets(secrets ...string) {
	o.tb.Helper()
	for _, line := range o.trail() {
		for _, secret := range append(secrets, goodPassword, otherPassword, "argon2id", "tbr_", "eyJ") {
			if secret != "" && strings.Contains(line, secret) {
				o.tb.Errorf("a secret is on record: %s", line)
			}
		}
	}
}
