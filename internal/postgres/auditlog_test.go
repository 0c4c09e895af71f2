package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

// chronicle is the stream under construction: each tenant's chain, in one order.
type chronicle struct {
	tb    testing.TB
	log   *postgres.AuditLog
	heads map[string]audit.Anchor
	place audit.Place
}

func newChronicle(tb testing.TB, db *postgres.DB) *chronicle {
	return &chronicle{tb: tb, log: postgres.NewAuditLog(db), heads: map[string]audit.Anchor{}}
}

// add seals what was done, a minute after what was done before.
func (c *chronicle) add(e audit.Entry) audit.Row {
	c.tb.Helper()
	if e.At.IsZero() {
		e.At = began().Add(time.Duration(c.heads[e.Tenant].N) * time.Minute)
	}
	e.ID = fmt.Sprint(e.Tenant, "-", c.heads[e.Tenant].N)
	row, err := audit.Seal(c.heads[e.Tenant], e)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.heads[e.Tenant] = row.Anchor()
	return row
}

func began() time.Time { return time.Date(2031, 2, 3, 4, 5, 6, 789000, time.UTC) }

// keep archives rows behind what was archived.
func (c *chronicle) keep(rows ...audit.Row) {
	c.tb.Helper()
	to := audit.Place{Epoch: began(), Seq: c.place.Seq + uint64(len(rows))}
	if err := c.log.Keep(c.tb.Context(), rows, c.place, to); err != nil {
		c.tb.Fatal(err)
	}
	c.place = to
}

// Append implements audit.Recorder.
func (c *chronicle) Append(_ context.Context, e audit.Entry) error {
	c.keep(c.add(e))
	return nil
}

func disabled(tenant, who string) audit.Entry {
	return audit.Entry{Tenant: tenant, Actor: "admin", Action: "user.disabled", Target: who, Outcome: audit.Done}
}

func (c *chronicle) fill(tenant string, n int) {
	c.tb.Helper()
	rows := make([]audit.Row, n)
	for i := range rows {
		rows[i] = c.add(disabled(tenant, fmt.Sprint("u", i)))
	}
	c.keep(rows...)
}

// verify returns what is found in a tenant's chain in the archive.
func (c *chronicle) verify(tenant string, known ...audit.Anchor) audit.Report {
	c.tb.Helper()
	from, err := c.log.Purged(c.tb.Context(), tenant)
	if err != nil {
		c.tb.Fatal(err)
	}
	report, err := audit.Verify(c.log.Rows(c.tb.Context(), tenant), audit.Claim{Tenant: tenant, From: &from, Known: known})
	if err != nil {
		c.tb.Fatal(err)
	}
	return report
}

func TestAuditLog_KeepsWhatIsRepeatedOnce(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	db := open(t, postgres.Config{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	c := newChronicle(t, db)
	if place, err := c.log.Place(t.Context()); err != nil || place != (audit.Place{}) {
		t.Errorf("nothing is archived up to %+v, %v", place, err)
	}
	rows := []audit.Row{c.add(disabled("school", "a")), c.add(disabled("other", "a")), c.add(disabled("school", "b"))}
	c.keep(rows...)
	place, err := c.log.Place(t.Context())
	if err != nil || !place.Epoch.Equal(began()) || place.Seq != 3 {
		t.Errorf("archived up to %+v, %v", place, err)
	}
	if err := c.log.Keep(t.Context(), rows, audit.Place{}, audit.Place{Epoch: began(), Seq: 9}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a process that is late: got %v, want Conflict", err)
	}
	anew := audit.Place{Epoch: began().Add(time.Hour), Seq: 3}
	if err := c.log.Keep(t.Context(), rows, place, anew); err != nil {
		t.Errorf("the same from a stream that was made anew: %v", err)
	}
	if err := c.log.Keep(t.Context(), nil, anew, audit.Place{Epoch: anew.Epoch, Seq: 7}); err != nil {
		t.Errorf("nothing: %v", err)
	}
	if r := c.verify("school"); r.Finding != nil || r.Entries != 2 || said.Len() > 0 {
		t.Errorf("%+v, %v, said %q", r, r.Finding, said.String())
	}
	forked, err := audit.Seal(rows[0].Anchor(), disabled("school", "forked"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.log.Keep(t.Context(), []audit.Row{forked}, audit.Place{Epoch: anew.Epoch, Seq: 7}, audit.Place{Epoch: anew.Epoch, Seq: 8}); err != nil {
		t.Error(err)
	}
	if r := c.verify("school"); r.Finding != nil || r.Head != rows[2].Anchor() {
		t.Errorf("the first one did not stay: %+v, %v", r, r.Finding)
	}
	if !strings.Contains(said.String(), "different audit entries") || !strings.Contains(said.String(), "n=2") {
		t.Errorf("said %q", said.String())
	}
	head, err := c.log.Head(t.Context(), "school")
	if err != nil || head != rows[2].Anchor() {
		t.Errorf("the chain ends at %v, %v", head, err)
	}
	if head, err = c.log.Head(t.Context(), "nobody"); err != nil || head != (audit.Anchor{}) {
		t.Errorf("no chain ends at %v, %v", head, err)
	}
	if tenants, err := c.log.Tenants(t.Context()); err != nil || !slices.Equal(tenants, []string{"other", "school"}) {
		t.Errorf("chains of %v, %v", tenants, err)
	}
}

// Neither a program nor who owns the tables changes what is on record, unless they take the triggers away first.
func TestAuditLog_OnlyGrows(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	c := newChronicle(t, open(t, postgres.Config{URL: url}))
	c.fill("school", 3)
	to := audit.Place{Epoch: began(), Seq: 1}
	if err := postgres.NewAccessLog(open(t, postgres.Config{URL: url})).Keep(t.Context(), []audit.Access{{ID: "a", Tenant: "school", At: began()}}, audit.Place{}, to); err != nil {
		t.Fatal(err)
	}
	execute(t, url, `INSERT INTO audit_anchors VALUES ('school', 1, decode(repeat('00', 32), 'hex'), now())`)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range []string{
		`UPDATE audit_log SET actor = 'somebody'`, `DELETE FROM audit_log`, `TRUNCATE audit_log`,
		`UPDATE access_log SET actor = 'somebody'`, `DELETE FROM access_log`, `TRUNCATE access_log`,
		`UPDATE audit_anchors SET n = 2`, `DELETE FROM audit_anchors`, `TRUNCATE audit_anchors`,
		`SELECT set_config('toolboxai.purge', 'other', false); DELETE FROM audit_log`,
		`SELECT set_config('toolboxai.purge', 'school', false); DELETE FROM audit_log WHERE n = 2`,
		`SELECT set_config('toolboxai.purge', 'school', false); UPDATE audit_log SET actor = 'somebody'`,
		`SELECT set_config('toolboxai.purge', 'school', false); UPDATE audit_anchors SET n = 0`,
		`SET ROLE toolboxai_tenant; INSERT INTO audit_log SELECT * FROM audit_log`,
	} {
		results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
		if err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: got %v, %v, want it refused", sql, results, err)
		}
		if _, err := conn.Exec(t.Context(), `RESET ROLE`); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := audit.Verify(c.log.Rows(t.Context(), "school"), audit.Claim{Tenant: "school", Known: []audit.Anchor{c.heads["school"]}}); err != nil || r.Finding != nil {
		t.Errorf("%v, %v", r.Finding, err)
	}
}

// The negative control of the triggers, and what the hashes are for: without them anything can be done, and is found.
func TestAuditLog_ShowsWhereItWasTamperedWith(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]audit.Finding{
		`UPDATE audit_log SET actor = 'somebody' WHERE n = 4`:                                                           {N: 4, How: audit.Changed},
		`UPDATE audit_log SET at = at + interval '1 second' WHERE n = 4`:                                                {N: 4, How: audit.Changed},
		`UPDATE audit_log SET entry = convert_to(replace(convert_from(entry, 'UTF8'), 'u3', 'u9'), 'UTF8') WHERE n = 4`: {N: 4, How: audit.Changed},
		`UPDATE audit_log SET entry = e, hash = sha256(prev || e)
			FROM (SELECT convert_to(replace(convert_from(entry, 'UTF8'), 'admin', 'thief'), 'UTF8') AS e FROM audit_log WHERE n = 4) x
			WHERE n = 4; UPDATE audit_log SET actor = 'thief' WHERE n = 4`: {N: 4, How: audit.Changed},
		`DELETE FROM audit_log WHERE n = 4`:             {N: 4, How: audit.Missing},
		`DELETE FROM audit_log WHERE n BETWEEN 4 AND 6`: {N: 4, How: audit.Missing},
		`DELETE FROM audit_log WHERE n >= 4`:            {N: 4, How: audit.Missing},
		`DELETE FROM audit_log WHERE n <= 4`:            {N: 1, How: audit.Missing},
		`UPDATE audit_log SET n = CASE n WHEN 4 THEN -6 ELSE -4 END WHERE n IN (4, 6); UPDATE audit_log SET n = -n WHERE n < 0`: {N: 4, How: audit.Changed},
		`UPDATE audit_log SET n = -n WHERE n >= 4; INSERT INTO audit_log SELECT tenant, 4, at, actor, action, target, outcome, entry, prev, hash
			FROM audit_log WHERE n = 2; UPDATE audit_log SET n = 1 - n WHERE n < 0`: {N: 4, How: audit.Changed},
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t)
			c := newChronicle(t, open(t, postgres.Config{URL: url}))
			c.fill("school", 8)
			c.fill("other", 2)
			if r := c.verify("school", c.heads["school"]); r.Finding != nil || r.Entries != 8 {
				t.Fatalf("before: %+v, %v", r, r.Finding)
			}
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			tamper := `BEGIN; ALTER TABLE audit_log DISABLE TRIGGER USER; ` +
				strings.ReplaceAll(sql, "WHERE n", "WHERE tenant = 'school' AND n") + `; COMMIT`
			if _, err := conn.PgConn().Exec(t.Context(), tamper).ReadAll(); err != nil {
				t.Fatal(err)
			}
			r := c.verify("school", c.heads["school"])
			if r.Finding == nil || r.Finding.N != want.N || r.Finding.How != want.How {
				t.Errorf("%s: found %v, want entry %d %s", sql, r.Finding, want.N, want.How)
			}
			if r := c.verify("other"); r.Finding != nil || r.Entries != 2 {
				t.Errorf("the other tenant's: %v", r.Finding)
			}
			if _, err := c.log.List(t.Context(), audit.Filter{Tenant: "school"}); err != nil {
				t.Errorf("it can no longer be listed: %v", err)
			}
		})
	}
}

func TestAuditLog_ListsByFilterPageByPage(t *testing.T) {
	t.Parallel()
	c := newChronicle(t, open(t, postgres.Config{}))
	var all []audit.Entry
	var rows []audit.Row
	for i := range 30 {
		e := audit.Entry{
			Tenant: "school", Actor: fmt.Sprint("a", i%2), Action: []string{"user.disabled", "user.enabled", "key_created"}[i%3], Target: fmt.Sprint("t", i%5), Outcome: audit.Done,
			IP: "192.0.2.7", RequestID: "r", SessionID: "s", KeyID: "k", Detail: []byte(`{"a":[1,"<"]}`),
		}
		row := c.add(e)
		entry, err := row.Entry()
		if err != nil {
			t.Fatal(err)
		}
		rows, all = append(rows, row, c.add(disabled("other", "t1"))), append(all, entry)
	}
	c.keep(rows...)
	from, to := all[5].At, all[20].At
	for name, f := range map[string]audit.Filter{
		"all": {}, "actor": {Actor: "a1"}, "action": {Action: "user."}, "whole action": {Action: "user.enabled"}, "no pattern": {Action: "user_"},
		"target": {Target: "t3"}, "time": {From: &from, To: &to}, "everything": {Actor: "a1", Action: "u", Target: "t3", From: &from, To: &to}, "nothing": {Actor: "x"},
	} {
		f.Tenant = "school"
		var want, got []audit.Entry
		for _, e := range slices.Backward(all) {
			if f.Matches(e) {
				want = append(want, e)
			}
		}
		f.Limit = 4
		for {
			page, err := c.log.List(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page.Entries...)
			if page.Next == 0 {
				break
			}
			f.Before = page.Next
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	for _, f := range []audit.Filter{{Tenant: "a b"}, {Tenant: "school", Limit: audit.MaxPage + 1}, {Tenant: "school", Limit: -1}} {
		if _, err := c.log.List(t.Context(), f); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: got %v, want Invalid", f, err)
		}
	}
}

func TestAuditLog_StaysProvenWhenItsBeginningIsPurged(t *testing.T) {
	t.Parallel()
	c := newChronicle(t, open(t, postgres.Config{}))
	c.fill("school", 2500)
	c.fill("other", 3)
	purge := func(minutes int) {
		t.Helper()
		if err := audit.Purge(t.Context(), c.log, c, "school", began().Add(time.Duration(minutes)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	purge(0)
	if r := c.verify("school", c.heads["school"]); r.Finding != nil || r.First != 1 || r.Entries != 2500 {
		t.Errorf("nothing is old: %+v, %v", r, r.Finding)
	}
	for i, minutes := range []int{10, 10, 2200} {
		purge(minutes)
		r := c.verify("school", c.heads["school"])
		if r.Finding != nil || r.First != uint64(minutes)+1 {
			t.Errorf("purge %d: %+v, %v", i, r, r.Finding)
		}
	}
	if err := c.log.PurgeTo(t.Context(), "school", audit.Anchor{N: 2300}); err != nil {
		t.Error(err)
	}
	if r := c.verify("school", c.heads["school"]); r.Finding != nil || r.First != 2201 {
		t.Errorf("an anchor that is none: %+v, %v", r, r.Finding)
	}
	purge(1 << 20)
	r := c.verify("school", c.heads["school"])
	if r.Finding != nil || r.First == 0 || r.Head != c.heads["school"] {
		t.Errorf("all is old: %+v, %v", r, r.Finding)
	}
	if r := c.verify("other", c.heads["other"]); r.Finding != nil || r.First != 1 || r.Entries != 3 {
		t.Errorf("the other tenant's: %+v, %v", r, r.Finding)
	}
	// What was purged does not come back.
	again := newChronicle(t, open(t, postgres.Config{}))
	if err := c.log.Keep(t.Context(), []audit.Row{again.add(disabled("school", "u0"))}, c.place, audit.Place{Epoch: began(), Seq: c.place.Seq + 1}); err != nil {
		t.Error(err)
	}
	if r := c.verify("school"); r.Finding != nil || r.First == 1 {
		t.Errorf("copied again: %+v, %v", r, r.Finding)
	}
}

func TestAccessLog_ListsWhoLooked(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	log := postgres.NewAccessLog(db)
	var all []audit.Access
	for i := range 20 {
		all = append(all, audit.Access{
			ID: fmt.Sprintf("id-%02d", i), At: began().Add(time.Duration(i) * time.Minute), Tenant: "school", Actor: fmt.Sprint("t", i%2), Student: fmt.Sprint("s", i%3),
			Resource: "task x", Route: "GET /tasks/{id}", IP: "192.0.2.7",
		})
	}
	place := audit.Place{Epoch: began(), Seq: 21}
	if err := log.Keep(t.Context(), append(slices.Clone(all), audit.Access{ID: "id-00", At: began(), Tenant: "other", Student: "s1"}), audit.Place{}, place); err != nil {
		t.Fatal(err)
	}
	if err := log.Keep(t.Context(), all, place, audit.Place{Epoch: began(), Seq: 41}); err != nil {
		t.Errorf("again: %v", err)
	}
	from, to := all[5].At, all[15].At
	walk := func(f audit.AccessFilter) (got []audit.Access) {
		for f.Tenant, f.Limit = "school", 3; ; {
			page, err := log.ListAccesses(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page.Accesses...)
			if page.Next == "" {
				return got
			}
			f.Cursor = page.Next
		}
	}
	for name, c := range map[string]struct {
		filter audit.AccessFilter
		takes  func(audit.Access) bool
	}{
		"all":     {audit.AccessFilter{}, func(audit.Access) bool { return true }},
		"student": {audit.AccessFilter{Student: "s1"}, func(a audit.Access) bool { return a.Student == "s1" }},
		"actor":   {audit.AccessFilter{Actor: "t0", Student: "s1"}, func(a audit.Access) bool { return a.Actor == "t0" && a.Student == "s1" }},
		"time":    {audit.AccessFilter{From: &from, To: &to}, func(a audit.Access) bool { return !a.At.Before(from) && a.At.Before(to) }},
	} {
		var want []audit.Access
		for _, a := range slices.Backward(all) {
			if c.takes(a) {
				want = append(want, a)
			}
		}
		if d := cmp.Diff(want, walk(c.filter)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	page, err := log.ListAccesses(t.Context(), audit.AccessFilter{Tenant: "school", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []audit.AccessFilter{{Tenant: "school", Student: "s1", Cursor: page.Next}, {Tenant: "school", Cursor: "x"}, {Tenant: "school", Limit: 1000}, {}} {
		if _, err := log.ListAccesses(t.Context(), f); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: got %v, want Invalid", f, err)
		}
	}
	if n, err := db.DeleteAccess(t.Context(), "school", all[10].At, 7); n != 7 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
	if n, err := db.DeleteAccess(t.Context(), "school", all[10].At, 7); n != 3 || err != nil || len(walk(audit.AccessFilter{})) != 10 {
		t.Errorf("deleted %d, %v", n, err)
	}
}
