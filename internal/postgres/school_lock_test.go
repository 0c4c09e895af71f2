package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/school"
)

// furnish fills two schools alike. Whatever belongs to one of them says so.
func furnish(tb testing.TB, url string, s *postgres.School) {
	tb.Helper()
	for _, tenant := range []string{"school", "other"} {
		enrol(tb, s, tenant, auth.Admin, "admin")
		enrol(tb, s, tenant, auth.Student, "student")
		enrol(tb, s, tenant, auth.Parent, "parent")
		at := time.Now().Truncate(time.Microsecond)
		class := school.Class{ID: "class-of-" + tenant, Tenant: tenant, Name: "Class of " + tenant, CreatedBy: "admin-of-" + tenant, CreatedAt: at}
		if err := s.AddClass(tb.Context(), class); err != nil {
			tb.Fatal(err)
		}
		execute(tb, url, "INSERT INTO tasks (tenant, id, seq, kind, user_id, state, dead_letter, labels, created_at, doc) "+
			"VALUES ($1, 'task-of-' || $1, 1, '', 'student-of-' || $1, '', false, '{}', now(), '{}')", tenant)
		if _, _, err := s.AddMember(tb.Context(), tenant, class.ID, "student-of-"+tenant, []auth.Role{auth.Student}, "x", at); err != nil {
			tb.Fatal(err)
		}
		if _, _, err := s.AddGuardian(tb.Context(), tenant, "parent-of-"+tenant, "student-of-"+tenant, "x", at); err != nil {
			tb.Fatal(err)
		}
		if _, _, err := s.AddShare(tb.Context(), tenant, school.Share{Class: class.ID, Task: "task-of-" + tenant, SharedBy: "x", SharedAt: at}); err != nil {
			tb.Fatal(err)
		}
	}
}

// schoolReads are all queries about the tenant "school" that ask for what the other one has.
func schoolReads(s *postgres.School) map[string]func(testing.TB) any {
	student, parent := school.Reader{UserID: "student-of-other"}, school.Reader{UserID: "parent-of-other", Children: true}
	out := map[string]func(testing.TB) any{}
	add := func(name string, read func(tb testing.TB) (any, error)) {
		out[name] = func(tb testing.TB) any {
			found, err := read(tb)
			if err != nil && !fault.Is(err, fault.NotFound) {
				tb.Errorf("%s: %v", name, err)
			}
			if err != nil {
				return nil
			}
			return found
		}
	}
	add("users", func(tb testing.TB) (any, error) { return s.Users(tb.Context(), "school", school.UserFilter{Limit: 50}) })
	add("users of a class", func(tb testing.TB) (any, error) {
		return s.Users(tb.Context(), "school", school.UserFilter{Class: "class-of-other", Search: "student", Limit: 50})
	})
	add("user", func(tb testing.TB) (any, error) { return s.User(tb.Context(), "school", "admin-of-other") })
	add("names", func(tb testing.TB) (any, error) { return s.Names(tb.Context(), "school") })
	add("classes", func(tb testing.TB) (any, error) {
		return s.Classes(tb.Context(), "school", school.ClassFilter{Limit: 50})
	})
	add("classes of a parent", func(tb testing.TB) (any, error) {
		return s.Classes(tb.Context(), "school", school.ClassFilter{Limit: 50, Reader: &parent})
	})
	add("class", func(tb testing.TB) (any, error) { return s.Class(tb.Context(), "school", "class-of-other") })
	add("members", func(tb testing.TB) (any, error) { return s.Members(tb.Context(), "school", "class-of-other") })
	add("attends", func(tb testing.TB) (any, error) { return s.Attends(tb.Context(), "school", "class-of-other", student) })
	add("guardians", func(tb testing.TB) (any, error) { return s.Guardians(tb.Context(), "school", "", "student-of-other") })
	add("shares", func(tb testing.TB) (any, error) {
		return s.Shares(tb.Context(), "school", school.ShareFilter{Class: "class-of-other", Limit: 50})
	})
	add("readable", func(tb testing.TB) (any, error) {
		return s.Readable(tb.Context(), "school", parent, "admin-of-other", "task-of-other")
	})
	add("shared", func(tb testing.TB) (any, error) { return s.SharedTasks(tb.Context(), "school", student, 50) })
	return out
}

func TestSchool_HoldsTheSecondLock(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url})
	s := founded(t, db, "school", "other")
	furnish(t, url, s)
	if found := leaks(t, schoolReads(s)); len(found) > 0 {
		t.Fatalf("%v find another school's as they are", found)
	}
	db.ForgetTenant()
	if found := leaks(t, schoolReads(s)); len(found) > 0 {
		t.Errorf("%v find another school's when they forget the tenant", found)
	}

	open := open(t, postgres.Config{URL: url})
	open.Unlock()
	open.ForgetTenant()
	reads := schoolReads(postgres.NewSchool(open))
	var all []string
	for name := range reads {
		all = append(all, name)
	}
	slices.Sort(all)
	if d := cmp.Diff(all, leaks(t, reads)); d != "" {
		t.Errorf("without any lock these should leak (-want +got): %s", d)
	}
}

// What changes something forgets its tenant too, and changes nothing.
func TestSchool_ChangesNothingOfAnotherTenant(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url})
	s := founded(t, db, "school", "other")
	furnish(t, url, s)
	const everything = `
		SELECT (SELECT string_agg(u::text, '|' ORDER BY id) FROM users u) || (SELECT string_agg(c::text, '|' ORDER BY id) FROM classes c)
			|| (SELECT string_agg(m::text, '|' ORDER BY class) FROM class_members m) || (SELECT string_agg(g::text, '|' ORDER BY child) FROM guardians g)
			|| (SELECT string_agg(h::text, '|' ORDER BY task) FROM shares h)`
	before := query(t, url, everything)
	name, disabled, yes, at := "Changed", account.Disabled, true, time.Now()
	changes := map[string]func() error{
		"user": func() error {
			return errOf(s.ChangeUser(t.Context(), "school", "student-of-other", 1, school.UserChange{Name: &name}, at))
		},
		"state": func() error {
			return errOf(s.ChangeUser(t.Context(), "school", "student-of-other", 1, school.UserChange{State: &disabled}, at))
		},
		"class": func() error {
			return errOf(s.ChangeClass(t.Context(), "school", "class-of-other", 1, school.ClassChange{Archived: &yes}, at))
		},
		"member": func() error { return s.RemoveMember(t.Context(), "school", "class-of-other", "student-of-other") },
		"their member": func() error {
			_, _, err := s.AddMember(t.Context(), "school", "class-of-school", "student-of-other", []auth.Role{auth.Student}, "x", at)
			return err
		},
		"our member": func() error {
			_, _, err := s.AddMember(t.Context(), "school", "class-of-other", "student-of-school", []auth.Role{auth.Student}, "x", at)
			return err
		},
		"guardian": func() error { return s.RemoveGuardian(t.Context(), "school", "parent-of-other", "student-of-other") },
		"their child": func() error {
			_, _, err := s.AddGuardian(t.Context(), "school", "parent-of-school", "student-of-other", "x", at)
			return err
		},
		"share": func() error { return s.RemoveShare(t.Context(), "school", "class-of-other", "task-of-other") },
		"their task": func() error {
			_, _, err := s.AddShare(t.Context(), "school", school.Share{Class: "class-of-school", Task: "task-of-other", SharedAt: at})
			return err
		},
	}
	for _, forgetful := range []bool{false, true} {
		if forgetful {
			db.ForgetTenant()
		}
		for name, change := range changes {
			if err := change(); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s, forgetful %v: got %v, want NotFound", name, forgetful, err)
			}
		}
		if d := cmp.Diff(before, query(t, url, everything)); d != "" {
			t.Errorf("forgetful %v: %s", forgetful, d)
		}
	}
	open := open(t, postgres.Config{URL: url})
	open.Unlock()
	open.ForgetTenant()
	s = postgres.NewSchool(open)
	for _, change := range changes {
		_ = change() // some find that another one was there before
	}
	if cmp.Diff(before, query(t, url, everything)) == "" {
		t.Error("without any lock nothing is changed: the test tests nothing")
	}
}
