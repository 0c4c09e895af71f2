package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
)

// golden compares body, with ids and times taken out, to testdata/<name>.json. UPDATE_GOLDEN=1 writes the file instead.
func golden(t *testing.T, name string, body []byte) {
	t.Helper()
	for pattern, with := range map[string]string{
		`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`: "<uuid>",
		`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`:                      "<time>",
		`"execution_time":[0-9.e-]+`:                                   `"execution_time":0`,
		`"latency_ms":[0-9.e-]+`:                                       `"latency_ms":0`,
	} {
		body = regexp.MustCompile(pattern).ReplaceAll(body, []byte(with))
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(body), "", "  "); err != nil {
		t.Fatalf("%s: %v: %s", name, err, body)
	}
	indented.WriteByte('\n')
	file := filepath.Join("testdata", name+".json")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, indented.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), indented.String()); diff != "" {
		t.Errorf("%s: %s", file, diff)
	}
}

func TestGoldenBodies(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	admin := token(t, auth.Admin, "root")
	submitted := k.do(ask{method: "POST", path: "/api/v1/tasks", body: goodItem, header: http.Header{"Idempotency-Key": {"k"}}})
	id := k.submit().ID
	k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	k.complete(id, 1)
	dead := k.submit().ID
	k.fail(dead, events.CauseInvalidOutput)
	for name, body := range map[string][]byte{
		"submitted":      submitted.raw,
		"task":           k.do(ask{method: "GET", path: "/api/v1/tasks/" + id}).raw,
		"tasks":          k.do(ask{method: "GET", path: "/api/v1/tasks?limit=2"}).raw,
		"events":         k.do(ask{method: "GET", path: "/api/v1/tasks/" + id + "/events"}).raw,
		"agents":         k.do(ask{method: "GET", path: "/api/v1/agents"}).raw,
		"agent":          k.do(ask{method: "GET", path: "/api/v1/agents/generate_quiz"}).raw,
		"dead_letter":    k.do(ask{method: "GET", path: "/api/v1/admin/dead-letters/" + dead, as: admin}).raw,
		"replay_dry_run": k.do(ask{method: "POST", path: "/api/v1/admin/dead-letters/replay", body: `{"dry_run":true}`, as: admin}).raw,
		"invalid":        k.do(ask{method: "POST", path: "/api/v1/tasks", body: `{"kind":"quiz","input":{"subject":"x"},"when":1}`}).raw,
		"invalid_input":  k.do(ask{method: "POST", path: "/api/v1/tasks", body: `{"kind":"quiz","input":{"subject":"x"}}`}).raw,
		"unauthorized":   k.do(ask{method: "GET", path: "/api/v1/tasks", as: "-"}).raw,
		"no_route":       k.do(ask{method: "GET", path: "/api/v1/nothing"}).raw,
		"no_method":      k.do(ask{method: "PUT", path: "/api/v1/tasks"}).raw,
		"media_type":     k.do(ask{method: "POST", path: "/api/v1/tasks", body: "x", contentType: "text/plain"}).raw,
		"index":          k.raw(ask{method: "GET", path: "/"}).raw,
	} {
		golden(t, name, body)
	}
}
