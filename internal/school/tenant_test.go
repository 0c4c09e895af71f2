package school_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

func TestTenants_AreKeptByPlatformAdmins(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	root := w.person("north", auth.PlatformAdmin, "root")
	made := must(w.CreateTenant(t.Context(), root, school.TenantSpec{ID: "east", Name: " Ost\u0061\u0308 "}))(t)
	if made.Name != "Ost\u00e4" || made.State != school.Active || !made.Settings.Pseudonyms {
		t.Errorf("made %+v", made)
	}
	if d := cmp.Diff(made, must(w.GetTenant(t.Context(), root, "east"))(t)); d != "" {
		t.Error(d)
	}
	want(t, "the same id", errOf(w.CreateTenant(t.Context(), root, school.TenantSpec{ID: "east", Name: "East"})), fault.Conflict, "id")
	for name, spec := range map[string]school.TenantSpec{
		"id": {ID: "East", Name: "East"}, "name": {ID: "e", Name: "\u202eEast"},
		"settings.retention_days.audit": {ID: "e", Name: "E", Settings: &school.Settings{RetentionDays: school.RetentionDays{Audit: -1}}},
	} {
		want(t, name, errOf(w.CreateTenant(t.Context(), root, spec)), fault.Invalid, name)
	}
	settings := school.Settings{RetentionDays: school.RetentionDays{Tasks: 90}}
	changed := must(w.UpdateTenant(t.Context(), root, "east", school.TenantChange{Name: ptr("East"), Settings: &settings}))(t)
	if changed.Name != "East" || changed.Settings != settings || changed.State != school.Active {
		t.Errorf("changed to %+v", changed)
	}
	if got := must(w.Settings(t.Context(), "east"))(t); got != settings {
		t.Errorf("the settings are %+v", got)
	}
	if got := must(w.Settings(t.Context(), "elsewhere"))(t); got != school.DefaultSettings() {
		t.Errorf("an unknown tenant's settings are %+v", got)
	}
	want(t, "an unknown tenant", errOf(w.UpdateTenant(t.Context(), root, "elsewhere", school.TenantChange{Name: ptr("E")})), fault.NotFound, "")
	want(t, "an unknown state", errOf(w.UpdateTenant(t.Context(), root, "east", school.TenantChange{State: ptr("gone")})), fault.Invalid, "state")
	trail := []string{
		"east root-north tenant.created east",
		`east root-north tenant.updated east {"name":"East","settings":{"retention_days":{"tasks":90,"audit":0,"access":0},"pseudonyms":false}}`,
	}
	if d := cmp.Diff(trail, w.trail()); d != "" {
		t.Error(d)
	}
}

func TestUpdateTenant_SuspendsAndVoidsWhatWasIssued(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	root := w.person("north", auth.PlatformAdmin, "root")
	abroad := must(root.ActIn("south"))(t)
	suspend := school.TenantChange{State: ptr(school.Suspended)}
	for name, by := range map[string]auth.Principal{"at home": root, "from abroad": abroad} {
		want(t, "one's own tenant "+name, errOf(w.UpdateTenant(t.Context(), by, "north", suspend)), fault.Forbidden, "")
	}
	w.fail(fault.After(1, "the broker is away"))
	want(t, "without a broker", errOf(w.UpdateTenant(t.Context(), abroad, "south", suspend)), fault.Unavailable, "")
	w.fail(nil)
	if got := must(w.UpdateTenant(t.Context(), root, "south", suspend))(t); got.State != school.Suspended {
		t.Errorf("it is %s", got.State)
	}
	if d := cmp.Diff([]string{"tenant south"}, w.take()); d != "" {
		t.Errorf("asked again: %s", d)
	}
	for ahead, void := range map[time.Duration]bool{0: true, 5 * time.Second: true, time.Minute: false} {
		late := auth.Principal{UserID: "ann", Tenant: "south", Role: auth.Teacher, IssuedAt: time.Now().Add(ahead)}
		if w.void.Revoked(late) != void {
			t.Errorf("what was issued %v later, on another clock or by a refresh under way, is void: %v, want %v", ahead, !void, void)
		}
	}
	if got := must(w.UpdateTenant(t.Context(), root, "south", school.TenantChange{State: ptr(school.Active)}))(t); got.State != school.Active || len(w.take()) > 0 {
		t.Errorf("it is %s again", got.State)
	}
	if d := cmp.Diff([]string{`south root-north tenant.activated south {"from":"suspended","to":"active"}`}, w.trail()); d != "" {
		t.Error(d)
	}
}

func TestListTenants_GoesPageByPage(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	root := w.person("north", auth.PlatformAdmin, "root")
	for i := range 5 {
		if _, err := w.CreateTenant(t.Context(), root, school.TenantSpec{ID: fmt.Sprint("t", i), Name: "T"}); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	f := school.TenantFilter{State: school.Active, Limit: 2}
	for {
		page := must(w.ListTenants(t.Context(), root, f))(t)
		for _, found := range page.Tenants {
			ids = append(ids, found.ID)
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	if got := strings.Join(ids, " "); got != "t4 t3 t2 t1 t0 south north" {
		t.Errorf("listed %s", got)
	}
	f.Cursor = must(w.ListTenants(t.Context(), root, school.TenantFilter{Limit: 1}))(t).Next
	want(t, "another list's cursor", errOf(w.ListTenants(t.Context(), root, f)), fault.Invalid, "cursor")
	want(t, "the limit", errOf(w.ListTenants(t.Context(), root, school.TenantFilter{Limit: school.MaxPage + 1})), fault.Invalid, "limit")
	want(t, "the state", errOf(w.ListTenants(t.Context(), root, school.TenantFilter{State: "x"})), fault.Invalid, "state")
}

func TestSettings_AreTheDefaultOnesWhereNothingIsSaid(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]school.Settings{
		`{}`:                    {Pseudonyms: true},
		`{"pseudonyms": false}`: {},
		`{"retention_days": {"audit": 7}, "later": 1}`: {Pseudonyms: true, RetentionDays: school.RetentionDays{Audit: 7}},
	} {
		var got school.Settings
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: got %+v (%v)", text, got, err)
		}
	}
	var got school.Settings
	if err := json.Unmarshal([]byte(`{"pseudonyms": "no"}`), &got); err == nil {
		t.Error("a text is taken for yes or no")
	}
}

func TestService_DoesWhatItCannotPutOnRecord(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	root := w.person("north", auth.PlatformAdmin, "root")
	w.fail(errors.New("no broker"))
	if _, err := w.CreateTenant(t.Context(), root, school.TenantSpec{ID: "east", Name: "East"}); err != nil {
		t.Error(err)
	}
	if _, err := w.GetTenant(t.Context(), root, "east"); err != nil {
		t.Error(err)
	}
}
