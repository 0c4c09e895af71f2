package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/nodetest"
)

// Pusher's library for Node is installed at the versions of testdata/node/package-lock.json.
func TestPusherHTTPNode_IsServed(t *testing.T) {
	t.Parallel()
	dir := nodetest.Install(t, filepath.Join("testdata", "node"))
	h := busy()
	address, err := url.Parse(listen(t, h).URL)
	if err != nil {
		t.Fatal(err)
	}
	var answers = map[string]any{}
	out := run(t, dir, []string{
		"HOST=" + address.Hostname(), "PORT=" + address.Port(), "APP_ID=" + app.ID, "KEY=" + app.Key, "SECRET=" + app.Secret, "MASTER_KEY=" + masterKey,
	}, "node", "drive.js")
	for line := range strings.Lines(out) {
		var answer struct {
			Name   string
			Answer any
		}
		if err := json.Unmarshal([]byte(line), &answer); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		answers[answer.Name] = answer.Answer
	}
	type object = map[string]any
	if diff := cmp.Diff(object{
		"trigger": object{}, "trigger encrypted": object{}, "sendToUser": object{}, "terminateUserConnections": object{},
		"trigger on two": object{"channels": object{"news": object{"subscription_count": 13.0}, "presence-room": object{"user_count": 2.0, "subscription_count": 5.0}}},
		"triggerBatch":   object{"batch": []any{object{}, object{"user_count": 2.0}}},
		"channels": object{"channels": object{
			"presence-room": object{"user_count": 2.0, "subscription_count": 5.0}, "presence-hall": object{"user_count": 3.0, "subscription_count": 3.0}}},
		"channel":   object{"occupied": true, "cache": object{"data": `{"eur":7}`, "ttl": 60.0}},
		"users":     object{"users": []any{object{"id": "u1"}, object{"id": "u 2"}}},
		"long data": 413.0, "another secret": 401.0,
	}, answers); diff != "" {
		t.Error(diff)
	}
	triggered := h.take()
	for i := range triggered {
		if triggered[i].Channel == "private-encrypted-x" && strings.Contains(triggered[i].Data, "ciphertext") {
			triggered[i].Data = "secret"
		}
	}
	const sent = `{"hello":"wörld"}`
	if diff := cmp.Diff([]channels.Event{
		{Channel: "azAZ09_-=@,.;", Name: "e", Data: sent},
		{Channel: "news", Name: "e", Data: sent, Except: "1.2"}, {Channel: "presence-room", Name: "e", Data: sent, Except: "1.2"},
		{Channel: "private-encrypted-x", Name: "e", Data: "secret"},
		{Channel: "news", Name: "e", Data: sent, Except: "1.2"}, {Channel: "presence-room", Name: "e", Data: sent},
		{Channel: "#server-to-user-u 1/é", Name: "e", Data: sent},
	}, triggered); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"u 1;é"}, h.terminated); diff != "" {
		t.Error(diff)
	}
}

// run returns what a program prints.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, &stderr)
	}
	return string(out)
}
