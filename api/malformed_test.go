package api_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/task"
)

// bodyRoutes are the routes that read a JSON object, with the name of the field that may hold anything.
func bodyRoutes(deadLetter string) []string {
	return []string{
		"/api/v1/tasks", "/api/v1/agents/quiz/generate", "/api/v1/code/review", "/api/v1/admin/dead-letters/replay",
		"/api/v1/admin/dead-letters/" + deadLetter + "/replay", "/api/v1/admin/dead-letters/" + deadLetter + "/discard",
	}
}

func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels-1) + "{}" + strings.Repeat("}", levels-1)
}

func TestMalformedBodies(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	k.fail(id, "bug")
	admin := token(t, auth.Admin, "root")
	for name, c := range map[string]struct{ body, reason string }{
		"not JSON":           {`kind: quiz`, "is not valid JSON"},
		"cut":                {`{"kind":"quiz","input":{`, "is not valid JSON: it ends too early"},
		"bad escape":         {`{"kind":"\x"}`, "is not valid JSON"},
		"two values":         {`{} {}`, "has something behind its JSON value"},
		"garbage behind":     {`{"kind":"quiz"} x`, "JSON"},
		"trailing comma":     {`{"kind":"quiz",}`, "is not valid JSON"},
		"comment":            {`{/* */}`, "is not valid JSON"},
		"invalid UTF-8":      {"{\"kind\":\"\xff\"}", "is not valid UTF-8"},
		"byte order mark":    {"\uFEFF{}", "is not valid JSON"},
		"NUL":                {`{"reason":"a\u0000b"}`, "NUL"},
		"NUL in a name":      {`{"a\u0000":1}`, "NUL"},
		"raw NUL":            {"{\"a\":\"\x00\"}", "is not valid JSON"},
		"repeated name":      {`{"reason":"a","reason":"b"}`, "stands twice"},
		"repeated deep":      {`{"input":{"context":{"x":[{"y":1,"y":2}]}}}`, "stands twice"},
		"repeated, escaped":  {`{"reason":"a","\u0072eason":"b"}`, "stands twice"},
		"33 levels":          {nested(33), "nests deeper than 32 levels"},
		"very deep":          {strings.Repeat("[", 100_000), "nests deeper than 32 levels"},
		"very deep and even": {strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000), "nests deeper than 32 levels"},
		"a string":           {`"quiz"`, "string"},
		"a number":           {`7`, "number"},
		"null":               {`null`, "null"},
		"a list":             {`[]`, "array"},
		"huge number":        {`{"max":1e999,"kind":1e999,"reason":1e999}`, ""},
		"long number":        {`{"max":` + strings.Repeat("9", 4000) + `,"kind":1,"reason":1}`, ""},
		"empty":              {` `, "is not valid JSON: it ends too early"},
	} {
		for _, path := range bodyRoutes(id) {
			got := k.raw(ask{method: "POST", path: path, body: c.body, as: admin})
			if got.status != http.StatusBadRequest || got.Error == nil || got.Error.Code != "invalid" {
				t.Errorf("%s: %s: got %d %s", name, path, got.status, got.raw)
				continue
			}
			found := false
			for _, d := range got.Error.Details {
				found = found || d.Field != "" && strings.Contains(d.Reason, c.reason)
			}
			if !found {
				t.Errorf("%s: %s: no detail says %q: %s", name, path, c.reason, got.raw)
			}
		}
	}
}

func TestMalformedBodies_TheDeepestThatIsAllowed(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	// The input of a typed route is the body. In a submission the body is one level around it.
	inner := nested(31)
	k.want(k.do(ask{method: "POST", path: "/api/v1/code/review", body: `{"code":"x","context":` + inner + `}`}), http.StatusAccepted, "")
	k.want(k.do(ask{method: "POST", path: "/api/v1/code/review", body: `{"code":"x","context":` + nested(32) + `}`}), http.StatusBadRequest, "invalid")
	k.want(k.do(ask{method: "POST", path: "/api/v1/tasks", body: `{"kind":"review","input":{"code":"x","context":` + nested(30) + `}}`}), http.StatusAccepted, "")
	got := k.do(ask{method: "POST", path: "/api/v1/tasks", body: `{"kind":"review","input":{"code":"x","context":` + inner + `}}`})
	k.want(got, http.StatusBadRequest, "invalid")
}

func TestMalformedQueries(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	many := func(name string, n int) string { return strings.Repeat("&"+name+"=x", n)[1:] }
	for query, c := range map[string]struct{ path, field, reason string }{
		"limit=0":                    {"/tasks", "limit", "minimum"},
		"limit=201":                  {"/tasks", "limit", "maximum"},
		"limit=ten":                  {"/tasks", "limit", "is no whole number"},
		"limit=99999999999999999999": {"/tasks", "limit", "is no whole number"},
		"limit=1&limit=2":            {"/tasks", "limit", "stands more than once"},
		"state=done":                 {"/tasks", "state[0]", "'queued'"},
		"state=queued&state=":        {"/tasks", "state[1]", "'queued'"},
		"kind=poem":                  {"/tasks", "kind", "the kinds are"},
		many("kind", 33):             {"/tasks", "kind", "maxItems"},
		"label=class":                {"/tasks", "label[0]", "pattern"},
		"label=a:1&label=a:2":        {"/tasks", "label", "two values"},
		"created_after=monday":       {"/tasks", "created_after", "date-time"},
		"created_before=1":           {"/tasks", "created_before", "date-time"},
		"cursor=":                    {"/tasks", "cursor", "minLength"},
		"cursor=zzz":                 {"/tasks", "cursor", "is not one of ours"},
		"sate=queued":                {"/tasks", "sate", "is unknown; known are created_after, created_before, cursor, kind, label, limit, schedule, state, user, workflow"},
		"a=%zz":                      {"/tasks", "query", "cannot be read"},
		"x=1":                        {"/tasks/" + id, "x", "is unknown; there are no parameters"},
		"after=-1":                   {"/tasks/" + id + "/events", "after", "minimum"},
		"after=9007199254740992":     {"/tasks/" + id + "/events", "after", "maximum"},
		"limit=501":                  {"/tasks/" + id + "/events", "limit", "maximum"},
	} {
		got := k.do(ask{method: "GET", path: "/api/v1" + c.path + "?" + query})
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, c.field, c.reason)
	}
	for _, header := range []string{"", "x", "-1", "99999999999999999"} {
		got := k.do(ask{method: "GET", path: "/api/v1/tasks/" + id + "/events", header: http.Header{"Last-Event-Id": {header}}})
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, "Last-Event-ID", "")
	}
}

// FuzzBodies sends anything to every route that reads a body: the answer is never a 5xx, always an envelope, and what task.CheckJSON
// refuses is never accepted.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{"kind":"quiz","input":` + quizInput + `}`, quizInput, `{"code":"x"}`, `{"kind":"quiz","kind":"quiz"}`, "\xff", `{"a":"\u0000"}`,
		nested(33), `{"kind":"quiz","input":` + quizInput + `} {}`, `{"max":1e999}`, `{"dry_run":true,"rate":0.1,"max":6}`, `{"reason":"x"}`, `{"\ud800":1,"\ud801":2}`,
		`{"kind":"quiz","input":` + quizInput + `,"labels":{"a":"b"},"priority":"high","deadline":"2999-01-01T00:00:00Z"}`, `[{"kind":"quiz","input":` + quizInput + `}]`,
		"{\"kind\":\"quiz\",\"input\":" + quizInput + "}\n{\"kind\":\"poem\"}\n",
	} {
		f.Add(seed)
	}
	k := newKit(f)
	id := k.submit().ID
	k.fail(id, "bug")
	admin := token(f, auth.Admin, "root")
	f.Fuzz(func(t *testing.T, body string) {
		k := k.with(t)
		for _, path := range bodyRoutes(id) {
			got := k.raw(ask{method: "POST", path: path, body: body, as: admin})
			checkNeverOurFault(t, path, body, got)
			if got.status < 300 && len(body) > 0 && task.CheckJSON("", []byte(body)) != nil {
				t.Errorf("%s accepted %q", path, body)
			}
		}
		for _, contentType := range []string{"application/json", "application/x-ndjson"} {
			got := k.raw(ask{method: "POST", path: "/api/v1/tasks/batch", body: body, as: admin, contentType: contentType})
			checkNeverOurFault(t, contentType, body, got)
		}
	})
}

func checkNeverOurFault(t *testing.T, what, body string, got answer) {
	t.Helper()
	if got.status >= 500 || got.Metadata.RequestID == "" || !utf8.Valid(got.raw) {
		t.Errorf("%s: %q is answered with %d %s", what, body, got.status, got.raw)
	}
}
