package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestGetTask_FollowsItsLife(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	get := func() task.Task {
		t.Helper()
		got := k.do(ask{method: "GET", path: "/api/v1/tasks/" + id})
		k.want(got, http.StatusOK, "")
		return decode[task.Task](t, got)
	}
	if got := get(); got.State != task.Queued || string(got.Input) != quizInput {
		t.Errorf("got %+v", got)
	}
	k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	k.report(id, 40)
	if got := get(); got.State != task.Running || got.Progress == nil || got.Progress.Percent != 40 {
		t.Errorf("got %+v", got)
	}
	k.next(id, events.Retrying{Attempt: 1, Cause: events.CauseProvider, Error: "429", NextAt: time.Now()})
	if got := get(); got.State != task.Retrying || got.Failure.Cause != events.CauseProvider || got.NextAt == nil {
		t.Errorf("got %+v", got)
	}
	k.next(id, events.Started{Attempt: 2, Dispatch: 1, Worker: "w2"})
	k.complete(id, 2)
	if got := get(); got.State != task.Completed || string(got.Result) != `{"questions":[]}` || got.Usage.Calls != 2 || !got.Provenance.Offline {
		t.Errorf("got %+v", got)
	}
}

func TestGetTask_NotFound(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, id := range []string{"01890000-0000-7000-8000-000000000000", "NO", "a.b", "%3E", "%00", "%ff", strings.Repeat("x", 300), "*"} {
		for _, a := range []ask{
			{method: "GET", path: "/api/v1/tasks/" + id}, {method: "DELETE", path: "/api/v1/tasks/" + id}, {method: "GET", path: "/api/v1/tasks/" + id + "/events"},
			{method: "GET", path: "/api/v1/tasks/" + id + "/events", header: http.Header{"Accept": {"text/event-stream"}}},
			{method: "GET", path: "/api/v1/admin/dead-letters/" + id, as: token(t, auth.Admin, "root")},
			{method: "POST", path: "/api/v1/admin/dead-letters/" + id + "/replay", as: token(t, auth.Admin, "root")},
			{method: "POST", path: "/api/v1/admin/dead-letters/" + id + "/discard", as: token(t, auth.Admin, "root")},
		} {
			k.want(k.do(a), http.StatusNotFound, "not_found")
		}
	}
}

func TestListTasks_FiltersAndPages(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	var ids []string
	for i := range 5 {
		got := k.do(ask{method: "POST", path: "/api/v1/tasks", body: fmt.Sprintf(`{"kind":"quiz","input":%s,"labels":{"n":"%d","odd":"%t"}}`, quizInput, i, i%2 == 1)})
		ids = append(ids, decode[api.Submitted](t, got).Task.ID)
	}
	review := decode[api.Submitted](t, k.do(ask{method: "POST", path: "/api/v1/code/review", body: `{"code":"x"}`, as: token(t, auth.Teacher, "bob")})).Task.ID
	k.fail(ids[0], events.CauseInput)
	k.next(ids[1], events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
	list := func(query string) (found []string, page api.TaskPage) {
		t.Helper()
		got := k.do(ask{method: "GET", path: "/api/v1/tasks?" + query})
		k.want(got, http.StatusOK, "")
		page = decode[api.TaskPage](t, got)
		for _, task := range page.Tasks {
			found = append(found, task.ID)
			if task.Input != nil || task.Result != nil {
				t.Errorf("%s: an entry has input or result", query)
			}
		}
		return found, page
	}
	for query, want := range map[string][]string{
		"":                                    {review, ids[4], ids[3], ids[2], ids[1], ids[0]},
		"kind=review":                         {review},
		"kind=review&kind=quiz&user=bob":      {review},
		"state=failed&state=running":          {ids[1], ids[0]},
		"label=odd:true":                      {ids[3], ids[1]},
		"label=odd:true&label=n:3":            {ids[3]},
		"created_before=2001-01-01T00:00:00Z": nil,
		"created_after=2001-01-01T00:00:00%2B02:00&user=bob": {review},
		"limit=2": {review, ids[4]},
	} {
		if found, _ := list(query); !slices.Equal(found, want) {
			t.Errorf("%q: got %v, want %v", query, found, want)
		}
	}
	var walked []string
	for cursor := ""; ; {
		found, page := list("limit=4" + cursor)
		walked = append(walked, found...)
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	if all, _ := list(""); !slices.Equal(walked, all) {
		t.Errorf("the pages hold %v, want %v", walked, all)
	}
}

func TestListTasks_SaysWhenItIsBehind(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *api.Config) { c.Tasks = staleList{c.Tasks} })
	got := k.do(ask{method: "GET", path: "/api/v1/tasks"})
	if page := decode[api.TaskPage](t, got); !page.Stale || page.AsOf.Year() != 2020 || len(page.Tasks) != 0 || !strings.Contains(got.Message, "behind") {
		t.Errorf("got %s", got.raw)
	}
}

func TestListTasks_TheArchiveIsDown(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.memory.SetDown(true)
	got := k.do(ask{method: "GET", path: "/api/v1/tasks"})
	k.want(got, http.StatusServiceUnavailable, "unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestCancelTask(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	got := k.do(ask{method: "DELETE", path: "/api/v1/tasks/" + id + "?reason=wrong%20class"})
	k.want(got, http.StatusOK, "")
	if c := decode[task.Task](t, got); c.State != task.Cancelled || c.Cancel.By != "ada" || c.Cancel.Reason != "wrong class" {
		t.Errorf("got %+v", c)
	}
	k.want(k.do(ask{method: "DELETE", path: "/api/v1/tasks/" + id}), http.StatusOK, "")
	done := k.submit().ID
	k.next(done, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
	k.complete(done, 1)
	k.want(k.do(ask{method: "DELETE", path: "/api/v1/tasks/" + done}), http.StatusConflict, "conflict")
	k.want(k.do(ask{method: "DELETE", path: "/api/v1/tasks/" + done + "?reason=" + strings.Repeat("x", 501)}), http.StatusBadRequest, "invalid")
}

func TestGetTaskEvents_Pages(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
	for i := range 4 {
		k.next(id, events.Step{Attempt: 1, Name: fmt.Sprint("s", i), InputHash: "h", Output: []byte(`{}`)})
	}
	k.complete(id, 1)
	var seqs, types []string
	after := "0"
	for {
		got := k.do(ask{method: "GET", path: "/api/v1/tasks/" + id + "/events?limit=3&after=" + after})
		k.want(got, http.StatusOK, "")
		page := decode[api.EventPage](t, got)
		for _, e := range page.Events {
			seqs, types = append(seqs, fmt.Sprint(e.Seq)), append(types, e.Type)
		}
		if page.Next == 0 {
			break
		}
		after = fmt.Sprint(page.Next)
	}
	if want := []string{"1", "2", "3", "4", "5", "6", "7"}; !slices.Equal(seqs, want) {
		t.Errorf("got %v, want %v", seqs, want)
	}
	if types[0] != "task.queued" || types[6] != "task.completed" {
		t.Errorf("got %v", types)
	}
	empty := k.do(ask{method: "GET", path: "/api/v1/tasks/" + id + "/events?after=7"})
	if page := decode[api.EventPage](t, empty); len(page.Events) != 0 || page.Next != 0 {
		t.Errorf("got %s", empty.raw)
	}
}

func TestOurOwnErrorsSayNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *api.Config) { c.Tasks = broken{c.Tasks} })
	got := k.do(ask{method: "GET", path: "/api/v1/tasks/x"})
	k.want(got, http.StatusInternalServerError, "internal")
	if strings.Contains(string(got.raw), "password") || !strings.Contains(got.Message, "request id") {
		t.Errorf("got %s", got.raw)
	}
	if log := k.log.String(); !strings.Contains(log, "password=hunter2") || !strings.Contains(log, got.Metadata.RequestID) {
		t.Errorf("the log does not tell: %s", log)
	}
	panics := k.do(ask{method: "POST", path: "/api/v1/admin/dead-letters/x/discard", as: token(t, auth.Admin, "root")})
	k.want(panics, http.StatusInternalServerError, "internal")
	if !strings.Contains(k.log.String(), "panic: ") || strings.Contains(string(panics.raw), "goroutine") {
		t.Errorf("got %s, log %s", panics.raw, k.log)
	}
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		"?kind=timeout": {http.StatusGatewayTimeout, "timeout"}, "?kind=canceled": {499, "canceled"}, "?kind=limited": {http.StatusTooManyRequests, "rate_limited"},
	} {
		got := k.do(ask{method: "GET", path: "/api/v1/tasks" + path})
		k.want(got, want.status, want.code)
	}
	if got := k.do(ask{method: "GET", path: "/api/v1/tasks?kind=limited"}); got.header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After %q: want seconds, rounded up", got.header.Get("Retry-After"))
	}
}

func TestKindsOfFaultsAllHaveAStatus(t *testing.T) {
	t.Parallel()
	for kind := range fault.Canceled + 1 {
		k := newKit(t, func(c *api.Config) { c.Tasks = faulty{c.Tasks, kind} })
		if got := k.do(ask{method: "GET", path: "/api/v1/tasks/x"}); got.status < 400 || got.Error.Code != kind.String() || got.Error.Retryable != kind.Retryable() {
			t.Errorf("%s: got %d %s", kind, got.status, got.raw)
		}
	}
}
