package school_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

// reach is what somebody may read of "shared" (with ada's class), "apart" (with ben's), "hers" (ada's own) and "none".
func reach(t *testing.T, w *town, p auth.Principal, owners map[string]string) string {
	t.Helper()
	var may []string
	for task, owner := range owners {
		if must(w.Readable(t.Context(), p, owner, task))(t) {
			may = append(may, task)
		}
	}
	slices.Sort(may)
	if p.Role != "" && !p.CanReadTenant() {
		var listed []string
		for _, task := range must(w.SharedTasks(t.Context(), p))(t) {
			if owners[task] != p.UserID {
				listed = append(listed, task)
			}
		}
		slices.Sort(listed)
		others := slices.DeleteFunc(slices.Clone(may), func(task string) bool { return owners[task] == p.UserID })
		if d := cmp.Diff(others, listed, cmp.Transformer("", func(s []string) string { return strings.Join(s, " ") })); d != "" {
			t.Errorf("%s: readable and listed differ: %s", p.UserID, d)
		}
	}
	return strings.Join(may, " ")
}

func TestReadable_FollowsClassesAndGuardians(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	ctx := t.Context()
	admin, grace, hugo := w.person("north", auth.Admin, "admin"), w.person("north", auth.Teacher, "grace"), w.person("north", auth.Teacher, "hugo")
	ada, ben, cyd := w.person("north", auth.Student, "ada"), w.person("north", auth.Student, "ben"), w.person("north", auth.Student, "cyd")
	mum, dad := w.person("north", auth.Parent, "mum"), w.person("north", auth.Parent, "dad")
	far := w.person("south", auth.Student, "far")
	owners := map[string]string{"shared": grace.UserID, "apart": grace.UserID, "hers": ada.UserID, "none": hugo.UserID}
	for task, owner := range owners {
		w.task("north", task, owner)
	}
	must(w.AddGuardian(ctx, admin, mum.UserID, ada.UserID))(t)
	adas, bens := w.class(grace, ada), w.class(grace, ben)
	must(w.Share(ctx, grace, adas.ID, "shared"))(t)
	must(w.Share(ctx, grace, bens.ID, "apart"))(t)
	expect := func(when string, want map[*auth.Principal]string) {
		t.Helper()
		for p, tasks := range want {
			if got := reach(t, w, *p, owners); got != tasks {
				t.Errorf("%s %s may read %q, want %q", when, p.UserID, got, tasks)
			}
		}
	}
	all := "apart hers none shared"
	expect("at first", map[*auth.Principal]string{
		&admin: all, &grace: all, &hugo: all, &ada: "hers shared", &ben: "apart", &cyd: "", &mum: "hers shared", &dad: "", &far: "", {}: "",
	})
	impostor := auth.Principal{UserID: mum.UserID, Tenant: "north", Role: auth.Student} // children are a parent's
	expect("as a student", map[*auth.Principal]string{&impostor: ""})
	abroad := auth.Principal{UserID: ada.UserID, Tenant: "south", Role: auth.Student}
	if must(w.Readable(ctx, abroad, grace.UserID, "shared"))(t) || len(must(w.SharedTasks(ctx, abroad))(t)) > 0 {
		t.Error("a share reaches into another tenant")
	}

	must(w.ArchiveClass(ctx, grace, adas.ID, 1, true))(t)
	expect("once it is archived", map[*auth.Principal]string{&ada: "hers", &mum: "hers"})
	must(w.ArchiveClass(ctx, grace, adas.ID, 2, false))(t)
	must(w.SetUserState(ctx, admin, ada.UserID, 1, account.Disabled))(t)
	expect("of a disabled child", map[*auth.Principal]string{&mum: ""})
	must(w.SetUserState(ctx, admin, ada.UserID, 2, account.Active))(t)
	expect("back again", map[*auth.Principal]string{&ada: "hers shared", &mum: "hers shared"})
	if err := w.Unshare(ctx, grace, adas.ID, "shared"); err != nil {
		t.Error(err)
	}
	expect("no longer shared", map[*auth.Principal]string{&ada: "hers", &mum: "hers"})
	must(w.Share(ctx, grace, adas.ID, "shared"))(t)
	if err := w.RemoveMember(ctx, grace, adas.ID, ada.UserID); err != nil {
		t.Error(err)
	}
	expect("no longer a member", map[*auth.Principal]string{&ada: "hers", &mum: "hers"})
	if err := w.RemoveGuardian(ctx, admin, mum.UserID, ada.UserID); err != nil {
		t.Error(err)
	}
	expect("no longer a guardian", map[*auth.Principal]string{&mum: ""})
}

func TestSharedTasks_AreTheNewestAndBounded(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	grace, ada := w.person("north", auth.Teacher, "grace"), w.person("north", auth.Student, "ada")
	class, also := w.class(grace, ada), w.class(grace, ada)
	for _, c := range []school.Class{class, also} { // each twice
		w.execute("INSERT INTO shares (tenant, class, task, shared_by, shared_at) SELECT 'north', $1, 't' || n, '', now() + n * interval '1 second' FROM generate_series(1, 1500) n", c.ID)
	}
	got := must(w.SharedTasks(t.Context(), ada))(t)
	if len(got) != school.MaxReadable || got[0] != "t1500" || got[len(got)-1] != "t501" {
		t.Errorf("%d tasks from %s to %s", len(got), got[0], got[len(got)-1])
	}
}

func TestListShares_GoesPageByPage(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	grace, ada := w.person("north", auth.Teacher, "grace"), w.person("north", auth.Student, "ada")
	class, other := w.class(grace, ada), w.class(grace)
	var shared []school.Share
	for i := range 5 {
		task := w.task("north", fmt.Sprint("t", i), grace.UserID)
		shared = append(shared, must(w.Share(t.Context(), grace, class.ID, task))(t))
	}
	if again := must(w.Share(t.Context(), grace, class.ID, "t0"))(t); again != shared[0] {
		t.Errorf("shared again it is %+v, was %+v", again, shared[0])
	}
	slices.Reverse(shared)
	var got []school.Share
	f := school.ShareFilter{Class: class.ID, Limit: 2}
	for {
		page := must(w.ListShares(t.Context(), ada, f))(t)
		got = append(got, page.Shares...)
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	if d := cmp.Diff(shared, got); d != "" {
		t.Error(d)
	}
	f.Cursor = must(w.ListShares(t.Context(), grace, f))(t).Next
	f.Class = other.ID
	want(t, "another class's cursor", errOf(w.ListShares(t.Context(), grace, f)), fault.Invalid, "cursor")
	want(t, "the limit", errOf(w.ListShares(t.Context(), grace, school.ShareFilter{Class: class.ID, Limit: 201})), fault.Invalid, "limit")
	want(t, "no class", errOf(w.ListShares(t.Context(), grace, school.ShareFilter{})), fault.NotFound, "")
}
