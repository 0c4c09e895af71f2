package postgres_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/privacy"
)

// people puts a school with two admins, a teacher and a student into a new database, and a neighbour's admin.
const people = `
	INSERT INTO tenants (id, name, settings, created_at, updated_at) VALUES ('school', 'School', '{"retention_days":{"tasks":30}}', now(), now()), ('other', 'Other', '{}', now(), now());
	INSERT INTO users (id, tenant, username, username_key, email, email_key, name, role, password_hash, created_at, updated_at) VALUES
		('a1', 'school', 'a1', 'a1', NULL, NULL, 'First Admin', 'admin', 'HASH', now(), now()),
		('a2', 'school', 'a2', 'a2', NULL, NULL, 'Second Admin', 'admin', 'HASH', now(), now()),
		('tess', 'school', 'Tess', 'tess', 'Tess@school.example', 'tess@school.example', 'Tess Teacher', 'teacher', 'HASH', now(), now()),
		('stu', 'school', 'stu', 'stu', NULL, NULL, 'Stu Dent', 'student', 'HASH', now(), now()),
		('o1', 'other', 'o1', 'o1', NULL, NULL, 'Other Admin', 'admin', 'HASH', now(), now());
	INSERT INTO classes (id, tenant, name, created_by, created_at, updated_at) VALUES ('c1', 'school', 'Class', 'tess', now(), now());
	INSERT INTO class_members (tenant, class, user_id, added_by, added_at) VALUES ('school', 'c1', 'tess', 'a1', now());
	INSERT INTO api_keys (id, tenant, user_id, name, hash, scopes, created_at) VALUES ('k1', 'school', 'tess', 'plugin', '\x01', '{tasks:read}', now());
	INSERT INTO sessions (id, tenant, user_id, created_at, last_seen_at, expires_at, auth_at, second_factor, ip, user_agent, refresh_hash, refresh_expires)
		VALUES ('s1', 'school', 'tess', now(), now(), now(), now(), false, '192.0.2.1', 'browser', '\x02', now());`

func privateSchool(t *testing.T) (*postgres.DB, string) {
	t.Helper()
	url := pgtest.New(t)
	execute(t, url, people)
	return open(t, postgres.Config{URL: url, Head: func(context.Context) (uint64, error) { return 0, nil }}), url
}

type unheard struct{}

func (unheard) Append(context.Context, audit.Entry) error { return nil }

func privacyOf(t *testing.T, db *postgres.DB) *privacy.Service {
	t.Helper()
	s, err := privacy.NewService(privacy.Config{Records: db, Audit: unheard{}, Revoke: func(context.Context, string, string, string) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExport_HandsOverWhatIsKeptAndNoSecret(t *testing.T) {
	t.Parallel()
	db, _ := privateSchool(t)
	l := newLog(t)
	l.add("school", "t1", queued(func(q *events.Queued) { q.UserID = "tess" }))
	l.add("school", "t2", queued(func(q *events.Queued) { q.UserID = "stu" }))
	l.record(db)
	var out bytes.Buffer
	admin := auth.Principal{UserID: "a1", Tenant: "school", Role: auth.Admin}
	if err := privacyOf(t, db).Export(t.Context(), admin, "tess", &out); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Account []struct{ Email string }
		Tasks   []struct {
			Task struct {
				ID string `json:"task_id"`
			}
			Input json.RawMessage
		}
		Sessions []struct{ IP string }
		Classes  []struct{ Name string }
		Keys     []struct{ Name string } `json:"api_keys"`
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if len(got.Account) != 1 || got.Account[0].Email != "Tess@school.example" || len(got.Tasks) != 1 || got.Tasks[0].Task.ID != "t1" || len(got.Tasks[0].Input) == 0 ||
		len(got.Sessions) != 1 || len(got.Classes) != 1 || len(got.Keys) != 1 {
		t.Errorf("exported %s", out.String())
	}
	if strings.Contains(out.String(), "HASH") || strings.Contains(out.String(), "hash") && !strings.Contains(out.String(), "request_hash") {
		t.Errorf("a hash is in the export: %s", out.String())
	}
	out.Reset()
	if err := privacyOf(t, db).Export(t.Context(), auth.Principal{UserID: "o1", Tenant: "other", Role: auth.Admin}, "tess", &out); !fault.Is(err, fault.NotFound) || out.Len() > 0 {
		t.Errorf("another tenant's admin gets %q (%v)", out.String(), err)
	}
}

func TestErasure_EmptiesTheAccountAndThenTheArchive(t *testing.T) {
	t.Parallel()
	db, url := privateSchool(t)
	l := newLog(t)
	for _, id := range []string{"t1", "t2", "t3"} {
		l.add("school", id, queued(func(q *events.Queued) { q.UserID = "tess" }))
		l.add("school", id, events.Cancelled{By: "tess"})
	}
	l.add("school", "other", queued(func(q *events.Queued) { q.UserID = "stu" }))
	l.record(db)
	s := privacyOf(t, db)
	admin := auth.Principal{UserID: "a1", Tenant: "school", Role: auth.Admin}
	first, err := s.Erase(t.Context(), admin, "tess")
	if err != nil || first.State != privacy.Waiting {
		t.Fatalf("%+v (%v)", first, err)
	}
	if again, err := s.Erase(t.Context(), admin, "tess"); err != nil || again.ID != first.ID {
		t.Errorf("asked again: %+v (%v)", again, err)
	}
	left := query(t, url, `SELECT (SELECT count(*) FROM sessions WHERE ip || user_agent <> '')::text || (SELECT count(*) FROM api_keys) || (SELECT count(*) FROM class_members) || (SELECT name || coalesce(email, '-') || coalesce(password_hash, '-') FROM users WHERE id = 'tess')`)
	if len(left) != 1 || left[0] != "000Erased user--" {
		t.Errorf("of the account is left %q", left)
	}
	e, ok, err := db.ClaimErasure(t.Context(), time.Minute)
	if err != nil || !ok || e.ID != first.ID {
		t.Fatalf("claimed %+v, %v (%v)", e, ok, err)
	}
	if _, ok, err := db.ClaimErasure(t.Context(), time.Minute); ok || err != nil {
		t.Errorf("two janitors have it (%v)", err)
	}
	kept, err := db.TasksOf(t.Context(), "school", "tess", 10)
	if err != nil || len(kept) != 3 || kept[0].Open {
		t.Fatalf("tasks %+v (%v)", kept, err)
	}
	var ids []string
	for _, k := range kept {
		ids = append(ids, k.ID)
	}
	if err := db.DeleteTasks(t.Context(), "school", ids); err != nil {
		t.Fatal(err)
	}
	if left := query(t, url, `SELECT (SELECT count(*) FROM tasks)::text || (SELECT count(DISTINCT task) FROM task_events)`); left[0] != "11" {
		t.Errorf("left %q, want the other user's task alone", left)
	}
	e.State, e.ErasedTasks = privacy.Done, 3
	if err := db.NoteErasure(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if left := query(t, url, `SELECT id FROM sessions`); len(left) != 0 {
		t.Errorf("left are the sessions %q", left)
	}
	if got, err := s.Erasure(t.Context(), "school", "tess"); err != nil || got.State != privacy.Done || got.ErasedTasks != 3 || got.FinishedAt == nil {
		t.Errorf("%+v (%v)", got, err)
	}
	if _, err := s.Erasure(t.Context(), "other", "tess"); !fault.Is(err, fault.NotFound) {
		t.Errorf("another tenant sees it: %v", err)
	}
}

// Two admins who erase each other at once: one stays.
func TestErasure_LeavesATenantItsLastAdmin(t *testing.T) {
	t.Parallel()
	db, _ := privateSchool(t)
	s := privacyOf(t, db)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, pair := range [][2]string{{"a1", "a2"}, {"a2", "a1"}} {
		wg.Go(func() {
			_, errs[i] = s.Erase(t.Context(), auth.Principal{UserID: pair[0], Tenant: "school", Role: auth.Admin}, pair[1])
		})
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !fault.Is(errs[0], fault.Conflict) && !fault.Is(errs[1], fault.Conflict) {
		t.Errorf("both or neither: %v", errs)
	}
	if _, err := s.Erase(t.Context(), auth.Principal{UserID: "a1", Tenant: "school", Role: auth.Admin}, "o1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("another tenant's user: %v", err)
	}
}

func TestRetentions_AreThoseOfTheTenantsThatHaveSome(t *testing.T) {
	t.Parallel()
	db, _ := privateSchool(t)
	got, err := db.Retentions(t.Context())
	if err != nil || len(got) != 1 || got[0] != (privacy.Retention{Tenant: "school", Tasks: 30}) {
		t.Errorf("got %+v (%v)", got, err)
	}
	l := newLog(t)
	l.add("school", "t1", queued())
	l.add("school", "t1", events.Cancelled{By: "tess"})
	l.add("school", "t2", queued())
	l.record(db)
	old, err := db.TasksBefore(t.Context(), "school", time.Now().AddDate(1, 0, 0), 10)
	if err != nil || len(old) != 1 || old[0].ID != "t1" {
		t.Errorf("finished tasks: %+v (%v)", old, err)
	}
	if n, err := db.DeleteAccess(t.Context(), "school", time.Now(), 10); n != 0 || err != nil {
		t.Errorf("deleted %d (%v)", n, err)
	}
}
