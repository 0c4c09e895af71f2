package account_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp/totp"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/mail"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/secret"
)

const (
	factorPassword = "an old lighthouse keeper"
	deploymentKey  = "a passphrase for tests that is long enough"
)

var desk = account.Client{IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "test"}

// desktop is an account service on a real database, with a clock that the test moves.
type desktop struct {
	*account.Service
	tb       testing.TB
	url      string
	cfg      account.Config
	verifier *auth.Verifier
	mu       sync.Mutex
	now      time.Time
	entries  []audit.Entry
	hash     string
}

// Append implements audit.Recorder.
func (d *desktop) Append(_ context.Context, e audit.Entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, e)
	return nil
}

// Publish implements account.Revoker.
func (d *desktop) Publish(context.Context, auth.Revocation) error { return nil }

// Send implements mail.Sender.
func (d *desktop) Send(context.Context, mail.Message) error { return nil }

func (d *desktop) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *desktop) advance(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

// recorded returns how many entries with an action there are.
func (d *desktop) recorded(action string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, e := range d.entries {
		if e.Action == action {
			n++
		}
	}
	return n
}

// trail returns everything that is on record, as text.
func (d *desktop) trail() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b strings.Builder
	for _, e := range d.entries {
		fmt.Fprintf(&b, "%+v %s\n", e, e.Detail)
	}
	return b.String()
}

func newDesktop(tb testing.TB, change ...func(*account.Config)) *desktop {
	tb.Helper()
	d := &desktop{tb: tb, url: pgtest.New(tb), now: time.Now().UTC().Truncate(time.Second)}
	db, err := postgres.Open(tb.Context(), postgres.Config{URL: d.url, MaxConns: 24})
	d.must(err)
	tb.Cleanup(db.Close)
	key, err := auth.ParseKey("a signing secret for tests, 32 bytes at least")
	d.must(err)
	keys, err := auth.NewKeyring(auth.KeyringConfig{Signing: key})
	d.must(err)
	d.verifier, err = auth.NewVerifier(auth.VerifierConfig{Keys: keys})
	d.must(err)
	box, err := secret.New(deploymentKey)
	d.must(err)
	d.cfg = account.Config{
		Store: postgres.NewAccounts(db), Factors: postgres.NewSecondFactors(db), Keys: keys, Box: box, Revoker: d, Audit: d, Mail: d,
		Hasher: account.NewHasher(account.Cost{MemoryKiB: 64, Passes: 1}), Now: d.clock,
		RelyingParty: account.RelyingParty{ID: "app.example.org", Name: "ToolboxAI", Origins: []string{"https://app.example.org"}},
	}
	for _, c := range change {
		c(&d.cfg)
	}
	d.Service, err = account.New(d.cfg)
	d.must(err)
	d.hash, err = d.cfg.Hasher.Hash(tb.Context(), factorPassword)
	d.must(err)
	d.sql("INSERT INTO tenants (id, name, created_at, updated_at) VALUES ('school', 'School', now(), now()), ('other', 'Other', now(), now())")
	return d
}

func (d *desktop) must(err error) {
	d.tb.Helper()
	if err != nil {
		d.tb.Fatal(err)
	}
}

func (d *desktop) sql(statement string, args ...any) {
	d.tb.Helper()
	conn, err := pgx.Connect(d.tb.Context(), d.url)
	d.must(err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(d.tb.Context(), statement, args...)
	d.must(err)
}

// person adds a user of the tenant school and signs them in.
func (d *desktop) person(name string, role auth.Role) auth.Principal {
	d.tb.Helper()
	d.sql(`INSERT INTO users (id, tenant, username, username_key, name, role, password_hash, created_at, updated_at)
		VALUES ($1, 'school', $1, $1, 'Name of ' || $1, $2, $3, now(), now())`, name, role, d.hash)
	result, err := d.Login(d.tb.Context(), account.Credentials{Login: name, Password: factorPassword}, desk)
	d.must(err)
	if result.Tokens == nil {
		d.tb.Fatal("no tokens")
	}
	return d.principal(result.Tokens.AccessToken)
}

// proved is p with their next token, once they have proved who they are with a second factor.
func proved(p auth.Principal) auth.Principal {
	p.SecondFactor = true
	return p
}

func (d *desktop) principal(token string) auth.Principal {
	d.tb.Helper()
	p, err := d.verifier.Verify(token)
	d.must(err)
	return p
}

// challenge signs somebody in who has a second factor.
func (d *desktop) challenge(name string) account.Challenge {
	d.tb.Helper()
	result, err := d.Login(d.tb.Context(), account.Credentials{Login: name, Password: factorPassword}, desk)
	d.must(err)
	if result.Challenge == nil {
		d.tb.Fatal("no challenge")
	}
	return *result.Challenge
}

// app sets up an authenticator app.
func (d *desktop) app(p auth.Principal) (secret string, codes []string) {
	d.tb.Helper()
	setup, err := d.BeginTOTP(d.tb.Context(), p)
	d.must(err)
	done, err := d.ConfirmTOTP(d.tb.Context(), p, d.code(setup.Secret))
	d.must(err)
	d.advance(30 * time.Second) // the code is used up
	return setup.Secret, done.BackupCodes
}

// code returns what the app shows.
func (d *desktop) code(secret string) string { return d.codeAt(secret, 0) }

func (d *desktop) codeAt(secret string, off time.Duration) string {
	d.tb.Helper()
	code, err := totp.GenerateCode(secret, d.clock().Add(off))
	d.must(err)
	return code
}

// not returns a code that is none of the app's now.
func (d *desktop) not(secret string) string {
	d.tb.Helper()
	var good []string
	for off := -60; off <= 60; off += 30 {
		good = append(good, d.codeAt(secret, time.Duration(off)*time.Second))
	}
	for i := 0; ; i++ {
		if code := fmt.Sprintf("%06d", i); !slices.Contains(good, code) {
			return code
		}
	}
}

func (d *desktop) want(kind fault.Kind, err error) {
	d.tb.Helper()
	if !fault.Is(err, kind) {
		d.tb.Errorf("got %v, want %v", err, kind)
	}
}
