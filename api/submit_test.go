package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestSubmit_AnswersWhatIsNeededToFollow(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	got := k.do(ask{
		method: "POST", path: "/api/v1/tasks", header: http.Header{"Traceparent": {trace}},
		body: `{"kind":"generate_quiz","input":` + quizInput + `,"priority":"urgent","labels":{"class":"7b"},"deadline":"2999-01-01T00:00:00Z"}`,
	})
	k.want(got, http.StatusAccepted, "")
	s := decode[api.Submitted](t, got)
	id := s.Task.ID
	want := api.Submitted{
		Task: s.Task, URL: "/api/v1/tasks/" + id, EventsURL: "/api/v1/tasks/" + id + "/events",
		Channels: []string{"private-task-" + id, "private-user-ada", "private-org-school"},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	if got.header.Get("Location") != s.URL || got.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("headers: %v", got.header)
	}
	stored, err := k.service.Get(t.Context(), "school", id)
	if err != nil {
		t.Fatal(err)
	}
	if stored.Kind != "quiz" || stored.Priority != events.High || stored.UserID != "ada" || stored.Labels["class"] != "7b" ||
		stored.Deadline == nil || stored.Deadline.Year() != 2999 || string(stored.Input) != quizInput {
		t.Errorf("on record: %+v", stored)
	}
	e, queued := k.memory.Queued(stored.DispatchEntry())
	if !queued || e.TraceParent != trace {
		t.Errorf("queued %t with trace %q", queued, e.TraceParent)
	}
}

func TestSubmit_AcceptsEveryPriority(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for given, want := range map[string]events.Lane{
		"": events.Normal, "low": events.Low, "normal": events.Normal, "high": events.High, "urgent": events.High, "critical": events.High,
	} {
		body := `{"kind":"quiz","input":` + quizInput + `,"priority":"` + given + `"}`
		if given == "" {
			body = `{"kind":"quiz","input":` + quizInput + `}`
		}
		got := k.do(ask{method: "POST", path: "/api/v1/tasks", body: body})
		if p := decode[api.Submitted](t, got).Task.Priority; p != want {
			t.Errorf("%q: got %s, want %s", given, p, want)
		}
	}
}

func TestSubmit_TypedRoutes(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for path, c := range map[string]struct{ body, kind string }{
		"/api/v1/agents/quiz/generate": {quizInput, "quiz"},
		"/api/v1/agents/code/review":   {`{"code":"print(1)"}`, "code_review"},
		"/api/v1/code/review":          {`{"code":"print(1)"}`, "code_review"},
	} {
		got := k.do(ask{method: "POST", path: path + "?priority=critical&deadline=2999-01-01T00:00:00Z", body: c.body, header: http.Header{"Idempotency-Key": {path}}})
		k.want(got, http.StatusAccepted, "")
		s := decode[api.Submitted](t, got).Task
		stored, err := k.service.Get(t.Context(), s.Tenant, s.ID)
		if err != nil || string(stored.Input) != c.body {
			t.Errorf("%s: stored %+v, %v", path, stored, err)
		}
		if s.Kind != c.kind || s.Priority != events.High || s.Deadline == nil || s.Input != nil {
			t.Errorf("%s: got %+v", path, s)
		}
		again := k.do(ask{method: "POST", path: path + "?priority=critical&deadline=2999-01-01T00:00:00Z", body: c.body, header: http.Header{"Idempotency-Key": {path}}})
		k.want(again, http.StatusOK, "")
		if decode[api.Submitted](t, again).Task.ID != s.ID {
			t.Errorf("%s: the same key made another task", path)
		}
	}
	bad := k.do(ask{method: "POST", path: "/api/v1/agents/quiz/generate", body: `{"subject":"","objectives":["x",""],"colour":"red"}`})
	k.want(bad, http.StatusBadRequest, "invalid")
	k.wantDetail(bad, "subject", "minLength")
	k.wantDetail(bad, "objectives[1]", "minLength")
	k.wantDetail(bad, "colour", "is unknown")
	empty := k.do(ask{method: "POST", path: "/api/v1/agents/quiz/generate"})
	k.wantDetail(empty, "body", "is missing")
	list := k.do(ask{method: "POST", path: "/api/v1/agents/quiz/generate", body: `[]`})
	k.wantDetail(list, "body", "must be object")
}

func TestSubmit_IsIdempotent(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	send := func(key, body string) answer {
		return k.do(ask{method: "POST", path: "/api/v1/tasks", body: body, header: http.Header{"Idempotency-Key": {key}}})
	}
	body := `{"kind":"quiz","input":` + quizInput + `}`
	first := send("lesson-1", body)
	k.want(first, http.StatusAccepted, "")
	again := send("lesson-1", `{ "input": `+quizInput+`, "kind": "generate_quiz" }`)
	k.want(again, http.StatusOK, "")
	if again.header.Get("Idempotent-Replayed") != "true" || again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("headers: %v", again.header)
	}
	a, b := decode[api.Submitted](t, first), decode[api.Submitted](t, again)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
	other := send("lesson-1", `{"kind":"quiz","input":`+quizInput+`,"priority":"low"}`)
	k.want(other, http.StatusConflict, "conflict")
	if !strings.Contains(other.Message, a.Task.ID) {
		t.Errorf("the message does not name the task: %s", other.Message)
	}
	if c := decode[api.Submitted](t, send("lesson-2", body)); c.Task.ID == a.Task.ID {
		t.Error("another key gave the same task")
	}
	foreign := k.do(ask{
		method: "POST", path: "/api/v1/tasks", body: body, header: http.Header{"Idempotency-Key": {"lesson-1"}},
		as: issue(t, auth.Principal{UserID: "bob", Tenant: "college", Role: auth.Teacher}, time.Hour),
	})
	k.want(foreign, http.StatusAccepted, "")
}

func TestSubmit_NamesTheBrokenRule(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	with := func(extra string) string { return `{"kind":"quiz","input":` + quizInput + extra + `}` }
	labels := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("%q:%q", fmt.Sprint("l", i), "v")
		}
		return `,"labels":{` + strings.Join(list, ",") + `}`
	}
	for name, c := range map[string]struct {
		body, key, field, reason string
	}{
		"unknown kind":          {`{"kind":"poem","input":{}}`, "", "kind", "the kinds are code_review, quiz"},
		"no kind":               {`{"input":{}}`, "", "kind", "is missing"},
		"kind of wrong type":    {`{"kind":7,"input":{}}`, "", "kind", "is of type number, must be string"},
		"empty kind":            {`{"kind":"","input":{}}`, "", "kind", "minLength"},
		"no input":              {`{"kind":"quiz"}`, "", "input", "is missing"},
		"null input":            {`{"kind":"quiz","input":null}`, "", "input", "is of type null, must be object"},
		"input is a list":       {`{"kind":"quiz","input":[]}`, "", "input", "is of type array, must be object"},
		"input breaks a rule":   {`{"kind":"quiz","input":{"subject":"x","objectives":["a"],"num_questions":51}}`, "", "input.num_questions", "maximum"},
		"unknown in input":      {`{"kind":"quiz","input":{"subject":"x","objectives":["a"],"colour":1}}`, "", "input.colour", "is unknown"},
		"later field":           {with(`,"when":"2999-01-01T00:00:00Z"`), "", "when", "is unknown; known are cache, callback_url, cost, deadline, delay_seconds, input, kind, labels, priority, queue_ttl_seconds, run_at, timeout_seconds"},
		"names match exactly":   {with(`,"Priority":"low"`), "", "Priority", "is unknown"},
		"priority":              {with(`,"priority":"asap"`), "", "priority", "'critical'"},
		"deadline is no time":   {with(`,"deadline":"tomorrow"`), "", "deadline", "date-time"},
		"deadline has passed":   {with(`,"deadline":"2001-01-01T00:00:00Z"`), "", "deadline", "is not after the time at which the task may begin"},
		"17 labels":             {with(labels(17)), "", "labels", "maxProperties"},
		"long label":            {with(`,"labels":{"a":"` + strings.Repeat("v", 64) + `"}`), "", "labels.a", "maxLength"},
		"label with many bytes": {with(`,"labels":{"a":"` + strings.Repeat("é", 63) + `"}`), "", "labels.a", "at most 63"},
		"label without name":    {with(`,"labels":{"":"v"}`), "", "labels.", "a name of 1 to 63 bytes"},
		"long name":             {with(`,"labels":{"` + strings.Repeat("n", 64) + `":"v"}`), "", "labels." + strings.Repeat("n", 64), "a name of 1 to 63 bytes"},
		"label is a number":     {with(`,"labels":{"a":1}`), "", "labels.a", "must be string"},
		"long key":              {with(""), strings.Repeat("k", 256), "Idempotency-Key", "maxLength"},
		"key with odd bytes":    {with(""), "k\xff", "Idempotency-Key", "control characters"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask{method: "POST", path: "/api/v1/tasks", body: c.body}
			if c.key != "" {
				a.header = http.Header{"Idempotency-Key": {c.key}}
			}
			got := k.do(a)
			k.want(got, http.StatusBadRequest, "invalid")
			k.wantDetail(got, c.field, c.reason)
		})
	}
	for _, body := range []string{with(labels(16)), with(`,"labels":{"` + strings.Repeat("n", 63) + `":"` + strings.Repeat("v", 63) + `"}`)} {
		k.want(k.do(ask{method: "POST", path: "/api/v1/tasks", body: body, header: http.Header{"Idempotency-Key": {strings.Repeat("k", 255)}}}), http.StatusAccepted, "")
		k = newKit(t)
	}
}

func TestSubmit_BoundsTheBody(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	fill := func(size int) string {
		const frame = `{"kind":"review","input":{"code":""}}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	k.want(k.do(ask{method: "POST", path: "/api/v1/tasks", body: fill(256 << 10)}), http.StatusAccepted, "")
	for _, path := range []string{"/api/v1/tasks", "/api/v1/agents/code/review"} {
		got := k.do(ask{method: "POST", path: path, body: fill(256<<10 + 1)})
		k.want(got, http.StatusRequestEntityTooLarge, "too_large")
		k.wantDetail(got, "body", "at most 262144 bytes")
		if !strings.Contains(got.Message, "262144") {
			t.Error(got.Message)
		}
		chunked := k.request(ask{method: "POST", path: path, body: fill(256<<10 + 1)})
		chunked.ContentLength = -1
		got = k.serve(chunked)
		k.want(got, http.StatusRequestEntityTooLarge, "too_large")
	}
}

func TestSubmit_WantsJSON(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	body := `{"kind":"quiz","input":` + quizInput + `}`
	for _, contentType := range []string{"-", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/x-ndjson", ";"} {
		got := k.do(ask{method: "POST", path: "/api/v1/tasks", body: body, contentType: contentType})
		k.want(got, http.StatusUnsupportedMediaType, "unsupported_media_type")
		if !strings.Contains(got.Message, "send application/json in UTF-8") {
			t.Error(got.Message)
		}
	}
	for _, contentType := range []string{"application/json", "Application/JSON; charset=UTF-8"} {
		k.want(k.do(ask{method: "POST", path: "/api/v1/tasks", body: body, contentType: contentType}), http.StatusAccepted, "")
	}
}

func TestSubmit_SaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.memory.SetFull(true)
	got := k.do(ask{method: "POST", path: "/api/v1/tasks", body: `{"kind":"quiz","input":` + quizInput + `}`})
	k.want(got, http.StatusServiceUnavailable, "unavailable")
	if got.header.Get("Retry-After") != "5" || !got.Error.Retryable {
		t.Errorf("Retry-After %q, %s", got.header.Get("Retry-After"), got.raw)
	}
}

func TestSubmit_TheChannelsAreThoseOneMayJoin(t *testing.T) {
	t.Parallel()
	dev := auth.DevPrincipal()
	k := newKit(t, func(c *api.Config) { c.DevPrincipal = &dev })
	got := k.do(ask{method: "POST", path: "/api/v1/tasks", as: "-", body: `{"kind":"quiz","input":` + quizInput + `}`})
	s := decode[api.Submitted](t, got)
	if want := []string{"private-task-" + s.Task.ID, "private-user-teacher", "private-org-dev"}; !slices.Equal(s.Channels, want) {
		t.Errorf("got %v, want %v", s.Channels, want)
	}
}

func TestExamplesOfTheDocumentAreAccepted(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	var doc struct {
		Paths map[string]struct {
			Post struct {
				Kind        string `json:"x-kind"`
				RequestBody struct {
					Content map[string]struct {
						Example  json.RawMessage
						Examples map[string]struct{ Value json.RawMessage }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(k.document(), &doc); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for path, item := range doc.Paths {
		if item.Post.Kind != "" {
			k.want(k.do(ask{method: "POST", path: "/api/v1" + path, body: string(item.Post.RequestBody.Content["application/json"].Example)}), http.StatusAccepted, "")
			tried++
		}
	}
	for _, e := range doc.Paths["/tasks"].Post.RequestBody.Content["application/json"].Examples {
		k.want(k.do(ask{method: "POST", path: "/api/v1/tasks", body: string(e.Value)}), http.StatusAccepted, "")
		tried++
	}
	if tried != 5 {
		t.Errorf("the document has %d examples, want 5", tried)
	}
}

var _ api.Tasks = (*task.Service)(nil)
