package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestExplain_SaysWhyATaskIsWhereItIs(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	path := "/api/v1/tasks/" + id + "/explain"
	want := func(code task.Reason, words string) {
		t.Helper()
		got := k.do(ask{method: "GET", path: path})
		k.want(got, http.StatusOK, "")
		if x := decode[task.Explanation](t, got); x.Code != code || !strings.Contains(x.Message, words) || x.TaskID != id {
			t.Errorf("got %+v, want %s with %q", x, code, words)
		}
	}
	want(task.ReasonDispatched, "on its way")
	k.engine.explains = map[string]task.Explanation{id: {TaskID: id, State: task.Queued, Code: task.ReasonBehind, Message: "behind 14 tasks of lane normal", Ahead: 14}}
	want(task.ReasonBehind, "behind 14 tasks")
	k.engine.away = true
	want(task.ReasonNoDispatcher, "no dispatcher answers")
	k.cancel(id)
	want(task.ReasonEnded, "cancelled")
	k.want(k.do(ask{method: "GET", path: path, as: token(t, auth.Student, "eve")}), http.StatusNotFound, "not_found")
}

func TestSignal_GoesOnRecord(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	path := "/api/v1/tasks/" + id + "/signals/"
	got := k.do(ask{method: "POST", path: path + "approved", body: `{"data":{"by":"the head"}}`})
	k.want(got, http.StatusAccepted, "")
	if decode[task.Task](t, got).Signals != 1 {
		t.Errorf("got %s", got.Data)
	}
	history, err := k.memory.History(t.Context(), "school", id, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := events.DataAs[events.Signalled](history[len(history)-1])
	if err != nil || s.Name != "approved" || string(s.Data) != `{"by":"the head"}` || s.By != "ada" {
		t.Errorf("got %+v, %v", s, err)
	}
	k.want(k.do(ask{method: "POST", path: path + "Not%20Good"}), http.StatusBadRequest, "invalid")
	k.want(k.do(ask{method: "POST", path: path + "approved", body: `{"data":"` + strings.Repeat("x", task.MaxSignal) + `"}`}), http.StatusRequestEntityTooLarge, "too_large")
	k.want(k.do(ask{method: "POST", path: path + "approved", as: token(t, auth.Teacher, "bob")}), http.StatusForbidden, "forbidden")
	k.cancel(id)
	k.want(k.do(ask{method: "POST", path: path + "approved"}), http.StatusConflict, "conflict")
}

func (k *kit) cancel(id string) {
	k.t.Helper()
	k.want(k.do(ask{method: "DELETE", path: "/api/v1/tasks/" + id}), http.StatusOK, "")
}

func TestSubmit_TakesTimes(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	body := func(fields string) string { return `{"kind":"quiz","input":` + quizInput + `,` + fields + `}` }
	got := k.do(ask{method: "POST", path: "/api/v1/tasks", body: body(fmt.Sprintf(`"run_at":%q,"queue_ttl_seconds":60,"timeout_seconds":30,"cost":4.5`, at.Format(time.RFC3339)))})
	k.want(got, http.StatusAccepted, "")
	made := decode[api.Submitted](t, got).Task
	if made.NotBefore == nil || !made.NotBefore.Equal(at) || !made.ExpiresAt.Equal(at.Add(time.Minute)) || made.TimeoutMS != 30_000 || made.Cost != 4.5 {
		t.Errorf("got %+v", made)
	}
	got = k.do(ask{method: "POST", path: "/api/v1/tasks", body: body(`"delay_seconds":600`)})
	k.want(got, http.StatusAccepted, "")
	if made := decode[api.Submitted](t, got).Task; made.NotBefore == nil || time.Until(*made.NotBefore) < 598*time.Second {
		t.Errorf("got %v", made.NotBefore)
	}
	got = k.do(ask{method: "POST", path: "/api/v1/agents/quiz/generate?run_at=" + at.Format(time.RFC3339), body: quizInput})
	k.want(got, http.StatusAccepted, "")
	if made := decode[api.Submitted](t, got).Task; made.NotBefore == nil || !made.NotBefore.Equal(at) {
		t.Errorf("got %v", made.NotBefore)
	}
	for fields, field := range map[string]string{
		fmt.Sprintf(`"run_at":%q,"delay_seconds":5`, at.Format(time.RFC3339)):                                        "delay_seconds",
		fmt.Sprintf(`"run_at":%q`, at.Add(15*24*time.Hour).Format(time.RFC3339)):                                     "run_at",
		fmt.Sprintf(`"run_at":%q,"deadline":%q`, at.Format(time.RFC3339), at.Add(-time.Minute).Format(time.RFC3339)): "deadline",
		`"timeout_seconds":0`: "timeout_seconds",
		`"cost":-1`:           "cost",
	} {
		got := k.do(ask{method: "POST", path: "/api/v1/tasks", body: body(fields)})
		k.want(got, http.StatusBadRequest, "invalid")
		if len(got.Error.Details) == 0 || got.Error.Details[0].Field != field {
			t.Errorf("%s: got %s", fields, got.raw)
		}
	}
}

func TestCancelTasks_ByFilter(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, class := range []string{"5a", "5a", "5b"} {
		got := k.do(ask{method: "POST", path: "/api/v1/tasks", body: `{"kind":"quiz","input":` + quizInput + `,"labels":{"class":"` + class + `"}}`})
		k.want(got, http.StatusAccepted, "")
	}
	ask5a := func(extra, as string) api.CancelReport {
		t.Helper()
		got := k.do(ask{method: "POST", path: "/api/v1/tasks/cancel", body: `{"labels":{"class":"5a"}` + extra + `}`, as: as})
		k.want(got, http.StatusOK, "")
		return decode[api.CancelReport](t, got)
	}
	if r := ask5a(`,"dry_run":true`, ""); r.Matched != 2 || r.Cancelled != 0 || len(r.TaskIDs) != 2 {
		t.Errorf("dry run: %+v", r)
	}
	if r := ask5a("", token(t, auth.Teacher, "bob")); r.Matched != 0 {
		t.Errorf("another teacher's tasks: %+v", r)
	}
	if r := ask5a(`,"max":1`, ""); r.Cancelled != 1 || !r.More {
		t.Errorf("at most one: %+v", r)
	}
	if r := ask5a("", ""); r.Cancelled != 1 || r.More {
		t.Errorf("the rest: %+v", r)
	}
	if r := ask5a("", ""); r.Matched != 0 {
		t.Errorf("again: %+v", r)
	}
	k.want(k.do(ask{method: "POST", path: "/api/v1/tasks/cancel", body: `{"states":["completed"]}`}), http.StatusBadRequest, "invalid")
}

func TestAgents_StatusAndMetrics(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	began := time.Now().Add(-10 * time.Minute)
	k.engine.workers = []task.Worker{
		{Name: "b", StartedAt: began, Slots: 10, Busy: 3, Kinds: []task.WorkerKind{{Kind: "quiz", Running: 3, Completed: 30, Failed: 10, P50MS: 100, P95MS: 400}}},
		{Name: "a", StartedAt: began, Slots: 10, Kinds: []task.WorkerKind{{Kind: "quiz", Completed: 10, P50MS: 200, P95MS: 900, LastError: "secret of another school", Failing: true}}},
	}
	k.engine.backlog = []task.Backlog{{Kind: "quiz", Pending: 14, Running: 3, OldestAge: 7, Load: 17}}
	got := k.operator("GET", "/api/v1/agents/status", "")
	k.want(got, http.StatusOK, "")
	f := decode[api.Fleet](t, got)
	if f.Slots != 20 || f.Busy != 3 || len(f.Workers) != 2 || f.Workers[0].Name != "a" || f.Workers[0].State != "error" || f.Workers[1].State != "busy" {
		t.Errorf("got %+v", f)
	}
	if got := k.do(ask{method: "GET", path: "/api/v1/agents/status"}); strings.Contains(string(got.raw), "secret") {
		t.Error("a teacher reads errors of other schools' tasks")
	}
	if !strings.Contains(string(got.raw), "secret") {
		t.Error("who operates the platform does not read what workers failed with")
	}
	elsewhere := issue(t, auth.Principal{UserID: "ada", Tenant: "college", Role: auth.Admin}, time.Hour)
	if got := k.do(ask{method: "GET", path: "/api/v1/agents/status", as: elsewhere}); strings.Contains(string(got.raw), "secret") {
		t.Error("the admin of a school reads errors of other schools' tasks")
	}
	k.want(k.do(ask{method: "GET", path: "/api/v1/agents/status", as: token(t, auth.Student, "eve")}), http.StatusForbidden, "forbidden")

	got = k.do(ask{method: "GET", path: "/api/v1/agents/quiz/metrics"})
	k.want(got, http.StatusOK, "")
	m := decode[api.KindMetric](t, got)
	want := api.KindMetric{Kind: "quiz", Load: 17, Pending: 14, Running: 3, OldestAgeSeconds: 7, Slots: 20, Workers: 2, Completed: 40, Failed: 10, SuccessRate: 0.8, PerMinute: m.PerMinute, P50MS: 125, P95MS: 900}
	if diff := cmp.Diff(want, m); diff != "" || m.PerMinute < 3.9 || m.PerMinute > 4.1 {
		t.Errorf("(-want +got):\n%s", diff)
	}
	k.engine.away = true
	k.want(k.do(ask{method: "GET", path: "/api/v1/agents/quiz/metrics"}), http.StatusServiceUnavailable, "unavailable")
	got = k.do(ask{method: "GET", path: "/api/v1/agents/metrics"})
	k.want(got, http.StatusOK, "")
	if all := decode[api.KindMetrics](t, got); all.Dispatcher || len(all.Kinds) != 3 || all.Kinds[2].Kind != chat.Kind {
		t.Errorf("got %+v", all)
	}
}

// operator asks as who runs the platform.
func (k *kit) operator(method, path, body string) answer {
	k.t.Helper()
	return k.do(ask{method: method, path: path, body: body, as: token(k.t, auth.PlatformAdmin, "root")})
}

func TestPolicy_IsReplacedByRevisionAndOnRecord(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	const path = "/api/v1/admin/policy"
	k.want(k.do(ask{method: "GET", path: path}), http.StatusForbidden, "forbidden")
	got := k.operator("PUT", path, `{"revision":0,"fairness":{"outstanding":5},"limits":[{"name":"quizzes","kind":"quiz","max":3}]}`)
	k.want(got, http.StatusOK, "")
	if p := decode[policy.Policy](t, got); p.Revision != 1 || p.Fairness.Outstanding != 5 {
		t.Errorf("got %+v", p)
	}
	k.want(k.operator("PUT", path, `{"revision":0,"fairness":{}}`), http.StatusConflict, "conflict")
	got = k.operator("PUT", path, `{"revision":1,"fairness":{},"limits":[{"name":"x","kind":"nonsense","max":-1}]}`)
	k.want(got, http.StatusBadRequest, "invalid")
	if len(got.Error.Details) == 0 || !strings.HasPrefix(got.Error.Details[0].Field, "limits") {
		t.Errorf("got %s", got.raw)
	}

	k.engine.races = 2
	got = k.operator("POST", "/api/v1/admin/agents/quiz_generator/pause", `{"reason":"the model is being changed"}`)
	k.want(got, http.StatusOK, "")
	if p := decode[policy.Policy](t, got); p.Paused["quiz"].Reason != "the model is being changed" || p.Paused["quiz"].By != "root" || len(p.Limits) != 1 {
		t.Errorf("paused: %+v", p)
	}
	got = k.operator("POST", "/api/v1/admin/agents/quiz/resume", "")
	k.want(got, http.StatusOK, "")
	if p := decode[policy.Policy](t, got); len(p.Paused) != 0 {
		t.Errorf("resumed: %+v", p)
	}
	got = k.operator("POST", "/api/v1/admin/budgets/top-up", `{"scope":"tenant","id":"school","period":"month","usd":25,"reason":"exam week"}`)
	k.want(got, http.StatusOK, "")
	if p := decode[policy.Policy](t, got); len(p.TopUps) != 1 || p.TopUps[0].USD != 25 || p.TopUps[0].By != "root" || p.TopUps[0].From.Day() != 1 {
		t.Errorf("topped up: %+v", p.TopUps)
	}

	got = k.operator("GET", "/api/v1/admin/audit?limit=3", "")
	k.want(got, http.StatusOK, "")
	page := decode[api.AuditPage](t, got)
	var actions []string
	for _, e := range page.Entries {
		actions = append(actions, e.Action+" "+e.Target+" "+e.Outcome)
	}
	if diff := cmp.Diff([]string{"budget.topped_up tenant school done", "kind.resumed quiz done", "kind.paused quiz done"}, actions); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	if older := k.operator("GET", fmt.Sprintf("/api/v1/admin/audit?before=%d", page.Next), ""); strings.Count(string(older.raw), `"kind.paused"`) != 2 {
		t.Errorf("the two lost races are not on record: %s", older.raw)
	}
}
