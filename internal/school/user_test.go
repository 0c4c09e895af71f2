package school_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

func TestCreateUser_GivesATemporaryPasswordOrMails(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin := w.person("north", auth.Admin, "admin")
	kid := must(w.CreateUser(t.Context(), admin, school.UserSpec{Username: "Kid.1", Name: "  Kid  One ", Role: auth.Student, TemporaryPassword: true}))(t)
	if !regexp.MustCompile(`^([a-z2-7]{4}-){3}[a-z2-7]{4}$`).MatchString(kid.TemporaryPassword) || kid.Mailed {
		t.Errorf("created %+v", kid)
	}
	found := must(w.GetUser(t.Context(), admin, kid.User.ID))(t)
	if d := cmp.Diff(kid.User, found); d != "" {
		t.Error(d)
	}
	if found.Name != "Kid  One" || !found.HasPassword || !found.MustChangePassword || found.Email != "" || found.Version != 1 || found.Tenant != "north" {
		t.Errorf("kept is %+v", found)
	}
	teacher := must(w.CreateUser(t.Context(), admin, school.UserSpec{Username: "grace", Name: "Grace", Email: "Grace@School.Example", Role: auth.Teacher}))(t)
	if teacher.TemporaryPassword != "" || !teacher.Mailed || teacher.User.HasPassword || cmp.Diff([]string{"Grace@School.Example"}, w.mailed) != "" {
		t.Errorf("created %+v, mailed %v", teacher, w.mailed)
	}
	if d := cmp.Diff(teacher.User, must(w.GetUser(t.Context(), admin, teacher.User.ID))(t)); d != "" {
		t.Error(d)
	}
	trail := w.trail()
	if len(trail) != 2 || trail[0] != "north admin-north user.created "+kid.User.ID+` {"role":"student","temporary_password":true}` || strings.Contains(fmt.Sprint(trail), kid.TemporaryPassword) {
		t.Errorf("on record is %q", trail)
	}
}

func TestCreateUser_NamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin := w.person("north", auth.Admin, "admin")
	w.person("south", auth.Student, "ada")
	good := school.UserSpec{Username: "grace", Name: "Grace", Email: "grace@school.example", Role: auth.Teacher}
	for name, c := range map[string]struct {
		change func(*school.UserSpec)
		kind   fault.Kind
		field  string
	}{
		"a username of another tenant": {func(s *school.UserSpec) { s.Username = "ADA.south" }, fault.Conflict, "username"},
		"an address of another tenant": {func(s *school.UserSpec) { s.Email = "Ada@SOUTH.example" }, fault.Conflict, "email"},
		"no username":                  {func(s *school.UserSpec) { s.Username = "" }, fault.Invalid, "username"},
		"an address as username":       {func(s *school.UserSpec) { s.Username = "a@b.c" }, fault.Invalid, "username"},
		"no name":                      {func(s *school.UserSpec) { s.Name = " " }, fault.Invalid, "name"},
		"a long name":                  {func(s *school.UserSpec) { s.Name = strings.Repeat("ä", 201) }, fault.Invalid, "name"},
		"a name with a line break":     {func(s *school.UserSpec) { s.Name = "a\nb" }, fault.Invalid, "name"},
		"a name that turns":            {func(s *school.UserSpec) { s.Name = "a\u2066b" }, fault.Invalid, "name"},
		"no address":                   {func(s *school.UserSpec) { s.Email = "" }, fault.Invalid, "email"},
		"half an address":              {func(s *school.UserSpec) { s.Email = "grace@" }, fault.Invalid, "email"},
		"no role":                      {func(s *school.UserSpec) { s.Role = "boss" }, fault.Invalid, "role"},
		"a role above":                 {func(s *school.UserSpec) { s.Role = auth.PlatformAdmin }, fault.Forbidden, ""},
	} {
		spec := good
		c.change(&spec)
		want(t, name, errOf(w.CreateUser(t.Context(), admin, spec)), c.kind, c.field)
	}
	spec := good
	if spec.Name = strings.Repeat("ä", 200); errOf(w.CreateUser(t.Context(), admin, spec)) != nil {
		t.Error("200 characters are too many")
	}
	nowhere := admin
	nowhere.Tenant = "elsewhere"
	good.Username, good.Email = "other", "other@school.example"
	want(t, "a tenant that is not there", errOf(w.CreateUser(t.Context(), nowhere, good)), fault.NotFound, "")
}

func TestListUsers_FiltersAndPages(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin, teacher := w.person("north", auth.Admin, "admin"), w.person("north", auth.Teacher, "teacher")
	ada, ben := w.person("north", auth.Student, "ada"), w.person("north", auth.Student, "ben")
	w.person("north", auth.Parent, "cyd")
	w.person("south", auth.Student, "adam")
	class := w.class(teacher, ada)
	must(w.UpdateUser(t.Context(), admin, ada.UserID, 1, school.UserChange{Name: ptr("Ada Anna-Lena Müller")}))(t)
	must(w.SetUserState(t.Context(), admin, ben.UserID, 1, account.Disabled))(t)
	list := func(by auth.Principal, f school.UserFilter) string {
		var who []string
		for {
			page := must(w.ListUsers(t.Context(), by, f))(t)
			for _, u := range page.Users {
				who = append(who, strings.TrimSuffix(u.ID, "-north"))
			}
			if f.Cursor = page.Next; f.Cursor == "" {
				return strings.Join(who, " ")
			}
		}
	}
	for name, c := range map[string]struct {
		by   auth.Principal
		f    school.UserFilter
		want string
	}{
		"all":                       {admin, school.UserFilter{}, "cyd ben ada teacher admin"},
		"page by page":              {admin, school.UserFilter{Limit: 1}, "cyd ben ada teacher admin"},
		"a role":                    {admin, school.UserFilter{Role: auth.Parent}, "cyd"},
		"a state":                   {admin, school.UserFilter{State: account.Disabled}, "ben"},
		"a class":                   {admin, school.UserFilter{Class: class.ID}, "ada"},
		"a class that is not there": {admin, school.UserFilter{Class: "none"}, ""},
		"all to a teacher":          {teacher, school.UserFilter{}, "ben ada"},
		"students to a teacher":     {teacher, school.UserFilter{Role: auth.Student, Limit: 1}, "ben ada"},
		"a username":                {admin, school.UserFilter{Search: "TEACH"}, "teacher"},
		"an address":                {admin, school.UserFilter{Search: "ben@no"}, "ben"},
		"within an address":         {admin, school.UserFilter{Search: "north.example"}, ""},
		"a first name":              {admin, school.UserFilter{Search: "ada anna"}, "ada"},
		"a last name":               {admin, school.UserFilter{Search: " mu\u0308ll "}, "ada"},
		"half a double name":        {admin, school.UserFilter{Search: "lena"}, "ada"},
		"within a name":             {admin, school.UserFilter{Search: "nna"}, ""},
		"wildcards":                 {admin, school.UserFilter{Search: "%"}, ""},
		"what no text can hold":     {admin, school.UserFilter{Search: "a\x00\xff"}, ""},
	} {
		if got := list(c.by, c.f); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	next := must(w.ListUsers(t.Context(), admin, school.UserFilter{Limit: 1}))(t).Next
	for field, f := range map[string]school.UserFilter{
		"cursor": {Limit: 1, Cursor: next, Role: auth.Student}, "role": {Role: "x"}, "state": {State: "x"}, "limit": {Limit: -1},
		"search": {Search: strings.Repeat("x", school.MaxSearch+1)},
	} {
		want(t, field, errOf(w.ListUsers(t.Context(), admin, f)), fault.Invalid, field)
	}
}

func TestUpdateUser_ChangesOneVersion(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin, ada := w.person("north", auth.Admin, "admin"), w.person("north", auth.Student, "ada")
	update := func(version int64, change school.UserChange) (account.User, error) {
		return w.UpdateUser(t.Context(), admin, ada.UserID, version, change)
	}
	u := must(update(1, school.UserChange{Name: ptr("Ada L."), Email: ptr(" ada@l.example ")}))(t)
	if u.Name != "Ada L." || u.Email != "ada@l.example" || u.Version != 2 || len(w.take()) > 0 {
		t.Errorf("changed to %+v", u)
	}
	want(t, "an old version", errOf(update(1, school.UserChange{Name: ptr("X")})), fault.Conflict, "")
	if u := must(update(2, school.UserChange{Name: ptr("Ada L.")}))(t); u.Version != 2 {
		t.Errorf("nothing changed, and it is version %d", u.Version)
	}
	if u := must(update(2, school.UserChange{Email: ptr("")}))(t); u.Email != "" {
		t.Errorf("the address is %q", u.Email)
	}
	if u := must(update(3, school.UserChange{Role: ptr(auth.Teacher)}))(t); u.Role != auth.Teacher {
		t.Errorf("the role is %q", u.Role)
	}
	if u := must(w.SetUserState(t.Context(), admin, ada.UserID, 4, account.Disabled))(t); u.State != account.Disabled {
		t.Errorf("the state is %q", u.State)
	}
	must(w.SetUserState(t.Context(), admin, ada.UserID, 5, account.Active))(t)
	if d := cmp.Diff([]string{"user north ada-north", "user north ada-north", "user north ada-north"}, w.take()); d != "" {
		t.Error(d)
	}
	trail := []string{
		`north admin-north user.updated ada-north {"fields":["name","email"]}`,
		`north admin-north user.updated ada-north {"fields":["email"]}`,
		`north admin-north user.role_changed ada-north {"from":"student","to":"teacher"}`,
		`north admin-north user.disabled ada-north {"from":"active","to":"disabled"}`,
		`north admin-north user.enabled ada-north {"from":"disabled","to":"active"}`,
	}
	if d := cmp.Diff(trail, w.trail()); d != "" {
		t.Error(d)
	}
	for field, change := range map[string]school.UserChange{
		"name": {Name: ptr("")}, "email": {Email: ptr("x")}, "role": {Role: ptr(auth.Role("x"))}, "state": {State: ptr(account.Erased)},
	} {
		want(t, field, errOf(update(6, change)), fault.Invalid, field)
	}
	want(t, "somebody's address", errOf(update(6, school.UserChange{Email: ptr("ADMIN@north.example")})), fault.Conflict, "email")
	w.execute("UPDATE users SET state = 'erased' WHERE id = $1", ada.UserID)
	want(t, "who is erased", errOf(update(6, school.UserChange{Name: ptr("X")})), fault.Conflict, "")
	for _, id := range []string{"nobody", "", "a\x00b", strings.Repeat("x", 200)} {
		want(t, "nobody", errOf(w.UpdateUser(t.Context(), admin, id, 1, school.UserChange{Name: ptr("X")})), fault.NotFound, "")
	}
}

// Who gets another address must not have a link on its way to the old one; who gets another role leaves what the old one gave.
func TestUpdateUser_EndsWhatWentWithTheOld(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin, teacher := w.person("north", auth.Admin, "admin"), w.person("north", auth.Teacher, "teacher")
	ada, mum := w.person("north", auth.Student, "ada"), w.person("north", auth.Parent, "mum")
	class := w.class(teacher, ada)
	must(w.AddGuardian(t.Context(), admin, mum.UserID, ada.UserID))(t)
	w.execute("INSERT INTO one_time_tokens (hash, purpose, tenant, user_id, created_at, expires_at) VALUES ('\\x01', 'reset', 'north', $1, now(), now() + '1 hour')", ada.UserID)
	must(w.UpdateUser(t.Context(), admin, ada.UserID, 1, school.UserChange{Email: ptr("new@north.example")}))(t)
	w.execute("DO $$ BEGIN IF EXISTS (SELECT FROM one_time_tokens WHERE used_at IS NULL) THEN RAISE 'the link still works'; END IF; END $$")
	must(w.UpdateUser(t.Context(), admin, ada.UserID, 2, school.UserChange{Role: ptr(auth.Parent)}))(t)
	if members := must(w.ListMembers(t.Context(), teacher, class.ID))(t); len(members) > 0 {
		t.Errorf("members are %v", members)
	}
	if pairs := must(w.ListGuardians(t.Context(), admin, mum.UserID, ""))(t); len(pairs) > 0 {
		t.Errorf("children are %v", pairs)
	}
}

func TestUpdateUser_RevokesAgainWhenAskedAgain(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin, ada := w.person("north", auth.Admin, "admin"), w.person("north", auth.Student, "ada")
	w.fail(fault.After(1, "the broker is away"))
	want(t, "without a broker", errOf(w.SetUserState(t.Context(), admin, ada.UserID, 1, account.Disabled)), fault.Unavailable, "")
	w.fail(nil)
	if u := must(w.SetUserState(t.Context(), admin, ada.UserID, 2, account.Disabled))(t); u.State != account.Disabled || u.Version != 2 {
		t.Errorf("they are %+v", u)
	}
	if d := cmp.Diff([]string{"user north ada-north"}, w.take()); d != "" {
		t.Error(d)
	}
}

func TestNames_AreThoseOfThePeopleWhoAreThere(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.person("north", auth.Student, "ada")
	w.person("south", auth.Student, "ben")
	w.person("north", auth.Teacher, "cyd")
	w.person("north", auth.Teacher, "dan")
	w.execute("UPDATE users SET state = 'erased' WHERE id = 'dan-north'")
	if d := cmp.Diff([]string{"Cyd", "Ada"}, must(w.Names(t.Context(), "north"))(t)); d != "" {
		t.Error(d)
	}
}

func TestUpdateUser_HasItsLimits(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	root, admin := w.person("north", auth.PlatformAdmin, "root"), w.person("north", auth.Admin, "admin")
	teacher, ada := w.person("north", auth.Teacher, "teacher"), w.person("north", auth.Student, "ada")
	south := w.person("south", auth.Admin, "boss")
	abroad := must(root.ActIn("south"))(t)
	forbidden := func(what string, by auth.Principal, id string, change school.UserChange) {
		t.Helper()
		want(t, what, errOf(w.UpdateUser(t.Context(), by, id, 1, change)), fault.Forbidden, "")
	}
	rename := school.UserChange{Name: ptr("New")}
	for _, by := range []auth.Principal{teacher, ada, w.person("north", auth.Parent, "mum"), {}} {
		forbidden("as "+string(by.Role), by, ada.UserID, rename)
	}
	forbidden("an admin renames a platform admin", admin, root.UserID, rename)
	forbidden("an admin unmakes a platform admin", admin, root.UserID, school.UserChange{Role: ptr(auth.Student)})
	forbidden("an admin makes a platform admin", admin, ada.UserID, school.UserChange{Role: ptr(auth.PlatformAdmin)})
	forbidden("an admin makes themselves one", admin, admin.UserID, school.UserChange{Role: ptr(auth.PlatformAdmin)})
	forbidden("one's own role", admin, admin.UserID, school.UserChange{Role: ptr(auth.Teacher)})
	forbidden("one's own state", root, root.UserID, school.UserChange{State: ptr(account.Disabled)})
	want(t, "the last admin", errOf(w.UpdateUser(t.Context(), abroad, south.UserID, 1, school.UserChange{Role: ptr(auth.Teacher)})), fault.Conflict, "")
	want(t, "the last admin", errOf(w.SetUserState(t.Context(), abroad, south.UserID, 1, account.Disabled)), fault.Conflict, "")
	want(t, "another tenant's", errOf(w.UpdateUser(t.Context(), south, ada.UserID, 1, rename)), fault.NotFound, "")
	if got := w.trail(); len(got) > 0 || len(w.take()) > 0 {
		t.Errorf("what was refused is on record as done: %v", got)
	}

	allowed := func(what string, by auth.Principal, id string, version int64, change school.UserChange) {
		t.Helper()
		if _, err := w.UpdateUser(t.Context(), by, id, version, change); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	allowed("one's own name", admin, admin.UserID, 1, rename)
	allowed("one's own role as it is", admin, admin.UserID, 2, school.UserChange{Role: ptr(auth.Admin)})
	allowed("another admin", root, admin.UserID, 2, school.UserChange{State: ptr(account.Disabled)})
	allowed("a platform admin makes another", abroad, south.UserID, 1, school.UserChange{Role: ptr(auth.PlatformAdmin)})
	allowed("and renames them", abroad, south.UserID, 2, rename)
}

// Somebody becomes a platform admin while an admin is about to disable them.
func TestUpdateUser_DecidesAboutTheVersionThatItChanges(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin, ada := w.person("north", auth.Admin, "admin"), w.person("north", auth.Teacher, "ada")
	promoting := &promoting{Store: w.store, promote: func() {
		w.execute("UPDATE users SET role = 'platform_admin', version = version + 1 WHERE id = $1", ada.UserID)
	}}
	s := must(school.New(school.Config{Store: promoting, Accounts: w, Hasher: w, Revoker: w, Audit: w}))(t)
	want(t, "a platform admin by now", errOf(s.SetUserState(t.Context(), admin, ada.UserID, 1, account.Disabled)), fault.Conflict, "version")
}

// promoting lets something happen between what is read and what is changed.
type promoting struct {
	school.Store
	promote func()
}

func (p *promoting) User(ctx context.Context, tenant, id string) (account.User, error) {
	u, err := p.Store.User(ctx, tenant, id)
	p.promote()
	return u, err
}

func TestGetUser_ShowsWhomTheCallerMaySee(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	who := map[string]auth.Principal{
		"admin": w.person("north", auth.Admin, "admin"), "teacher": w.person("north", auth.Teacher, "teacher"), "student": w.person("north", auth.Student, "student"),
		"parent": w.person("north", auth.Parent, "parent"), "other": w.person("south", auth.Admin, "other"),
	}
	sees := map[string]string{"admin": "admin teacher student parent", "teacher": "teacher student", "student": "student", "parent": "parent", "other": "other"}
	for by, p := range who {
		for target, q := range who {
			_, err := w.GetUser(t.Context(), p, q.UserID)
			if seen := strings.Contains(" "+sees[by]+" ", " "+target+" "); seen != (err == nil) || !seen && !fault.Is(err, fault.NotFound) {
				t.Errorf("%s asks for %s: got %v, want seen: %v", by, target, err, seen)
			}
		}
	}
	for _, by := range []string{"student", "parent"} {
		want(t, by+" lists users", errOf(w.ListUsers(t.Context(), who[by], school.UserFilter{})), fault.Forbidden, "")
	}
	want(t, "a teacher lists teachers", errOf(w.ListUsers(t.Context(), who["teacher"], school.UserFilter{Role: auth.Teacher})), fault.Forbidden, "")
}
