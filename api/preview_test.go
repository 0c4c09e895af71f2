package api_test

import (
	"bytes"
	"encoding/json"
	"image/png"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	place "github.com/toolboxai/orchestrator/internal/roblox/terrain"
)

// pictures are those of an empty site.
func pictures() (top, side []byte) {
	site := place.Build(place.LimitsOf("small"), nil)
	return site.Top(nil).PNG, site.Side(nil).PNG
}

// places is the end of a terrain.
func places() events.Completed {
	top, side := pictures()
	result, _ := json.Marshal(map[string]any{"preview": map[string]any{"top": map[string]any{"data": top}, "side": map[string]any{"data": side}}})
	return events.Completed{Result: result}
}

func TestPreview_ShowsATerrainFromBothSides(t *testing.T) {
	t.Parallel()
	k := newKitOf(t, append(kinds(), terrainKind()))
	path := "/api/v1/tasks/" + k.completed("terrain", places()).ID + "/preview/"
	top, side := pictures()
	tags := map[string]bool{}
	for view, want := range map[string][]byte{"top": top, "side": side} {
		a := ask{method: "GET", path: path + view}
		got := k.raw(a)
		h := got.header
		if got.status != http.StatusOK || h.Get("Content-Type") != "image/png" || h.Get("Cache-Control") != "private, no-cache" || !bytes.Equal(got.raw, want) {
			t.Fatalf("%s: %d %v, %d bytes", view, got.status, h, len(got.raw))
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Vary") == "" {
			t.Errorf("%s: its head is %v", view, h)
		}
		if _, err := png.Decode(bytes.NewReader(got.raw)); err != nil {
			t.Errorf("%s is no picture: %v", view, err)
		}
		tag := h.Get("ETag")
		tags[tag] = true
		for held, status := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200} {
			a.header = http.Header{"If-None-Match": {held}}
			if again := k.raw(a); again.status != status || again.header.Get("ETag") != tag || status == 304 && len(again.raw) > 0 {
				t.Errorf("%s with %q: %d, %d bytes", view, held, again.status, len(again.raw))
			}
		}
	}
	if len(tags) != 2 {
		t.Errorf("both views have the tags %v", tags)
	}
	for _, view := range []string{"front", "TOP", "top.png", "..%2F..", "title"} {
		k.want(k.do(ask{method: "GET", path: path + view}), http.StatusNotFound, "not_found")
	}
}

func TestPreview_IsForThoseWhoReadTheTask(t *testing.T) {
	t.Parallel()
	k := newKitOf(t, append(kinds(), terrainKind()))
	id := k.completed("terrain", places()).ID
	a := ask{method: "GET", path: "/api/v1/tasks/" + id + "/preview/top"}
	tag := k.raw(a).header.Get("ETag")
	a.header = http.Header{"If-None-Match": {tag}} // whoever knows the picture is not told whose it is
	for who, as := range map[string]string{
		"another school's admin": issue(t, auth.Principal{UserID: "fay", Tenant: "college", Role: auth.Admin}, time.Hour),
		"a student":              token(t, auth.Student, "eve"),
		"a parent":               token(t, auth.Parent, "pat"),
	} {
		if a.as = as; k.do(a).status != http.StatusNotFound {
			t.Errorf("%s sees the place", who)
		}
	}
	if a.as = "-"; k.do(a).status != http.StatusUnauthorized {
		t.Error("anybody sees the place")
	}
	k.school.shared = map[string][]string{"eve": {id}}
	a.as, a.header = token(t, auth.Student, "eve"), nil
	if got := k.raw(a); got.status != http.StatusOK {
		t.Errorf("with whom it is shared sees %d", got.status)
	}
}

func TestPreview_SaysWhyThereIsNone(t *testing.T) {
	t.Parallel()
	k := newKitOf(t, append(kinds(), lessonKind(), terrainKind()))
	get := func(id string) answer { return k.do(ask{method: "GET", path: "/api/v1/tasks/" + id + "/preview/side"}) }
	k.want(get(k.submit().ID), http.StatusNotFound, "not_found") // a quiz
	k.want(get(k.completed("terrain", events.Completed{Result: json.RawMessage(`{"title":"of old"}`)}).ID), http.StatusNotFound, "not_found")
	page := json.RawMessage(`{"preview":{"side":{"media_type":"text/html","data":"PHNjcmlwdD4="}}}`)
	k.want(get(k.completed("terrain", events.Completed{Result: page}).ID), http.StatusNotFound, "not_found")
	waiting := k.do(ask{method: "POST", path: "/api/v1/agents/terrain/generate", body: `{}`})
	k.want(k.do(ask{method: "GET", path: waiting.header.Get("Location") + "/preview/side"}), http.StatusConflict, "conflict")

	ref := &events.Reference{Key: "school/x", Bytes: 1 << 20, SHA256: strings.Repeat("0", 64)}
	for kind, rest := range map[string]string{"terrain": "/preview/top", "content": "/html"} {
		away := k.do(ask{method: "GET", path: "/api/v1/tasks/" + k.completed(kind, events.Completed{ResultRef: ref}).ID + rest})
		k.want(away, http.StatusServiceUnavailable, "unavailable")
		if away.header.Get("Retry-After") == "" {
			t.Errorf("%s: not when to ask again", rest)
		}
	}
}
