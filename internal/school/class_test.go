package school_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

func TestClasses_AreKeptByWhoMadeThem(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin, grace, hugo := w.person("north", auth.Admin, "admin"), w.person("north", auth.Teacher, "grace"), w.person("north", auth.Teacher, "hugo")
	ada, mum := w.person("north", auth.Student, "ada"), w.person("north", auth.Parent, "mum")
	south, boss := w.person("south", auth.Student, "ben"), w.person("south", auth.Admin, "boss")
	w.task("north", "t1", grace.UserID)
	w.task("south", "t2", boss.UserID)
	class := w.class(grace, ada)
	if class.CreatedBy != grace.UserID || class.Tenant != "north" || class.Version != 1 || class.Members != 1 {
		t.Errorf("made %+v", class)
	}
	ctx := t.Context()
	acts := map[string]func(auth.Principal) error{
		"rename":  func(p auth.Principal) error { return errOf(w.UpdateClass(ctx, p, class.ID, 1, "New")) },
		"archive": func(p auth.Principal) error { return errOf(w.ArchiveClass(ctx, p, class.ID, 1, true)) },
		"add":     func(p auth.Principal) error { return errOf(w.AddMember(ctx, p, class.ID, ada.UserID)) },
		"remove":  func(p auth.Principal) error { return w.RemoveMember(ctx, p, class.ID, ada.UserID) },
		"share":   func(p auth.Principal) error { return errOf(w.Share(ctx, p, class.ID, "t1")) },
		"unshare": func(p auth.Principal) error { return w.Unshare(ctx, p, class.ID, "t1") },
	}
	w.trail()
	for name, act := range acts {
		for _, by := range []auth.Principal{hugo, ada, mum, {}} {
			want(t, name+" as "+by.UserID, act(by), fault.Forbidden, "")
		}
		want(t, name+" from another tenant", act(boss), fault.NotFound, "")
	}
	if got := w.trail(); len(got) > 0 {
		t.Errorf("what was refused is on record as done: %v", got)
	}
	for _, by := range []auth.Principal{ada, mum, {}} {
		want(t, "create as "+by.UserID, errOf(w.CreateClass(ctx, by, "C")), fault.Forbidden, "")
	}
	want(t, "a class without name", errOf(w.CreateClass(ctx, grace, "\t")), fault.Invalid, "name")
	for what, err := range map[string]error{
		"another tenant's student": errOf(w.AddMember(ctx, admin, class.ID, south.UserID)),
		"a parent":                 errOf(w.AddMember(ctx, admin, class.ID, mum.UserID)),
		"a teacher by a teacher":   errOf(w.AddMember(ctx, grace, class.ID, hugo.UserID)),
		"nobody":                   errOf(w.AddMember(ctx, admin, class.ID, "\x00")),
		"no class":                 errOf(w.AddMember(ctx, admin, "none", ada.UserID)),
		"another tenant's task":    errOf(w.Share(ctx, grace, class.ID, "t2")),
		"no member":                w.RemoveMember(ctx, grace, class.ID, hugo.UserID),
		"no share":                 w.Unshare(ctx, grace, class.ID, "t2"),
	} {
		want(t, what, err, fault.NotFound, "")
	}
	must(w.AddMember(ctx, admin, class.ID, hugo.UserID))(t)
	if m := must(w.AddMember(ctx, grace, class.ID, ada.UserID))(t); m.Name != "Ada" || m.Role != auth.Student {
		t.Errorf("the member is %+v", m)
	}
	must(w.Share(ctx, grace, class.ID, "t1"))(t)
	must(w.Share(ctx, admin, class.ID, "t1"))(t)
	if err := w.Unshare(ctx, admin, class.ID, "t1"); err != nil {
		t.Error(err)
	}
	if err := w.RemoveMember(ctx, grace, class.ID, hugo.UserID); err != nil {
		t.Error(err)
	}
	must(w.UpdateClass(ctx, grace, class.ID, 1, "New"))(t)
	want(t, "an old version", errOf(w.UpdateClass(ctx, grace, class.ID, 1, "Newer")), fault.Conflict, "version")
	id := class.ID
	trail := []string{
		`north admin-north class.member_added ` + id + ` {"user_id":"hugo-north"}`, `north grace-north share.added ` + id + ` {"task_id":"t1"}`,
		`north admin-north share.removed ` + id + ` {"task_id":"t1"}`, `north grace-north class.member_removed ` + id + ` {"user_id":"hugo-north"}`,
		`north grace-north class.updated ` + id + ` {"fields":["name"]}`,
	}
	if d := cmp.Diff(trail, w.trail()); d != "" {
		t.Error(d)
	}
}

func TestArchivedClass_ChangesInNothing(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	grace, ada, ben := w.person("north", auth.Teacher, "grace"), w.person("north", auth.Student, "ada"), w.person("north", auth.Student, "ben")
	w.task("north", "t1", grace.UserID)
	class := w.class(grace, ada)
	ctx := t.Context()
	must(w.Share(ctx, grace, class.ID, "t1"))(t)
	gone := must(w.ArchiveClass(ctx, grace, class.ID, 1, true))(t)
	if gone.ArchivedAt == nil || gone.Version != 2 {
		t.Errorf("archived it is %+v", gone)
	}
	for what, err := range map[string]error{
		"rename": errOf(w.UpdateClass(ctx, grace, class.ID, 2, "New")), "add": errOf(w.AddMember(ctx, grace, class.ID, ben.UserID)),
		"remove": w.RemoveMember(ctx, grace, class.ID, ada.UserID), "share": errOf(w.Share(ctx, grace, class.ID, "t1")), "unshare": w.Unshare(ctx, grace, class.ID, "t1"),
	} {
		want(t, what, err, fault.Conflict, "")
	}
	list := func(p auth.Principal, f school.ClassFilter) int {
		return len(must(w.ListClasses(ctx, p, f))(t).Classes)
	}
	if n, m := list(grace, school.ClassFilter{}), list(grace, school.ClassFilter{Archived: true, CreatedBy: grace.UserID}); n != 0 || m != 1 {
		t.Errorf("%d are open and %d are archived", n, m)
	}
	if list(ada, school.ClassFilter{}) != 0 {
		t.Error("a student sees it")
	}
	want(t, "a student asks for it", errOf(w.GetClass(ctx, ada, class.ID)), fault.NotFound, "")
	want(t, "a student asks for archived ones", errOf(w.ListClasses(ctx, ada, school.ClassFilter{Archived: true})), fault.Forbidden, "")
	if back := must(w.ArchiveClass(ctx, grace, class.ID, 2, false))(t); back.ArchivedAt != nil || list(ada, school.ClassFilter{}) != 1 {
		t.Errorf("opened it is %+v", back)
	}
}

func TestListClasses_ShowsStudentsAndParentsTheirs(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin, grace := w.person("north", auth.Admin, "admin"), w.person("north", auth.Teacher, "grace")
	ada, ben := w.person("north", auth.Student, "ada"), w.person("north", auth.Student, "ben")
	mum, dad := w.person("north", auth.Parent, "mum"), w.person("north", auth.Parent, "dad")
	must(w.AddGuardian(t.Context(), admin, mum.UserID, ada.UserID))(t)
	name := map[string]string{}
	for class, members := range map[string][]auth.Principal{"both": {ada, ben}, "ada": {ada}, "ben": {ben}} {
		name[w.class(grace, members...).ID] = class
	}
	for _, c := range []struct {
		by   auth.Principal
		sees string
	}{{admin, "both ada ben"}, {grace, "both ada ben"}, {ada, "both ada"}, {ben, "both ben"}, {mum, "both ada"}, {dad, ""}} {
		seen := 0
		f := school.ClassFilter{Limit: 1}
		for {
			page := must(w.ListClasses(t.Context(), c.by, f))(t)
			for _, class := range page.Classes {
				if seen++; !strings.Contains(c.sees, name[class.ID]) {
					t.Errorf("%s sees %s", c.by.UserID, name[class.ID])
				}
			}
			if f.Cursor = page.Next; f.Cursor == "" {
				break
			}
		}
		if want := len(strings.Fields(c.sees)); seen != want {
			t.Errorf("%s sees %d, want %d", c.by.UserID, seen, want)
		}
		for id, class := range name {
			want := strings.Contains(c.sees, class)
			if _, err := w.GetClass(t.Context(), c.by, id); want != (err == nil) {
				t.Errorf("%s asks for %s: %v", c.by.UserID, class, err)
			}
			if _, err := w.ListShares(t.Context(), c.by, school.ShareFilter{Class: id}); want != (err == nil) {
				t.Errorf("%s asks for the shares of %s: %v", c.by.UserID, class, err)
			}
		}
	}
	for id := range name {
		want(t, "a student lists members", errOf(w.ListMembers(t.Context(), ada, id)), fault.Forbidden, "")
	}
	want(t, "members of no class", errOf(w.ListMembers(t.Context(), grace, "none")), fault.NotFound, "")
}

func TestGuardians_AreMadeByAdmins(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin, grace := w.person("north", auth.Admin, "admin"), w.person("north", auth.Teacher, "grace")
	ada, mum, dad := w.person("north", auth.Student, "ada"), w.person("north", auth.Parent, "mum"), w.person("north", auth.Parent, "dad")
	gone, south := w.person("north", auth.Student, "gone"), w.person("south", auth.Student, "ben")
	must(w.SetUserState(t.Context(), admin, gone.UserID, 1, account.Disabled))(t)
	w.trail()
	ctx := t.Context()
	for _, by := range []auth.Principal{grace, mum, ada, {}} {
		want(t, "add as "+by.UserID, errOf(w.AddGuardian(ctx, by, mum.UserID, ada.UserID)), fault.Forbidden, "")
		want(t, "remove as "+by.UserID, w.RemoveGuardian(ctx, by, mum.UserID, ada.UserID), fault.Forbidden, "")
	}
	g := must(w.AddGuardian(ctx, admin, mum.UserID, ada.UserID))(t)
	if again := must(w.AddGuardian(ctx, admin, mum.UserID, ada.UserID))(t); again != g || g.ParentName != "Mum" || g.ChildName != "Ada" {
		t.Errorf("made %+v, and again %+v", g, again)
	}
	for what, pair := range map[string][2]string{
		"another tenant's child": {mum.UserID, south.UserID}, "a teacher as parent": {grace.UserID, ada.UserID}, "a parent as child": {mum.UserID, dad.UserID},
		"who is disabled": {mum.UserID, gone.UserID}, "oneself": {mum.UserID, mum.UserID}, "nobody": {"", ada.UserID},
	} {
		want(t, what, errOf(w.AddGuardian(ctx, admin, pair[0], pair[1])), fault.NotFound, "")
	}
	for _, by := range []auth.Principal{admin, grace, mum} {
		if d := cmp.Diff([]school.Guardian{g}, must(w.ListGuardians(ctx, by, mum.UserID, ""))(t)); d != "" {
			t.Errorf("%s: %s", by.UserID, d)
		}
	}
	if d := cmp.Diff([]school.Guardian{g}, must(w.ListGuardians(ctx, ada, "", ada.UserID))(t)); d != "" {
		t.Error(d)
	}
	want(t, "another parent asks", errOf(w.ListGuardians(ctx, dad, mum.UserID, "")), fault.Forbidden, "")
	want(t, "a parent asks for a child", errOf(w.ListGuardians(ctx, mum, "", ada.UserID)), fault.Forbidden, "")
	want(t, "about nobody", errOf(w.ListGuardians(ctx, admin, "", "")), fault.Invalid, "parent")
	want(t, "about both", errOf(w.ListGuardians(ctx, admin, "a", "b")), fault.Invalid, "parent")
	if err := w.RemoveGuardian(ctx, admin, mum.UserID, ada.UserID); err != nil {
		t.Error(err)
	}
	want(t, "again", w.RemoveGuardian(ctx, admin, mum.UserID, ada.UserID), fault.NotFound, "")
	trail := []string{
		`north admin-north guardian.added ada-north {"parent_id":"mum-north"}`, `north admin-north guardian.removed ada-north {"parent_id":"mum-north"}`,
	}
	if d := cmp.Diff(trail, w.trail()); d != "" {
		t.Error(d)
	}
}
