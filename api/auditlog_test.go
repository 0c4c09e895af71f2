package api_test

import (
	"net/http"
	"testing"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
)

func TestAudit_IsFiltered(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, e := range []audit.Entry{
		{Actor: "root", Action: "user.disabled", Target: "eve"}, {Actor: "root", Action: "user.enabled", Target: "eve"},
		{Actor: "ada", Action: "user.disabled", Target: "bob"}, {Actor: "root", Action: "policy.changed"}, {Tenant: "college", Actor: "root", Action: "user.disabled", Target: "eve"},
	} {
		if e.Tenant == "" {
			e.Tenant = "school"
		}
		e.At, e.Outcome = at, audit.Done
		if err := k.engine.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]int{
		"": 4, "?actor=root": 3, "?action=user.": 3, "?action=user.disabled": 2, "?target=eve": 2, "?actor=root&action=user.disabled&target=eve": 1, "?before=3": 2,
		"?from=2026-01-02T03:04:05Z": 4, "?to=2026-01-02T03:04:05Z": 0, "?from=2026-01-01T00:00:00Z&to=2026-01-03T00:00:00Z": 4, "?limit=1": 1,
	} {
		got := k.admin("GET", "/api/v1/admin/audit"+query, "")
		k.want(got, http.StatusOK, "")
		if page := decode[api.AuditPage](t, got); len(page.Entries) != want || (query == "?limit=1") != (page.Next != 0) {
			t.Errorf("%q: %d entries, next %d, want %d", query, len(page.Entries), page.Next, want)
		}
	}
	for _, path := range []string{"audit", "access-log"} {
		got := k.admin("GET", "/api/v1/admin/"+path+"?from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z", "")
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, "to", "is not after from")
	}
	k.want(k.admin("GET", "/api/v1/admin/audit?action=User", ""), http.StatusBadRequest, "invalid")
}

func TestAccessLog_IsOfOnesOwnTenant(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	got := k.admin("GET", "/api/v1/admin/access-log?student=eve&actor=ada&from=2026-01-01T00:00:00Z&cursor=c&limit=5", "")
	k.want(got, http.StatusOK, "")
	k.wantAsked(`accesses in school by "ada" to "eve" from true to false "c" 5`)
	if page := decode[api.AccessPage](t, got); len(page.Accesses) != 1 || page.Next != "c2" {
		t.Errorf("got %s", got.raw)
	}
	k.want(k.asking(auth.Teacher, "ada", "GET", "/admin/access-log", ""), http.StatusForbidden, "forbidden")
}
