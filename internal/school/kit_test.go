package school_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/school"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, pgtest.LeakOptions()...) }

// town has two schools, "north" and "south", and what happens beside the service.
type town struct {
	*school.Service
	tb    testing.TB
	store *postgres.School
	url   string
	next  int

	mu      sync.Mutex
	broken  error // what revoking and recording fail with
	revoked []string
	void    *auth.Revocations
	mailed  []string
	entries []audit.Entry
}

func newTown(tb testing.TB) *town {
	tb.Helper()
	url := pgtest.New(tb)
	db, err := postgres.Open(tb.Context(), postgres.Config{URL: url})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(db.Close)
	w := &town{tb: tb, store: postgres.NewSchool(db), url: url, void: auth.NewRevocations()}
	if w.Service, err = school.New(school.Config{Store: w.store, Accounts: w, Hasher: w, Revoker: w, Audit: w}); err != nil {
		tb.Fatal(err)
	}
	at := time.Now().Truncate(time.Microsecond)
	for _, id := range []string{"north", "south"} {
		if err := w.store.AddTenant(tb.Context(), school.Tenant{ID: id, Name: id, State: school.Active, CreatedAt: at, UpdatedAt: at}); err != nil {
			tb.Fatal(err)
		}
	}
	return w
}

// RevokeUser implements school.Accounts.
func (w *town) RevokeUser(_ context.Context, tenant, userID, _ string) error {
	return w.note(&w.revoked, "user "+tenant+" "+userID)
}

// RequestReset implements school.Accounts.
func (w *town) RequestReset(_ context.Context, login string, _ account.Client) error {
	return w.note(&w.mailed, login)
}

// Publish implements school.Revoker.
func (w *town) Publish(_ context.Context, r auth.Revocation) error {
	since := time.Since(r.Before)
	if r.Kind == auth.RevokedTenant {
		since += school.SuspendLead
	}
	if since < 0 || since > time.Minute {
		return fmt.Errorf("it voids what was issued before %v", r.Before)
	}
	w.mu.Lock()
	w.void.Add(r)
	w.mu.Unlock()
	return w.note(&w.revoked, r.Kind+" "+r.ID)
}

// Hash implements school.Hasher.
func (w *town) Hash(_ context.Context, password string) (string, error) {
	return "hash of " + password, nil
}

// Append implements audit.Recorder.
func (w *town) Append(_ context.Context, e audit.Entry) error {
	if err := e.Check(); err != nil {
		w.tb.Errorf("an entry that cannot be put on record: %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.entries = append(w.entries, e)
	}
	return w.broken
}

func (w *town) note(list *[]string, what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		*list = append(*list, what)
	}
	return w.broken
}

func (w *town) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = err
}

// take returns what was revoked since it was called last.
func (w *town) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.revoked
	w.revoked = nil
	return taken
}

// trail returns what was put on record since it was called last: tenant, actor, action, target and detail.
func (w *town) trail() (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.entries {
		lines = append(lines, strings.TrimSpace(strings.Join([]string{e.Tenant, e.Actor, e.Action, e.Target, string(e.Detail)}, " ")))
	}
	w.entries = nil
	return lines
}

// person adds an active user and returns them as they ask.
func (w *town) person(tenant string, role auth.Role, who string) auth.Principal {
	w.tb.Helper()
	w.next++
	at := time.Now().Truncate(time.Microsecond)
	u := account.User{
		ID: who + "-" + tenant, Tenant: tenant, Username: who + "." + tenant, Email: who + "@" + tenant + ".example", Name: strings.ToUpper(who[:1]) + who[1:],
		Role: role, State: account.Active, CreatedAt: at, UpdatedAt: at,
	}
	if err := w.store.AddUser(w.tb.Context(), u, ""); err != nil {
		w.tb.Fatal(err)
	}
	return auth.Principal{UserID: u.ID, Tenant: tenant, Role: role, Name: u.Name}
}

// class adds a class of by's with members.
func (w *town) class(by auth.Principal, members ...auth.Principal) school.Class {
	w.tb.Helper()
	c := must(w.CreateClass(w.tb.Context(), by, "Class"))(w.tb)
	for _, m := range members {
		if _, err := w.AddMember(w.tb.Context(), by, c.ID, m.UserID); err != nil {
			w.tb.Fatal(err)
		}
	}
	return must(w.GetClass(w.tb.Context(), by, c.ID))(w.tb)
}

// task puts a task into the archive.
func (w *town) task(tenant, id, owner string) string {
	w.tb.Helper()
	w.execute("INSERT INTO tasks (tenant, id, seq, kind, user_id, state, dead_letter, labels, created_at, doc) VALUES ($1, $2, 1, '', $3, '', false, '{}', now(), '{}')", tenant, id, owner)
	return id
}

func (w *town) execute(sql string, args ...any) {
	w.tb.Helper()
	conn, err := pgx.Connect(w.tb.Context(), w.url)
	if err != nil {
		w.tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(w.tb.Context(), sql, args...); err != nil {
		w.tb.Fatal(err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func errOf[T any](_ T, err error) error { return err }

// want holds an error against a kind and, where one is given, the field that it names.
func want(tb testing.TB, what string, err error, kind fault.Kind, field string) {
	tb.Helper()
	var f *fault.Error
	named := errors.As(err, &f) && slices.ContainsFunc(f.Details, func(d fault.Detail) bool { return d.Field == field })
	if !fault.Is(err, kind) || field != "" && !named {
		tb.Errorf("%s: got %v, want %v %s", what, err, kind, field)
	}
}

func ptr[T any](v T) *T { return &v }
