package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/school"
)

// founded returns schools of these tenants.
func founded(tb testing.TB, db *postgres.DB, tenants ...string) *postgres.School {
	tb.Helper()
	s := postgres.NewSchool(db)
	at := time.Now().Truncate(time.Microsecond)
	for _, id := range tenants {
		if err := s.AddTenant(tb.Context(), school.Tenant{ID: id, Name: "School " + id, State: school.Active, CreatedAt: at, UpdatedAt: at}); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

// enrol adds a user whose name and id say who and of which tenant they are.
func enrol(tb testing.TB, s *postgres.School, tenant string, role auth.Role, who string) account.User {
	tb.Helper()
	at := time.Now().Truncate(time.Microsecond)
	u := account.User{
		ID: who + "-of-" + tenant, Tenant: tenant, Username: who + "." + tenant, Name: who + " of " + tenant, Role: role, State: account.Active, Version: 1,
		CreatedAt: at, UpdatedAt: at,
	}
	if err := s.AddUser(tb.Context(), u, ""); err != nil {
		tb.Fatal(err)
	}
	return u
}

// together lets two transactions through to their update of a user at once: when both are there, or when one is seen to wait for the
// other, which is then let through alone.
type together struct {
	url  string
	mu   sync.Mutex
	here int
	open chan struct{}
}

func (g *together) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (g *together) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData)     {}
func (g *together) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (g *together) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func (g *together) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if !strings.HasPrefix(data.Batch.QueuedQueries[0].SQL, "UPDATE users") {
		return ctx
	}
	g.mu.Lock()
	g.here++
	if g.here == 2 {
		close(g.open)
	}
	g.mu.Unlock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-g.open:
			return ctx
		case <-ctx.Done():
			return ctx
		case <-tick.C:
			if g.waiting(ctx) {
				return ctx
			}
		}
	}
}

func (g *together) waiting(ctx context.Context) (yes bool) {
	conn, err := pgx.Connect(ctx, g.url)
	if err != nil {
		return false
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database())").Scan(&yes)
	return err == nil && yes
}

// Two admins take each other out of office at the same time. One must be left: nobody else could make another one.
func TestSchool_KeepsItsLastAdmin(t *testing.T) {
	t.Parallel()
	disabled, teacher := account.Disabled, auth.Teacher
	for name, c := range map[string]struct {
		role    auth.Role
		tenants [2]string
		change  school.UserChange
	}{
		"Demoted":                        {auth.Admin, [2]string{"north", "north"}, school.UserChange{Role: &teacher}},
		"Disabled":                       {auth.Admin, [2]string{"north", "north"}, school.UserChange{State: &disabled}},
		"PlatformAdminsOfDifferentHomes": {auth.PlatformAdmin, [2]string{"north", "south"}, school.UserChange{Role: &teacher}},
	} {
		for _, unheld := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/unheld=%v", name, unheld), func(t *testing.T) {
				t.Parallel()
				url := pgtest.New(t)
				db := open(t, postgres.Config{URL: url, Tracer: &together{url: url, open: make(chan struct{})}})
				s := founded(t, db, "north", "south")
				if unheld {
					db.Unhold()
				}
				users := [2]account.User{enrol(t, s, c.tenants[0], c.role, "ada"), enrol(t, s, c.tenants[1], c.role, "ben")}
				if c.role == auth.PlatformAdmin { // who are missed as such, not as the tenant's last
					enrol(t, s, "north", auth.Admin, "cyd")
					enrol(t, s, "south", auth.Admin, "dan")
				}
				var errs [2]error
				var wg sync.WaitGroup
				for i, u := range users {
					wg.Go(func() { _, errs[i] = s.ChangeUser(t.Context(), u.Tenant, u.ID, 1, c.change, time.Now()) })
				}
				wg.Wait()
				left := 0
				for i, err := range errs {
					switch {
					case fault.Is(err, fault.Conflict):
						left++
					case err != nil:
						t.Fatal(err)
					}
					after, err := s.User(t.Context(), users[i].Tenant, users[i].ID)
					if held := after.Role == c.role && after.State == account.Active; err != nil || held != fault.Is(errs[i], fault.Conflict) {
						t.Errorf("user %d is %s, %s after %v (%v)", i, after.Role, after.State, errs[i], err)
					}
				}
				if want := map[bool]int{false: 1, true: 0}[unheld]; left != want {
					t.Errorf("%d are left, want %d", left, want)
				}
			})
		}
	}
}

// What is bounded stays so however many add to it at once.
func TestSchool_HoldsItsBounds(t *testing.T) {
	t.Parallel()
	const extra = 4
	fill := func(sql string) func(testing.TB, string, int) {
		return func(tb testing.TB, url string, n int) { execute(tb, url, sql, n) }
	}
	members := fill(`WITH u AS (INSERT INTO users (id, tenant, username, username_key, name, role, created_at, updated_at)
		SELECT 'f' || n, 'north', 'f' || n, 'f' || n, 'F', 'student', now(), now() FROM generate_series(1, $1) n RETURNING id)
		INSERT INTO class_members (tenant, class, user_id, added_by, added_at) SELECT 'north', 'class', id, '', now() FROM u`)
	for name, c := range map[string]struct {
		limit int
		fill  func(testing.TB, string, int)
		add   func(context.Context, *postgres.School, int) error
		count string
	}{
		"Classes": {
			school.MaxClasses, fill("INSERT INTO classes (id, tenant, name, created_by, created_at, updated_at) SELECT 'f' || n, 'north', 'F', '', now(), now() FROM generate_series(2, $1) n"),
			func(ctx context.Context, s *postgres.School, i int) error {
				return s.AddClass(ctx, school.Class{ID: fmt.Sprint("new", i), Tenant: "north", Name: "N"})
			}, "SELECT count(*)::text FROM classes",
		},
		"Members": {school.MaxMembers, members, func(ctx context.Context, s *postgres.School, i int) error {
			_, _, err := s.AddMember(ctx, "north", "class", fmt.Sprintf("student%d-of-north", i), []auth.Role{auth.Student}, "x", time.Now())
			return err
		}, "SELECT count(*)::text FROM class_members"},
		"Shares": {school.MaxShares, fill("INSERT INTO shares (tenant, class, task, shared_by, shared_at) SELECT 'north', 'class', 'f' || n, '', now() FROM generate_series(1, $1) n"),
			func(ctx context.Context, s *postgres.School, i int) error {
				_, _, err := s.AddShare(ctx, "north", school.Share{Class: "class", Task: fmt.Sprint("task", i), SharedAt: time.Now()})
				return err
			}, "SELECT count(*)::text FROM shares"},
		"Guardians": {school.MaxGuardians, fill(`WITH u AS (INSERT INTO users (id, tenant, username, username_key, name, role, created_at, updated_at)
			SELECT 'f' || n, 'north', 'f' || n, 'f' || n, 'F', 'parent', now(), now() FROM generate_series(1, $1) n RETURNING id)
			INSERT INTO guardians (tenant, parent, child, added_by, added_at) SELECT 'north', id, 'student0-of-north', '', now() FROM u`),
			func(ctx context.Context, s *postgres.School, i int) error {
				_, _, err := s.AddGuardian(ctx, "north", fmt.Sprintf("parent%d-of-north", i), "student0-of-north", "x", time.Now())
				return err
			}, "SELECT count(*)::text FROM guardians"},
		"Children": {school.MaxChildren, fill(`WITH u AS (INSERT INTO users (id, tenant, username, username_key, name, role, created_at, updated_at)
			SELECT 'f' || n, 'north', 'f' || n, 'f' || n, 'F', 'student', now(), now() FROM generate_series(1, $1) n RETURNING id)
			INSERT INTO guardians (tenant, parent, child, added_by, added_at) SELECT 'north', 'parent0-of-north', id, '', now() FROM u`),
			func(ctx context.Context, s *postgres.School, i int) error {
				_, _, err := s.AddGuardian(ctx, "north", "parent0-of-north", fmt.Sprintf("student%d-of-north", i), "x", time.Now())
				return err
			}, "SELECT count(*)::text FROM guardians"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t)
			s := founded(t, open(t, postgres.Config{URL: url}), "north")
			if err := s.AddClass(t.Context(), school.Class{ID: "class", Tenant: "north", Name: "C", CreatedAt: time.Now()}); err != nil {
				t.Fatal(err)
			}
			for i := range extra {
				enrol(t, s, "north", auth.Student, fmt.Sprint("student", i))
				enrol(t, s, "north", auth.Parent, fmt.Sprint("parent", i))
				execute(t, url, "INSERT INTO tasks (tenant, id, seq, kind, user_id, state, dead_letter, labels, created_at, doc) VALUES ('north', $1, 1, '', '', '', false, '{}', now(), '{}')", fmt.Sprint("task", i))
			}
			c.fill(t, url, c.limit-2)
			if name == "Classes" {
				c.fill = nil
				execute(t, url, "DELETE FROM classes WHERE id = 'f2'")
			}
			var wg sync.WaitGroup
			var mu sync.Mutex
			added := 0
			for i := range extra {
				wg.Go(func() {
					err := c.add(t.Context(), s, i)
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						added++
					} else if !fault.Is(err, fault.Conflict) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			got := query(t, url, c.count)
			if d := cmp.Diff([]string{fmt.Sprint(c.limit)}, got); d != "" {
				t.Errorf("after %d of %d were added: %s", added, extra, d)
			}
		})
	}
}

func TestMaySubmit_EndsWithTheOffice(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s := founded(t, open(t, postgres.Config{URL: url}), "north", "south")
	const suspend = "UPDATE tenants SET state = 'suspended' WHERE id = 'north' AND $1 <> ''"
	for i, c := range []struct {
		role   auth.Role
		tenant string
		change string
		may    bool
	}{
		{auth.Teacher, "north", "", true},
		{auth.Teacher, "south", "", false},
		{auth.Admin, "north", "", true},
		{auth.PlatformAdmin, "south", "", true},
		{auth.Student, "north", "", false},
		{auth.Teacher, "north", "UPDATE users SET state = 'disabled' WHERE id = $1", false},
		{auth.Teacher, "north", "UPDATE users SET state = 'erased' WHERE id = $1", false},
		{auth.PlatformAdmin, "south", "UPDATE users SET state = 'disabled' WHERE id = $1", false},
		{auth.Teacher, "north", suspend, false},
		{auth.PlatformAdmin, "south", suspend, false}, // their home
	} {
		execute(t, url, "UPDATE tenants SET state = 'active'")
		u := enrol(t, s, "north", c.role, fmt.Sprint("user", i))
		if c.change != "" {
			execute(t, url, c.change, u.ID)
		}
		if may, err := s.MaySubmit(t.Context(), c.tenant, u.ID); err != nil || may != c.may {
			t.Errorf("a %s in %s after %q: %v (%v)", c.role, c.tenant, c.change, may, err)
		}
	}
	for tenant, want := range map[string]bool{"north": false, "nowhere": true} {
		if may, err := s.MaySubmit(t.Context(), tenant, "somebody with a token from the command line"); err != nil || may != want {
			t.Errorf("somebody unknown in %s: %v (%v)", tenant, may, err)
		}
	}
}

// An invitation to a class that is full by now makes an account, and nobody one too many in the class.
func TestAddUser_JoinsNoFullClass(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url})
	s, accounts := founded(t, db, "north"), postgres.NewAccounts(db)
	if err := s.AddClass(t.Context(), school.Class{ID: "class", Tenant: "north", Name: "C", CreatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	execute(t, url, `WITH u AS (INSERT INTO users (id, tenant, username, username_key, name, role, created_at, updated_at)
		SELECT 'f' || n, 'north', 'f' || n, 'f' || n, 'F', 'student', now(), now() FROM generate_series(1, $1) n RETURNING id)
		INSERT INTO class_members (tenant, class, user_id, added_by, added_at) SELECT 'north', 'class', id, '', now() FROM u`, school.MaxMembers-2)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			name := fmt.Sprint("invited", i)
			u := account.NewUser{UsernameKey: name, Class: "class", InvitedBy: "x"}
			u.User = account.User{ID: name, Tenant: "north", Username: name, Name: "I", Role: auth.Student, CreatedAt: time.Now()}
			if err := accounts.AddUser(t.Context(), u); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := query(t, url, "SELECT (SELECT count(*) FROM class_members)::text || ' ' || (SELECT count(*) FROM users)")
	if d := cmp.Diff([]string{fmt.Sprint(school.MaxMembers, " ", school.MaxMembers+4)}, got); d != "" {
		t.Error(d)
	}
}
