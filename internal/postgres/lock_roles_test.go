package postgres_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

// login makes a role that can log in, but is no superuser, and drops it behind the test's databases.
func login(tb testing.TB, attributes string) (role, password string) {
	tb.Helper()
	server := pgtest.Empty(tb) // is dropped last
	role, password = "test_"+strings.ToLower(rand.Text()[:12]), rand.Text()
	execute(tb, server, "CREATE ROLE "+role+" LOGIN NOSUPERUSER "+attributes+" PASSWORD '"+password+"'")
	tb.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), server)
		if err == nil {
			defer conn.Close(context.Background())
			_, err = conn.Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role)
		}
		if err != nil {
			tb.Error(err)
		}
	})
	return role, password
}

// as returns the connection string of a database for another role.
func as(tb testing.TB, server, role, password string) string {
	tb.Helper()
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}

// worksAndHolds records and reads, with both locks and with the second one alone.
func worksAndHolds(t *testing.T, url string) {
	t.Helper()
	db := open(t, postgres.Config{URL: url})
	if err := db.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	log := zoo(t, db)
	if d := mismatch(t, db, log.events); d != "" {
		t.Error(d)
	}
	db.ForgetTenant()
	if _, err := db.Get(t.Context(), "other-school", "queued"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the second lock is open: %v", err)
	}
	if err := db.InTenant(t.Context(), "school", "DELETE FROM classes"); err != nil {
		t.Error(err)
	}
}

func TestLogin_MayBeAnOwnerWhoIsNoSuperuser(t *testing.T) {
	t.Parallel()
	role, password := login(t, "")
	server := pgtest.Empty(t)
	execute(t, server, "GRANT toolboxai_tenant TO "+role) // which other tests have made
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, server, "ALTER DATABASE "+strings.TrimPrefix(u.Path, "/")+" OWNER TO "+role)
	own := as(t, server, role, password)
	if _, err := postgres.Migrate(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	worksAndHolds(t, own)
}

func TestLogin_MayBeNeitherSuperuserNorOwner(t *testing.T) {
	t.Parallel()
	role, password := login(t, "BYPASSRLS")
	server := pgtest.New(t)
	execute(t, server, "GRANT toolboxai_tenant TO "+role)
	execute(t, server, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "+role)
	worksAndHolds(t, as(t, server, role, password))
}

func TestReady_SaysWhichRightsAreMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ attributes, grant, want string }{
		"BYPASSRLS":  {"", "GRANT toolboxai_tenant TO ", "BYPASSRLS"},
		"membership": {"BYPASSRLS", "", "toolboxai_tenant"},
	} {
		role, password := login(t, c.attributes)
		server := pgtest.New(t)
		execute(t, server, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "+role)
		if c.grant != "" {
			execute(t, server, c.grant+role)
		}
		db := open(t, postgres.Config{URL: as(t, server, role, password)})
		if err := db.Ready(t.Context()); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("without %s: got %v", name, err)
		}
	}
}
