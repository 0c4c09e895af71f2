package postgres_test

import (
	"database/sql"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/migrations"
)

func TestMigrate_RunsOnceHoweverManyCallIt(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var applied []string
	for range 3 {
		wg.Go(func() {
			files, err := postgres.Migrate(t.Context(), url)
			mu.Lock()
			defer mu.Unlock()
			applied = append(applied, files...)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if d := cmp.Diff(migrationFiles(t), applied); d != "" {
		t.Error(d)
	}
}

// migrationFiles returns the names of all migrations, in their order.
func migrationFiles(tb testing.TB) (names []string) {
	tb.Helper()
	files, err := migrations.FS.ReadDir(".")
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

func TestMigrations_LeaveNothingOnTheirWayDown(t *testing.T) {
	t.Parallel()
	const schema = `
		SELECT c.relkind::text || ' ' || c.relname || ' ' || coalesce(string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum), '')
		FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'goose%'
		GROUP BY c.relkind, c.relname ORDER BY 1`
	url := pgtest.New(t)
	before := query(t, url, schema)
	if len(before) < 5 {
		t.Fatalf("the schema is %v", before)
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.DownTo(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if left := query(t, url, schema); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
	if _, err := postgres.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, query(t, url, schema)); d != "" {
		t.Error(d)
	}
}

func TestReady_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	db := open(t, postgres.Config{URL: url})
	if err := db.Ready(t.Context()); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "not migrated") {
		t.Errorf("got %v, want Unavailable for a missing schema", err)
	}
	if _, err := postgres.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	if err := db.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	execute(t, url, "DELETE FROM goose_db_version WHERE version_id > 0")
	if err := db.Ready(t.Context()); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "run migrate") {
		t.Errorf("got %v, want Unavailable for an old schema", err)
	}
}
