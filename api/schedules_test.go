package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestSchedules_LifeOverHTTP(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	key := http.Header{"Idempotency-Key": {"daily"}}
	first := k.do(ask{method: "POST", path: "/api/v1/schedules", body: daily, header: key})
	k.want(first, http.StatusCreated, "")
	made := decode[schedule.Schedule](t, first)
	if made.State.NextTick == nil || made.CreatedBy != "ada" {
		t.Errorf("got %s", first.raw)
	}
	k.want(k.do(ask{method: "POST", path: "/api/v1/schedules", body: daily, header: key}), http.StatusOK, "")
	path := "/api/v1/schedules/" + made.ID

	got := k.do(ask{method: "POST", path: "/api/v1/schedules/preview?count=3", body: daily})
	k.want(got, http.StatusOK, "")
	if ticks := decode[api.Ticks](t, got).Ticks; len(ticks) != 3 || ticks[0].Before(time.Now()) {
		t.Errorf("got %v", ticks)
	}
	got = k.do(ask{method: "POST", path: "/api/v1/schedules", body: strings.Replace(daily, "0 7 * * 1-5", "0 0 31 2 *", 1)})
	k.want(got, http.StatusBadRequest, "invalid")
	if len(got.Error.Details) != 1 || got.Error.Details[0].Field != "cron" {
		t.Errorf("31 February: %s", got.raw)
	}

	k.want(k.do(ask{method: "PUT", path: path + "?revision=7", body: daily}), http.StatusConflict, "conflict")
	k.want(k.do(ask{method: "PUT", path: path + "?revision=1", body: strings.Replace(daily, "0 7", "0 8", 1)}), http.StatusOK, "")
	k.want(k.do(ask{method: "POST", path: path + "/pause", body: `{"reason":"holidays"}`}), http.StatusOK, "")
	got = k.do(ask{method: "GET", path: path})
	k.want(got, http.StatusOK, "")
	if s := decode[schedule.Schedule](t, got); s.Paused == nil || s.Paused.Reason != "holidays" || s.Cron != "0 8 * * 1-5" || s.State.NextTick != nil {
		t.Errorf("got %s", got.raw)
	}
	k.want(k.do(ask{method: "POST", path: path + "/resume"}), http.StatusOK, "")

	got = k.do(ask{method: "POST", path: path + "/trigger"})
	k.want(got, http.StatusOK, "")
	run := k.do(ask{method: "GET", path: decode[api.Triggered](t, got).URL})
	k.want(run, http.StatusOK, "")
	if made2 := decode[task.Task](t, run); made2.Origin == nil || made2.Origin.Schedule != made.ID {
		t.Errorf("the run does not know its schedule: %s", run.raw)
	}
	taken := k.do(ask{method: "POST", path: "/api/v1/tasks", body: goodItem, header: http.Header{"Idempotency-Key": {schedule.Key(made.ID, time.Now())}}})
	k.want(taken, http.StatusBadRequest, "invalid")
	k.want(k.do(ask{method: "DELETE", path: path}), http.StatusOK, "")
	k.want(k.do(ask{method: "GET", path: path}), http.StatusNotFound, "not_found")
}

func TestIncidentsAndUsage_AskTheLedgerForOnesOwnTenant(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	got := k.admin("GET", "/api/v1/admin/incidents?kind=quiz_generator&cause=provider&search=503&order=count&limit=7", "")
	k.want(got, http.StatusOK, "")
	if page := decode[api.Incidents](t, got); len(page.Incidents) != 1 || page.Incidents[0].Count != 412 || page.Next != "c2" {
		t.Errorf("got %s", got.raw)
	}
	want := task.IncidentFilter{Tenant: "school", Kinds: []string{"quiz"}, Causes: []events.Cause{"provider"}, Search: "503", Order: task.ByCount, Limit: 7}
	if diff := cmp.Diff(want, k.engine.incidents); diff != "" {
		t.Errorf("filter (-want +got):\n%s", diff)
	}
	got = k.admin("GET", "/api/v1/admin/usage?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&by=kind&by=day", "")
	k.want(got, http.StatusOK, "")
	if rows := decode[api.UsageReport](t, got).Rows; len(rows) != 1 || rows[0].MicroUSD != 1_250_000 || len(k.engine.usage.By) != 2 {
		t.Errorf("got %s by %v", got.raw, k.engine.usage.By)
	}
	k.want(k.admin("GET", "/api/v1/admin/usage?to=2026-01-01T00:00:00Z&from=2026-02-01T00:00:00Z", ""), http.StatusBadRequest, "invalid")
}

func TestCampaigns_PlanStartAndStop(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.deadLettersOf(3)
	got := k.admin("POST", "/api/v1/admin/campaigns/plan", `{"action":"replay","filter":{"causes":["bug"]},"reason":"mended","edit":{"num_questions":2}}`)
	k.want(got, http.StatusOK, "")
	plan := decode[campaign.Plan](t, got)
	if plan.Matched != 3 || len(plan.Sample) != 3 || !strings.Contains(string(plan.Sample[0].Input), `"num_questions":2`) {
		t.Errorf("got %s", got.raw)
	}
	got = k.admin("POST", "/api/v1/admin/campaigns", `{"action":"replay","filter":{},"reason":"mended","edit":{"num_questions":99}}`)
	k.want(got, http.StatusBadRequest, "invalid")
	got = k.admin("POST", "/api/v1/admin/campaigns", `{"action":"replay","filter":{"causes":["bug"]},"reason":"mended","canary":1}`)
	k.want(got, http.StatusAccepted, "")
	c := decode[campaign.Campaign](t, got)
	if c.State != campaign.Planned || c.Counts.Matched != 3 || c.By != "root" {
		t.Errorf("got %s", got.raw)
	}
	got = k.admin("POST", "/api/v1/admin/campaigns/"+c.ID+"/stop", `{"reason":"wrong filter"}`)
	k.want(got, http.StatusOK, "")
	if c := decode[campaign.Campaign](t, got); c.State != campaign.Stopped {
		t.Errorf("got %s", got.raw)
	}
	got = k.admin("GET", "/api/v1/admin/campaigns", "")
	k.want(got, http.StatusOK, "")
	if all := decode[api.Campaigns](t, got).Campaigns; len(all) != 1 {
		t.Errorf("got %s", got.raw)
	}
	k.want(k.do(ask{method: "GET", path: "/api/v1/admin/campaigns", as: token(t, auth.Teacher, "ada")}), http.StatusForbidden, "forbidden")
	if entries := k.engine.entries; len(entries) != 2 || entries[1].Action != "campaign.stopped" {
		t.Errorf("on record: %+v", entries)
	}
}
