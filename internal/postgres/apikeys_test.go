package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

// keySchools gives two tenants a teacher and a key each, "K-of-<tenant>".
func keySchools(t *testing.T, url string, keys *postgres.APIKeys) {
	t.Helper()
	for _, tenant := range []string{"school", "other"} {
		execute(t, url, `INSERT INTO tenants (id, name, created_at, updated_at) VALUES ($1, $1, now(), now())`, tenant)
		execute(t, url, `INSERT INTO users (id, tenant, username, username_key, name, role, created_at, updated_at)
			VALUES ('user-of-' || $1, $1, 'user-of-' || $1, 'user-of-' || $1, 'Ada', 'teacher', now(), now())`, tenant)
		if err := keys.Create(t.Context(), keyOf(tenant), []byte("hash of "+tenant), 1); err != nil {
			t.Fatal(err)
		}
	}
}

func keyOf(tenant string) apikey.Key {
	return apikey.Key{
		ID: "K-of-" + tenant, Tenant: tenant, UserID: "user-of-" + tenant, Name: "key", Scopes: []auth.Scope{auth.TasksRead},
		IPs: []string{}, Origins: []string{}, CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
}

func TestAPIKeys_KeepARecord(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	keys := postgres.NewAPIKeys(open(t, postgres.Config{URL: url}))
	keySchools(t, url, keys)
	want := apikey.Record{
		Key:   keyOf("school"),
		Owner: apikey.Owner{UserID: "user-of-school", Tenant: "school", Name: "Ada", Role: auth.Teacher, Active: true},
		Hash:  []byte("hash of school"),
	}
	got, err := keys.Get(t.Context(), "school", "K-of-school")
	if err != nil {
		t.Fatal(err)
	}
	want.Key.CreatedAt = got.Key.CreatedAt
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	found, err := keys.Find(t.Context(), "K-of-school")
	if diff := cmp.Diff(want, found); diff != "" || err != nil {
		t.Errorf("found another: %v %s", err, diff)
	}
	if err := keys.Create(t.Context(), keyOf("school"), []byte("x"), 1); !fault.Is(err, fault.Conflict) {
		t.Errorf("one more than the user may have: %v", err)
	}
	stranger := keyOf("school")
	stranger.UserID = "nobody"
	if err := keys.Create(t.Context(), stranger, []byte("x"), 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("one for nobody: %v", err)
	}
	execute(t, url, `UPDATE tenants SET state = 'suspended' WHERE id = 'school'`)
	if found, err := keys.Find(t.Context(), "K-of-school"); err != nil || found.Owner.Active {
		t.Errorf("of a suspended tenant: %+v, %v", found.Owner, err)
	}
}

// keyCall is what the tenant "school" asks for what belongs to "other". It reports whether it found or changed any of it.
type keyCall struct {
	name string
	ask  func(testing.TB) (bool, error)
}

// keyCalls are all of them; the one that ends a key is the last.
func keyCalls(keys *postgres.APIKeys) []keyCall {
	at := time.Now()
	return []keyCall{
		{"owner", func(tb testing.TB) (bool, error) {
			o, err := keys.Owner(tb.Context(), "school", "user-of-other")
			return o.Name != "", err
		}},
		{"get", func(tb testing.TB) (bool, error) {
			r, err := keys.Get(tb.Context(), "school", "K-of-other")
			return r.Key.ID != "", err
		}},
		{"list", func(tb testing.TB) (bool, error) {
			found, _, err := keys.List(tb.Context(), "school", "", "", 10)
			return len(found) > 1, err
		}},
		{"rotate", func(tb testing.TB) (bool, error) {
			k, err := keys.Rotate(tb.Context(), "school", "K-of-other", apikey.Rotation{Replaces: []byte("hash of other"), Hash: []byte("mine"), At: at})
			return k.ID != "", err
		}},
		{"used", func(tb testing.TB) (bool, error) {
			err := keys.Used(tb.Context(), "school", "K-of-other", at)
			r, findErr := keys.Find(tb.Context(), "K-of-other")
			return r.Key.LastUsedAt != nil, errors.Join(err, findErr)
		}},
		{"revoke", func(tb testing.TB) (bool, error) { return keys.Revoke(tb.Context(), "school", "K-of-other", at) }},
	}
}

func TestAPIKeys_AreBehindTheSecondLock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*postgres.DB)
		leaks  bool
	}{
		"as it is":                       {func(*postgres.DB) {}, false},
		"queries forget the tenant":      {func(db *postgres.DB) { db.ForgetTenant() }, false},
		"and there is no second lock":    {func(db *postgres.DB) { db.Unlock(); db.ForgetTenant() }, true}, // the control
		"no second lock, but the tenant": {func(db *postgres.DB) { db.Unlock() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t)
			keySchools(t, url, postgres.NewAPIKeys(open(t, postgres.Config{URL: url})))
			db := open(t, postgres.Config{URL: url})
			c.change(db)
			for _, call := range keyCalls(postgres.NewAPIKeys(db)) {
				touched, err := call.ask(t)
				if err != nil && !fault.Is(err, fault.NotFound) {
					t.Errorf("%s: %v", call.name, err)
				}
				if touched != c.leaks {
					t.Errorf("%s: another tenant's was reached: %v, want %v", call.name, touched, c.leaks)
				}
			}
		})
	}
}
