package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// hooks is the part of identity that keeps webhooks. Their secrets are "whsec_" and what they are of.
type hooks struct{ *identity }

var _ api.Webhooks = hooks{}

func hook(id string) callback.Endpoint {
	return callback.Endpoint{
		ID: id, Tenant: "school", URL: "https://hooks.example.org/in", State: callback.Active, CreatedAt: at, UpdatedAt: at, Version: 1,
		Secrets: callback.Secrets{Current: []byte("whsec_sealed")},
	}
}

func delivery(id string) callback.Delivery {
	return callback.Delivery{
		ID: id, Tenant: "school", EndpointID: "hook1", TaskID: "t1", EventType: events.TypeCompleted, Seq: 7, State: callback.Dead, Attempt: 9, LastStatus: 500,
		LastError: "it answered 500", CreatedAt: at, FinishedAt: &at, Body: []byte("whsec_body"),
	}
}

func (d hooks) Create(_ context.Context, tenant string, s callback.Spec) (callback.Endpoint, string, error) {
	if _, err := callback.CheckURL("url", s.URL, nil); err != nil {
		return callback.Endpoint{}, "", err
	}
	return hook("hook1"), "whsec_hook1", d.note("create hook in %s: %+v", tenant, s)
}

func (d hooks) List(_ context.Context, tenant string) ([]callback.Endpoint, error) {
	return []callback.Endpoint{hook("hook1")}, d.note("hooks of %s", tenant)
}

func (d hooks) Get(_ context.Context, tenant, id string) (callback.Endpoint, error) {
	return hook(id), d.note("hook %s of %s", id, tenant)
}

func (d hooks) Update(_ context.Context, tenant, id string, version int64, s callback.Spec) (callback.Endpoint, error) {
	if version != 1 {
		return callback.Endpoint{}, fault.New(fault.Conflict, "the endpoint has version 1")
	}
	return hook(id), d.note("change hook %s of %s at %d: %+v", id, tenant, version, s)
}

func (d hooks) Delete(_ context.Context, tenant, id string) error {
	return d.note("delete hook %s of %s", id, tenant)
}

func (d hooks) Rotate(_ context.Context, tenant, id string, overlap time.Duration) (callback.Endpoint, string, error) {
	return hook(id), "whsec_next", d.note("rotate hook %s of %s %s", id, tenant, overlap)
}

func (d hooks) TaskSecrets(_ context.Context, tenant string) ([]string, error) {
	return []string{"whsec_tasks"}, d.note("task secrets of %s", tenant)
}

func (d hooks) RotateTaskSecret(_ context.Context, tenant string, overlap time.Duration) (string, error) {
	return "whsec_tasks2", d.note("rotate task secret of %s %s", tenant, overlap)
}

func (d hooks) Test(_ context.Context, tenant, id string) (callback.Delivery, error) {
	return delivery("d1"), d.note("test hook %s of %s", id, tenant)
}

func (d hooks) Deliveries(_ context.Context, f callback.DeliveryFilter) (callback.DeliveryPage, error) {
	return callback.DeliveryPage{Deliveries: []callback.Delivery{delivery("d1")}, Next: "c2"}, d.note("deliveries %+v", f)
}

func (d hooks) Delivery(_ context.Context, tenant, id string) (callback.Delivery, error) {
	return delivery(id), d.note("delivery %s of %s", id, tenant)
}

func (d hooks) Replay(_ context.Context, tenant, id string) error {
	return d.note("replay %s of %s", id, tenant)
}

func (d hooks) ReplayDead(_ context.Context, tenant, endpoint string) (int, error) {
	return callback.MaxReplay, d.note("replay all of hook %s of %s", endpoint, tenant)
}

func TestWebhooks_Routes(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	const spec = `{"url":"https://hooks.example.org/in?token=hunter2","description":"grades","events":["task.completed","task.failed"]}`
	const asked = `{URL:https://hooks.example.org/in?token=hunter2 Description:grades Events:[task.completed task.failed] Disabled:false}`
	for _, c := range []struct {
		method, path, body string
		status             int
		asked              string
		action             string // on the audit record; empty: none
		secret             string // that the answer shows
	}{
		{"GET", "/webhooks", "", 200, "hooks of school", "", ""},
		{"POST", "/webhooks", spec, 201, "create hook in school: " + asked, "webhook.created hook1", "whsec_hook1"},
		{"GET", "/webhooks/hook1", "", 200, "hook hook1 of school", "", ""},
		{"PUT", "/webhooks/hook1?version=1", spec, 200, "change hook hook1 of school at 1: " + asked, "webhook.changed hook1", ""},
		{"DELETE", "/webhooks/hook1", "", 200, "delete hook hook1 of school", "webhook.deleted hook1", ""},
		{"POST", "/webhooks/hook1/rotate", "", 200, "rotate hook hook1 of school 24h0m0s", "webhook.secret_rotated hook1", "whsec_next"},
		{"POST", "/webhooks/hook1/rotate", `{"overlap_seconds":0}`, 200, "rotate hook hook1 of school 0s", "webhook.secret_rotated hook1", "whsec_next"},
		{"POST", "/webhooks/hook1/test", "", 202, "test hook hook1 of school", "webhook.tested hook1", ""},
		{"POST", "/webhooks/hook1/replay", "", 200, "replay all of hook hook1 of school", "webhook.replayed hook1", ""},
		{"GET", "/webhooks/task-secret", "", 200, "task secrets of school", "webhook.task_secret_read ", "whsec_tasks"},
		{"POST", "/webhooks/task-secret/rotate", `{"overlap_seconds":60}`, 200, "rotate task secret of school 1m0s", "webhook.task_secret_rotated ", "whsec_tasks2"},
		{"GET", "/webhooks/deliveries?endpoint=hook1&task=t1&state=dead&cursor=c&limit=3", "", 200, "deliveries {Tenant:school EndpointID:hook1 TaskID:t1 State:dead Cursor:c Limit:3}", "", ""},
		{"GET", "/webhooks/deliveries/d1", "", 200, "delivery d1 of school", "", ""},
		{"POST", "/webhooks/deliveries/d1/replay", "", 200, "replay d1 of school", "webhook.delivery_replayed d1", ""},
	} {
		before := len(k.engine.entries)
		got := k.asking(auth.Admin, "root", c.method, c.path, c.body)
		k.want(got, c.status, "")
		k.wantAsked(c.asked)
		var action string
		if entries := k.engine.entries[before:]; len(entries) == 1 {
			action = entries[0].Action + " " + entries[0].Target
			if strings.Contains(string(entries[0].Detail), "hunter2") || strings.Contains(string(entries[0].Detail), "whsec_") {
				t.Errorf("%s %s: a secret is on record: %s", c.method, c.path, entries[0].Detail)
			}
		}
		if action != c.action {
			t.Errorf("%s %s: on record is %q, want %q", c.method, c.path, action, c.action)
		}
		if shown := strings.Count(string(got.raw), "whsec_"); shown != strings.Count(c.secret, "whsec_") || !strings.Contains(string(got.raw), c.secret) {
			t.Errorf("%s %s: the answer shows %d secrets, want %q: %s", c.method, c.path, shown, c.secret, got.raw)
		}
	}
	if log := k.log.String(); strings.Contains(log, "whsec_") || strings.Contains(log, "hunter2") {
		t.Error("the log holds a secret")
	}
}

func TestWebhooks_RefuseWhatIsNotInTheContract(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for body, field := range map[string]string{
		`{"url":""}`:                   "url",
		`{"description":""}`:           "url",
		`{"url":"https://127.0.0.1/"}`: "url",
		`{"url":"https://hooks.example.org/","events":["task.step"]}`:                           "events[0]",
		`{"url":"https://hooks.example.org/","events":["task.failed","task.failed"]}`:           "events",
		`{"url":"https://hooks.example.org/","description":"` + strings.Repeat("x", 201) + `"}`: "description",
		`{"url":"https://hooks.example.org/","secret":"whsec_mine"}`:                            "secret",
	} {
		got := k.asking(auth.Admin, "root", "POST", "/webhooks", body)
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, field, "")
	}
	for _, path := range []string{"/webhooks/deliveries?state=lost", "/webhooks/deliveries?limit=201", "/webhooks/a%20b"} {
		k.want(k.asking(auth.Admin, "root", "GET", path, ""), http.StatusBadRequest, "invalid")
	}
	k.want(k.asking(auth.Admin, "root", "POST", "/webhooks/hook1/rotate", `{"overlap_seconds":604801}`), http.StatusBadRequest, "invalid")
	k.want(k.asking(auth.Admin, "root", "PUT", "/webhooks/hook1", `{"url":"https://hooks.example.org/"}`), http.StatusBadRequest, "invalid")
	k.want(k.asking(auth.Admin, "root", "PUT", "/webhooks/hook1?version=2", `{"url":"https://hooks.example.org/"}`), http.StatusConflict, "conflict")
	last := k.engine.entries[len(k.engine.entries)-1]
	if last.Action != "webhook.changed" || last.Outcome != "conflict" {
		t.Errorf("what was refused is not on record: %+v", last)
	}
}

func TestSubmit_TakesACallbackURL(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	body := func(url string) string {
		return `{"kind":"quiz","input":` + quizInput + `,"callback_url":"` + url + `"}`
	}
	const good = "https://hooks.example.org/in?token=hunter2"
	queued := func(id string) string {
		t.Helper()
		history, err := k.memory.History(t.Context(), "school", id, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		q, err := events.DataAs[events.Queued](history[0])
		if err != nil {
			t.Fatal(err)
		}
		return q.CallbackURL
	}
	got := k.do(ask{method: "POST", path: "/api/v1/tasks", body: body(good)})
	k.want(got, http.StatusAccepted, "")
	if url := queued(decode[api.Submitted](t, got).Task.ID); url != good {
		t.Errorf("queued with %q", url)
	}
	for _, bad := range []string{"http://hooks.example.org/", "https://10.0.0.1/", "https://169.254.169.254/", "https://localhost/", "ftp://hooks.example.org/", ""} {
		got := k.do(ask{method: "POST", path: "/api/v1/tasks", body: body(bad)})
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, "callback_url", "")
	}
	got = k.do(ask{method: "POST", path: "/api/v1/tasks/batch", body: "[" + body(good) + "," + body("https://10.0.0.1/") + "]"})
	k.want(got, http.StatusMultiStatus, "")
	verdicts := decode[api.Batch](t, got).Items
	if url := queued(verdicts[0].Task.ID); url != good {
		t.Errorf("the item is queued with %q", url)
	}
	if e := verdicts[1].Error; e == nil || len(e.Details) != 1 || e.Details[0].Field != "callback_url" {
		t.Errorf("a private address in a batch: %s", got.Data)
	}
}
