package apikey_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/secret"
)

// site is two schools with their people, keys in a database of their own, and a process that takes them.
type site struct {
	testing.TB
	url      string
	db       *postgres.DB
	store    *watched
	box      *secret.Box
	known    *auth.Revocations
	revoker  *revoker
	trail    *trail
	service  *apikey.Service
	requests *apikey.Authenticator
	clock    *clock
	log      *bytes.Buffer // of both; read it when nothing runs
}

// people of the site, by id; "u-" and the role, of tenant "school".
func people() []auth.Principal {
	var all []auth.Principal
	for _, role := range auth.Roles() {
		all = append(all, person("school", role, "u-"+string(role)))
	}
	return append(all, person("school", auth.Admin, "u-admin-2"), person("college", auth.Admin, "c-admin"), person("college", auth.Teacher, "c-teacher"))
}

func person(tenant string, role auth.Role, id string) auth.Principal {
	return auth.Principal{UserID: id, Tenant: tenant, Role: role, Name: "Name of " + id, SessionID: "s-" + id}
}

func teacher() auth.Principal { return person("school", auth.Teacher, "u-teacher") }
func admin() auth.Principal   { return person("school", auth.Admin, "u-admin") }

func newSite(t testing.TB) *site {
	t.Helper()
	url := pgtest.New(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	box, err := secret.New("the key of a deployment that only tests use")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{TB: t, url: url, db: db, box: box, known: auth.NewRevocations(), trail: &trail{}, clock: &clock{now: time.Now()}, log: &bytes.Buffer{}}
	s.store = &watched{Store: postgres.NewAPIKeys(db), finds: map[string]int{}}
	s.revoker = &revoker{set: s.known}
	s.execute(`INSERT INTO tenants (id, name, created_at, updated_at) VALUES ('school', 'School', now(), now()), ('college', 'College', now(), now())`)
	for _, p := range people() {
		s.execute(`INSERT INTO users (id, tenant, username, username_key, name, role, created_at, updated_at) VALUES ($1, $2, $1, $1, $3, $4, now(), now())`,
			p.UserID, p.Tenant, p.Name, string(p.Role))
	}
	s.service = s.newService(nil)
	s.requests = s.newAuthenticator(nil)
	return s
}

func (s *site) newService(change func(*apikey.Config)) *apikey.Service {
	s.Helper()
	cfg := apikey.Config{Store: s.store, Box: s.box, Revoker: s.revoker, Audit: s.trail, Now: s.clock.time, Logger: slog.New(slog.NewJSONHandler(s.log, nil))}
	if change != nil {
		change(&cfg)
	}
	service, err := apikey.NewService(cfg)
	if err != nil {
		s.Fatal(err)
	}
	return service
}

// newAuthenticator returns another process.
func (s *site) newAuthenticator(change func(*apikey.AuthenticatorConfig)) *apikey.Authenticator {
	s.Helper()
	cfg := apikey.AuthenticatorConfig{Store: s.store, Box: s.box, Revocations: s.known, Now: s.clock.time, Logger: slog.New(slog.NewJSONHandler(s.log, nil))}
	if change != nil {
		change(&cfg)
	}
	a, err := apikey.NewAuthenticator(cfg)
	if err != nil {
		s.Fatal(err)
	}
	return a
}

func (s *site) execute(sql string, args ...any) {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.url)
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(s.Context(), sql, args...); err != nil {
		s.Fatal(err)
	}
}

// spec is that of a key for whatever a teacher may do.
func spec() apikey.Spec {
	return apikey.Spec{Name: "build server", Scopes: []auth.Scope{auth.TasksRead, auth.TasksWrite}}
}

// create makes a key for a teacher.
func (s *site) create(change func(*apikey.Spec)) (apikey.Key, string) {
	s.Helper()
	want := spec()
	if change != nil {
		change(&want)
	}
	k, text, err := s.service.Create(s.Context(), teacher(), want)
	if err != nil {
		s.Fatal(err)
	}
	return k, text
}

func (s *site) get(id string) apikey.Key {
	s.Helper()
	k, err := s.service.Get(s.Context(), "school", id)
	if err != nil {
		s.Fatal(err)
	}
	return k
}

// use presents a key from nowhere in particular.
func (s *site) use(a *apikey.Authenticator, text string) (auth.Principal, error) {
	return a.Authenticate(s.Context(), text, netip.MustParseAddr("192.0.2.7"), "")
}

func (s *site) works(a *apikey.Authenticator, text string) {
	s.Helper()
	if p, err := s.use(a, text); err != nil || p.UserID == "" {
		s.Errorf("the key is refused: %+v, %v", p, err)
	}
}

func (s *site) refuses(a *apikey.Authenticator, text string, kind fault.Kind, why string) {
	s.Helper()
	p, err := s.use(a, text)
	if !fault.Is(err, kind) || !bytes.Contains([]byte(err.Error()), []byte(why)) || p.UserID != "" {
		s.Errorf("got %+v, %v, want %v with %q", p, err, kind, why)
	}
}

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// watched is a store that counts how often it is asked for keys, and can be made to be away or slow.
type watched struct {
	apikey.Store
	mu    sync.Mutex
	finds map[string]int
	uses  int
	away  bool
	gate  func() // called when the store has answered, before the answer is told
}

func (w *watched) Find(ctx context.Context, id string) (apikey.Record, error) {
	w.mu.Lock()
	w.finds[id]++
	away, gate := w.away, w.gate
	w.mu.Unlock()
	if away {
		return apikey.Record{}, fault.After(time.Second, "the database cannot be reached")
	}
	r, err := w.Store.Find(ctx, id)
	if gate != nil {
		gate()
	}
	return r, err
}

func (w *watched) Used(ctx context.Context, tenant, id string, at time.Time) error {
	w.mu.Lock()
	w.uses++
	away := w.away
	w.mu.Unlock()
	if away {
		return fault.After(time.Second, "the database cannot be reached")
	}
	return w.Store.Used(ctx, tenant, id, at)
}

func (w *watched) set(away bool, gate func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away, w.gate = away, gate
}

// asked returns how often it was asked for a key since the last time.
func (w *watched) asked(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.finds[id]
	delete(w.finds, id)
	return n
}

// revoker is the platform's other processes: here, one set.
type revoker struct {
	mu   sync.Mutex
	set  *auth.Revocations
	said []auth.Revocation
	err  error
}

func (r *revoker) Publish(_ context.Context, what auth.Revocation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.said = append(r.said, what)
	r.set.Add(what)
	return nil
}

func (r *revoker) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// trail is what is on record.
type trail struct {
	mu      sync.Mutex
	entries []audit.Entry
	err     error
}

func (t *trail) Append(_ context.Context, e audit.Entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := e.Check(); err != nil {
		return err
	}
	t.entries = append(t.entries, e)
	return t.err
}

// of returns what is on record of a key: "action outcome".
func (t *trail) of(id string) (all []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		if e.Target == id {
			all = append(all, e.Actor+" "+e.Action+" "+e.Outcome)
		}
	}
	return slices.Clip(all)
}
