// Package realtime_test builds the TypeScript client and runs its tests, and writes down what the server's own code says
// that the client has to agree with.
package realtime_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/nodetest"
	"github.com/toolboxai/orchestrator/internal/notify"
)

var update = flag.Bool("update", false, "write the vectors anew")

func TestClient_PassesItsTests(t *testing.T) {
	t.Parallel()
	dir := nodetest.Install(t, ".")
	if out, err := run(t, dir, "npm", "test"); err != nil {
		t.Fatalf("npm test: %v\n%s", err, out)
	}
}

func run(t *testing.T, dir, name string, args ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.WaitDelay = dir, 10*time.Second
	return cmd.CombinedOutput()
}

func TestLockFile_NamesNoHost(t *testing.T) {
	t.Parallel()
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{`"resolved"`, "://"} {
		if bytes.Contains(lock, []byte(word)) {
			t.Errorf("package-lock.json has %s", word)
		}
	}
}

type vectors struct {
	Users   map[string]string `json:"users"`
	Stories []story           `json:"stories"`
}

// story is one event as subscribers are told it and as the API's history answers it.
type story struct {
	Kind    string          `json:"kind"`
	Event   string          `json:"event"`
	Message json.RawMessage `json:"message"`
	History history         `json:"history"`
}

type history struct {
	Seq    uint64          `json:"seq"`
	ID     string          `json:"id"`
	Type   events.Type     `json:"type"`
	Source string          `json:"source"`
	Time   time.Time       `json:"time"`
	TaskID string          `json:"task_id"`
	Data   json.RawMessage `json:"data"`
}

func TestVectors_AreWhatTheServerSays(t *testing.T) {
	t.Parallel()
	var v vectors
	v.Users = make(map[string]string)
	long := strings.Repeat("a", 151)
	for _, id := range []string{
		"0198c0de-0000-7000-8000-000000000001", "ann@school.org", "auth0|42", "a=7C", "Zoë:1", long, long + "a",
		strings.Repeat("|", 50), strings.Repeat("|", 51), "a b\x00\n", "🌋",
	} {
		v.Users[id] = notify.UserChannel(id)
	}
	for i, p := range told() {
		v.Stories = append(v.Stories, tell(t, uint64(40+i), p))
	}
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	file := filepath.Join("testdata", "vectors.json")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("testdata/vectors.json is not what the server says: run this test with -update, then npm test")
	}
}

func tell(t *testing.T, seq uint64, p events.Payload) story {
	t.Helper()
	body, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	e := events.Event{
		ID: "e", Type: p.EventType(), Source: "test", Time: at, Tenant: "school", Task: "task-1", Seq: seq, Data: body,
	}
	for _, m := range notify.Route(e, notify.Snapshot{Kind: "quiz", UserID: "ann"}) {
		if m.Channel == notify.TaskChannel(e.Task) {
			return story{"quiz", m.Event, m.Data, history{seq, e.ID, e.Type, e.Source, e.Time, e.Task, body}}
		}
	}
	t.Fatalf("nobody is told of %s", e.Type)
	return story{}
}

var at = time.Date(2025, 9, 1, 8, 30, 0, 123456789, time.UTC)

// told is each event that subscribers are told of, empty, full and too large.
func told() []events.Payload {
	usage := events.Usage{Calls: 2, InputTokens: 300, OutputTokens: 90, CostUSD: 0.002, CostKnown: true}
	from := events.Provenance{Provider: "openai", Model: "m"}
	return []events.Payload{
		events.Queued{Kind: "quiz", Input: json.RawMessage(`{"a":1}`), Priority: events.Normal, Dispatch: 1, UserID: "ann"},
		events.Queued{
			Kind: "quiz", Input: json.RawMessage(`{}`), Priority: events.High, Dispatch: 2, Labels: map[string]string{"class": "7b"}, Deadline: &at,
			NotBefore: &at, Origin: &events.Origin{Schedule: "daily", Tick: &at}, Replay: &events.Replay{By: "admin", Reason: "mended"},
		},
		events.Queued{Kind: "quiz", Dispatch: 3, Resume: &events.Resume{Wait: events.WaitSignal, Seq: 41, Why: "approved"}},
		events.Started{Attempt: 1, Dispatch: 1, Worker: "w1", Version: "3"},
		events.Step{Attempt: 1, Name: "draft", InputHash: "00", Output: json.RawMessage(`"kept"`), DurationMS: 1200, Usage: &usage, Provenance: &from},
		events.Step{Attempt: 1, Name: "sleep:a"},
		events.Retrying{Attempt: 1, Cause: events.CauseProvider, Error: strings.Repeat("é", 600), NextAt: at},
		events.Waiting{Attempt: 2, Wait: events.WaitTime, Name: "night", Until: &at, Message: "waits"},
		events.Waiting{Attempt: 2, Wait: events.WaitSignal},
		events.Completed{Attempt: 2, Result: json.RawMessage(`{"title":"<b> & c","n":[1,2.5]}`), Usage: usage, Provenance: from},
		events.Completed{Attempt: 2, Result: json.RawMessage(`"` + strings.Repeat("x", 20_000) + `"`)},
		events.Completed{Attempt: 2, ResultRef: &events.Reference{}},
		events.Failed{Attempts: 3, Cause: events.CauseBug, Error: "broken", Usage: &usage},
		events.Failed{},
		events.Cancelled{By: "ann", Reason: "wrong class"},
		events.Discarded{By: "admin"},
	}
}
