package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/markdown"
)

func TestPage_ShowsALessonAndRunsNothing(t *testing.T) {
	t.Parallel()
	k := newKitOf(t, append(kinds(), lessonKind()))
	id := k.lesson(`{"title":"Volcanoes","sections":[{"title":"Magma","body":"It is **hot**. <script>alert(1)</script> ![x](https://evil.example/x.png)"}]}`).ID
	get := func(id, as string) answer {
		return k.raw(ask{method: "GET", path: "/api/v1/tasks/" + id + "/html", as: as})
	}
	got := get(id, "")
	page := string(got.raw)
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "text/html; charset=UTF-8" || !strings.Contains(page, "Volcanoes") || !strings.Contains(page, "<strong>hot</strong>") {
		t.Fatalf("got %d %v %s", got.status, got.header, page)
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "<img") {
		t.Errorf("the page is not safe: %s", page)
	}
	if csp := got.header.Values("Content-Security-Policy"); len(csp) != 1 || csp[0] != markdown.PagePolicy() || strings.Contains(csp[0], "script-src") {
		t.Errorf("its policy is %q", csp)
	}
	k.want(get(id, token(t, auth.Student, "eve")), http.StatusNotFound, "not_found")
	k.school.shared = map[string][]string{"eve": {id}}
	k.want(get(id, token(t, auth.Student, "eve")), http.StatusOK, "")
	k.want(get(k.submit().ID, ""), http.StatusNotFound, "not_found") // a quiz
	waiting := k.do(ask{method: "POST", path: "/api/v1/agents/content/generate", body: `{}`})
	k.want(waiting, http.StatusAccepted, "")
	url := waiting.header.Get("Location")
	k.want(k.do(ask{method: "GET", path: url + "/html"}), http.StatusConflict, "conflict")
}
