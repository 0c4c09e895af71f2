package school_test

import (
	"testing"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
)

func TestNew_RefusesWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := &town{tb: t}
	for _, cfg := range []school.Config{{}, {Accounts: w, Hasher: w, Revoker: w, Audit: w}} {
		if s, err := school.New(cfg); err == nil || s != nil {
			t.Errorf("%+v is enough", cfg)
		}
	}
}

func TestTenants_AreNoBusinessOfOthers(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	ctx := t.Context()
	admin := w.person("north", auth.Admin, "admin")
	for _, by := range []auth.Principal{admin, w.person("north", auth.Teacher, "grace"), w.person("north", auth.Student, "ada"), w.person("north", auth.Parent, "mum"), {}} {
		for what, err := range map[string]error{
			"list": errOf(w.ListTenants(ctx, by, school.TenantFilter{})), "get": errOf(w.GetTenant(ctx, by, "south")),
			"create": errOf(w.CreateTenant(ctx, by, school.TenantSpec{ID: "east", Name: "East"})),
			"update": errOf(w.UpdateTenant(ctx, by, "north", school.TenantChange{Name: ptr("X")})),
		} {
			want(t, what+" as "+by.UserID, err, fault.Forbidden, "")
		}
	}
	if got := must(w.GetTenant(ctx, admin, "north"))(t); got.ID != "north" {
		t.Errorf("an admin's own tenant is %+v", got)
	}
}
