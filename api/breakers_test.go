package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/breaker"
)

func TestBreakers_AreListedAndClosedOnRecord(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	now := time.Now().UTC()
	k.breakers.states = []breaker.ProcessState{
		{Process: "api-1", Breakers: []breaker.State{{Name: "redis", State: breaker.Open, Failures: 10, OpenedAt: now, RetryAt: now.Add(15 * time.Second)}}},
		{Process: "worker-1"},
	}
	got := k.operator("GET", "/api/v1/admin/breakers", "")
	k.want(got, http.StatusOK, "")
	list := decode[api.BreakerList](t, got).Processes
	if len(list) != 2 || list[0].Breakers[0].State != "open" || list[1].Breakers == nil {
		t.Errorf("got %s", got.raw)
	}
	k.want(k.operator("POST", "/api/v1/admin/breakers/reset", `{"name":"redis","process":"api-1"}`), http.StatusOK, "")
	k.want(k.operator("POST", "/api/v1/admin/breakers/reset", `{"name":"nothing"}`), http.StatusNotFound, "not_found")
	k.want(k.operator("POST", "/api/v1/admin/breakers/reset", `{"name":"a\nb"}`), http.StatusBadRequest, "invalid")
	if len(k.breakers.reset) != 1 || k.breakers.reset[0] != "api-1 redis" {
		t.Errorf("closed: %v", k.breakers.reset)
	}
	var record []string
	for _, e := range k.engine.entries {
		record = append(record, e.Action+" "+e.Target+" "+e.Outcome)
	}
	if len(record) != 2 || record[0] != "breaker.reset redis done" || record[1] != "breaker.reset nothing not_found" {
		t.Errorf("on record: %q", record)
	}
	k.want(k.do(ask{method: "GET", path: "/api/v1/admin/breakers", as: token(t, auth.Admin, "root")}), http.StatusForbidden, "forbidden")
}
