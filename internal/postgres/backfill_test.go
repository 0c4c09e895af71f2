package postgres_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/migrations"
)

// oldArchive returns a database with schema version 1, filled by the release of that time.
func oldArchive(tb testing.TB) (url string) {
	tb.Helper()
	url = pgtest.Empty(tb)
	moveSchema(tb, url, func(p *goose.Provider) error { _, err := p.UpTo(tb.Context(), 1); return err })
	data, err := os.ReadFile(filepath.Join("testdata", "archive_00001.sql"))
	if err != nil {
		tb.Fatal(err)
	}
	execute(tb, url, string(data))
	return url
}

func moveSchema(tb testing.TB, url string, move func(*goose.Provider) error) {
	tb.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS)
	if err == nil {
		err = move(p)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// recorded returns the whole log as the archive holds it.
func recorded(tb testing.TB, db *postgres.DB) (log []events.Event) {
	tb.Helper()
	for _, tenant := range []string{"school", "other"} {
		page, err := db.List(tb.Context(), task.Filter{Tenant: tenant, Limit: task.MaxPage})
		if err != nil {
			tb.Fatal(err)
		}
		for _, found := range page.Tasks {
			history, err := db.History(tb.Context(), tenant, found.ID, 0, 0)
			if err != nil {
				tb.Fatal(err)
			}
			log = append(log, history...)
		}
	}
	return log
}

func TestMigrate_KeepsWhatAnOlderReleaseRecorded(t *testing.T) {
	t.Parallel()
	const tables = `
		SELECT (SELECT string_agg(t.doc::text || t.state || t.labels::text || coalesce(t.input::text, ''), '' ORDER BY id) FROM tasks t) ||
			(SELECT string_agg(e.seq || e.type || coalesce(e.data::text, '') || coalesce(e.raw::text, ''), '' ORDER BY seq) FROM task_events e) ||
			(SELECT string_agg(r::text, '' ORDER BY task) FROM results r) || (SELECT seq FROM recorder_position)`
	url := oldArchive(t)
	before := query(t, url, tables)
	for range 2 { // and again, after a way down
		files, err := postgres.Migrate(t.Context(), url)
		if d := cmp.Diff(migrationFiles(t)[1:], files); err != nil || d != "" {
			t.Fatalf("applied %v (%v): %s", files, err, d)
		}
		if d := cmp.Diff(before, query(t, url, tables)); d != "" {
			t.Fatal(d)
		}
		db := open(t, postgres.Config{URL: url})
		log := recorded(t, db)
		if len(log) != 21 {
			t.Errorf("the archive holds %d events, want 21", len(log))
		}
		if d := mismatch(t, db, log); d != "" {
			t.Error(d)
		}
		db.Close()
		moveSchema(t, url, func(p *goose.Provider) error { _, err := p.DownTo(t.Context(), 1); return err })
		if d := cmp.Diff(before, query(t, url, tables)); d != "" {
			t.Fatal(d)
		}
	}
}

func TestBackfill_FillsInWhatAnOlderReleaseDidNotWrite(t *testing.T) {
	t.Parallel()
	url := oldArchive(t)
	if _, err := postgres.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	db := open(t, postgres.Config{URL: url})
	l := newLog(t)
	l.events = make([]events.Event, 21)
	usage := events.Usage{Calls: 9, InputTokens: 900, OutputTokens: 90, CostUSD: 0.09, CostKnown: true}
	l.add("school", "dead-2", events.Completed{Attempt: 1, Result: []byte("1"), Usage: usage}) // this release goes on before the backfill
	if err := db.Record(t.Context(), l.events[21:]); err != nil {
		t.Fatal(err)
	}
	done, err := db.Backfill(t.Context())
	if want := (postgres.Backfilled{Failures: 3, Entries: 6}); err != nil || done != want {
		t.Errorf("backfilled %+v (%v), want %+v", done, err, want)
	}
	ledger := map[string]string{
		"school done": "7 700 70 70000 true", "school dead-1": "1 100 10 10000 true", "school dead-2": "9 900 90 90000 true",
	}
	if d := cmp.Diff(ledger, entries(t, url)); d != "" {
		t.Error(d)
	}
	models := query(t, url, "SELECT concat_ws(' ', seq, provider, model, cost) FROM ledger WHERE task = 'done' ORDER BY seq")
	if d := cmp.Diff([]string{"3 openai gpt-5-mini 10000", "4   20000", "6 openai gpt-5-mini 40000"}, models); d != "" {
		t.Error(d)
	}
	page, err := db.Incidents(t.Context(), task.IncidentFilter{Tenant: "school", Search: "FILE such"})
	if err != nil || len(page.Incidents) != 1 || page.Incidents[0].Count != 2 || page.Incidents[0].Pattern != "open <path>: no\x00such file" {
		t.Errorf("the incidents are %+v (%v)", page.Incidents, err)
	}
	if done, err := db.Backfill(t.Context()); err != nil || done != (postgres.Backfilled{}) {
		t.Errorf("a second time: %+v (%v)", done, err)
	}
	if d := mismatch(t, db, recorded(t, db)); d != "" {
		t.Error(d)
	}
}

// During a deploy recorders of both releases may have their turns.
func TestBackfill_FindsWhatAnOlderReleaseRecordsLater(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url})
	log := lives(t, 600, 600) // more than a page of Backfill
	want := map[string]string{}
	for i := range 600 {
		want[fmt.Sprintf("school task-%08d", i)] = "1 900 400 4200 true"
	}
	for from := 0; from < len(log); from += 500 {
		if err := db.Record(t.Context(), log[from:from+500]); err != nil {
			t.Fatal(err)
		}
		if from%1000 == 0 { // as if an older release had recorded this one
			execute(t, url, "DELETE FROM ledger WHERE seq > $1", from)
			execute(t, url, "UPDATE recorder_position SET own_seq = $1", from)
		}
	}
	if d := cmp.Diff(want, entries(t, url)); d == "" {
		t.Fatal("nothing is missing: the test tests nothing")
	}
	if _, err := db.Backfill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, entries(t, url)); d != "" {
		t.Error(d)
	}
	execute(t, url, "UPDATE recorder_position SET own_seq = 7") // the last one to record is an older one
	execute(t, url, "DELETE FROM ledger WHERE mod(seq, 2) = 0")
	if _, err := db.Backfill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, entries(t, url)); d != "" {
		t.Error(d)
	}
	if left := query(t, url, "SELECT backfill_to || ' ' || seq - own_seq FROM recorder_position"); left[0] != "0 0" {
		t.Errorf("still to be filled in: %v", left)
	}
}

// A restored backup knows less than its recorder has settled with the log.
func TestGap_SaysWhereARestoredArchiveGoesOn(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url})
	if from, behind, err := db.Gap(t.Context(), 0); err != nil || behind || from != 1 {
		t.Errorf("a new archive, a new log: from %d, behind %v (%v)", from, behind, err)
	}
	log := lives(t, 20, 7)
	if err := db.Record(t.Context(), log[:40]); err != nil { // up to here goes the backup
		t.Fatal(err)
	}
	for settled, want := range map[uint64]bool{0: false, 39: false, 40: false, 41: true, 100: true} {
		if from, behind, err := db.Gap(t.Context(), settled); err != nil || behind != want || from != 41 {
			t.Errorf("settled to %d: from %d, behind %v (%v), want 41 and %v", settled, from, behind, err, want)
		}
	}
	from, _, err := db.Gap(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Record(t.Context(), log[60:]); err != nil { // what recorders without a Gap do
		t.Fatal(err)
	}
	if d := mismatch(t, db, log); d == "" {
		t.Error("nothing is missing: the test tests nothing")
	}
	url = pgtest.New(t)
	db = open(t, postgres.Config{URL: url})
	if err := db.Record(t.Context(), log[:40]); err != nil {
		t.Fatal(err)
	}
	if err := db.Record(t.Context(), log[from-1:]); err != nil {
		t.Fatal(err)
	}
	if d := mismatch(t, db, log); d != "" {
		t.Error(d)
	}
	if got := len(entries(t, url)); got != 20 {
		t.Errorf("the ledger knows %d tasks, want 20", got)
	}
}
