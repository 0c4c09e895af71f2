package events_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	tenant = "lincoln-high"
	taskID = "0198c3a1-6f00-7c3e-9a51-7d1f4be0a001"
)

func payloads() []events.Payload {
	at := time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC)
	usage := events.Usage{Calls: 2, InputTokens: 812, OutputTokens: 1460, CostUSD: 0.0031, CostKnown: true}
	provenance := events.Provenance{GeneratedBy: "openai/gpt-5-mini", Provider: "openai", Model: "gpt-5-mini", PromptVersion: "quiz/1", Fallback: "anthropic/claude-sonnet-4-5: breaker open"}
	refused := []events.Refusal{{
		Attempt: 1, Step: "draft_1", Round: 2, GeneratedBy: "openai/gpt-5-mini", PromptVersion: "quiz/1", More: 2,
		Reasons: []events.Reason{{Field: "answer.questions[0].options", Reason: "has 1 options; multiple_choice takes 2 to 6"}},
		Text:    `{"questions":[]}`, Bytes: 20_000, Usage: &usage,
	}}
	tools := []events.ToolCall{
		{Server: "maps", Tool: "search", Outcome: events.ToolOK, DurationMS: 412, ArgumentBytes: 31, ResultBytes: 2210},
		{Server: "maps", Tool: "route", Outcome: events.ToolFailed, Reason: "timeout", DurationMS: 10_000, ArgumentBytes: 64},
	}
	return []events.Payload{
		events.Queued{
			Kind: "quiz", Input: json.RawMessage(`{"subject":"History","objectives":["Explain why Rome fell"],"num_questions":5}`), Priority: events.Normal,
			Dispatch: 2, UserID: "teacher-7", RequestHash: strings.Repeat("ab", 32), Labels: map[string]string{"class": "8b"}, Deadline: &at,
			NotBefore: &at, ExpiresAt: &at, TimeoutMS: 60_000, Cost: 12.5, Direct: true,
			CallbackURL: "https://school.example/hooks?class=8b",
			Origin:      &events.Origin{Schedule: "monday-quiz", Tick: &at, Workflow: "0198c3a1-6f00-7c3e-9a51-7d1f4be0a009", Step: "quiz"},
			Replay:      &events.Replay{By: "admin-1", Reason: "provider was down", Edited: true, Of: 17, Campaign: "c-1"},
			Resume:      &events.Resume{Wait: events.WaitSignal, Seq: 21, Why: "approved"},
		},
		events.Started{Attempt: 1, Dispatch: 2, Worker: "worker-1", Version: "3"},
		events.Step{Attempt: 1, Name: "outline", InputHash: strings.Repeat("cd", 32), Output: json.RawMessage(`{"title":"The fall of Rome"}`), Usage: &usage, Provenance: &provenance, DurationMS: 2140, Text: &events.TextMark{Run: 31744, End: 812}, Tools: tools},
		events.Retrying{Attempt: 1, Cause: events.CauseProvider, Error: "openai: 429 Too Many Requests", NextAt: at, Usage: &usage, Provenance: &provenance, Refused: refused, Tools: tools},
		events.Waiting{Attempt: 1, Wait: events.WaitSignal, Name: "approved", Until: &at, Message: "waits for the signal approved", Usage: &usage, Provenance: &provenance, Refused: refused, Tools: tools},
		events.Signalled{Name: "approved", Data: json.RawMessage(`{"by":"head of school"}`), By: "teacher-7"},
		events.Completed{Attempt: 2, Result: json.RawMessage(`{"title":"The fall of Rome","questions":[]}`), Usage: usage, Provenance: provenance, Tools: tools},
		events.Failed{Attempts: 3, Cause: events.CauseInvalidOutput, Error: "questions[0].options must have at least 2 entries", Usage: &usage, Raw: []byte("\x00raw"), Provenance: &provenance, Refused: refused, Tools: tools},
		events.Cancelled{By: "teacher-7", Reason: "wrong class"},
		events.Discarded{By: "admin-1", Reason: "duplicate"},
		events.Progress{Attempt: 1, Percent: 40, Step: "draft", Message: "Writing question 3 of 5"},
		events.Text{Attempt: 2, Step: "draft", Run: 34817, After: 31744, RollbackTo: 812, Offset: 1024, Text: `"title":"Der Vesuv <79 n. Chr.> 🌋`, Truncated: true},
	}
}

func sample(t *testing.T, p events.Payload) events.Event {
	t.Helper()
	e, err := events.New(tenant, taskID, "/workers/worker-1", p)
	if err != nil {
		t.Fatal(err)
	}
	e.ID, e.Time = "0198c3a1-7000-7000-8000-000000000002", time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	e.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	return e
}

// wire is how a golden file shows a message.
type wire struct {
	Subject string            `json:"subject"`
	Header  map[string]string `json:"header"`
	Body    json.RawMessage   `json:"body"`
}

// The files are the contract with every other reader of the log: a change of one is a change of the language.
func TestEvent_LooksOnTheWireAsPublished(t *testing.T) {
	t.Parallel()
	for _, p := range payloads() {
		t.Run(string(p.EventType()), func(t *testing.T) {
			t.Parallel()
			e := sample(t, p)
			subject := events.Subject(e.Tenant, e.Task)
			switch p := p.(type) {
			case events.Progress:
				subject = events.ProgressSubject(e.Tenant, e.Task)
			case events.Text:
				subject = events.TextSubject(e.Tenant, e.Task, p.Offset)
			}
			got, err := json.MarshalIndent(wire{subject, e.Header(), e.Data}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			file := filepath.Join("testdata", string(e.Type)+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
			var w wire
			if err := json.Unmarshal(want, &w); err != nil {
				t.Fatal(err)
			}
			back, err := events.Decode(func(k string) string { return w.Header[k] }, e.Data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(e, back); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecode_NamesTheAttributeThatIsWrong(t *testing.T) {
	t.Parallel()
	good := sample(t, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
	for name, value := range map[string]string{
		events.HeaderSpecVersion: "0.3", events.HeaderID: "", events.HeaderType: strings.Repeat("x", 300), events.HeaderSource: "",
		events.HeaderTime: "yesterday", events.HeaderTenant: "a.b", events.HeaderSubject: ">",
	} {
		h := good.Header()
		h[name] = value
		if _, err := events.Decode(func(k string) string { return h[k] }, good.Data); !errors.Is(err, events.ErrMalformed) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s = %q: got %v", name, value, err)
		}
	}
	h := good.Header()
	for _, body := range []string{"", "null", "[]", "{", `{"a":1}{}`, "{\"a\":\"\xff\"}", `{"a":"` + strings.Repeat("x", events.MaxData) + `"}`} {
		if _, err := events.Decode(func(k string) string { return h[k] }, []byte(body)); !errors.Is(err, events.ErrMalformed) {
			t.Errorf("body of %d bytes: got %v", len(body), err)
		}
	}
}

func TestDataAs_RefusesAnotherType(t *testing.T) {
	t.Parallel()
	if _, err := events.DataAs[events.Completed](sample(t, events.Started{})); !errors.Is(err, events.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

func TestUsage_AddKnowsWhenAPriceIsMissing(t *testing.T) {
	t.Parallel()
	known, unknown := events.Usage{Calls: 1, CostUSD: 1, CostKnown: true}, events.Usage{Calls: 1}
	if sum := (events.Usage{}).Add(known); !sum.CostKnown || sum.CostUSD != 1 {
		t.Errorf("nothing + known = %+v", sum)
	}
	if sum := known.Add(unknown); sum.CostKnown || sum.Calls != 2 {
		t.Errorf("known + unknown = %+v", sum)
	}
}

func TestSubjects_AreBuiltAndParsedAlike(t *testing.T) {
	t.Parallel()
	d := events.Dispatch{Kind: "quiz", Lane: events.High, Tenant: tenant, Task: taskID, N: 12}
	back, err := events.ParseDispatch(d.Subject())
	if err != nil || back != d {
		t.Errorf("got %+v, %v", back, err)
	}
	for _, subject := range []string{events.Subject(tenant, taskID), events.Live(events.Subject(tenant, taskID)), events.Live(events.ProgressSubject(tenant, taskID)), events.TextSubject(tenant, taskID, 0), events.Live(events.TextSubject(tenant, taskID, events.MaxText))} {
		if tn, id, err := events.ParseSubject(subject); err != nil || tn != tenant || id != taskID {
			t.Errorf("%s: %s, %s, %v", subject, tn, id, err)
		}
	}
	for _, bad := range []string{"", "events.a", "events.a.b.c", "tasks.a.b", "events.A.b", "events..b", "live.live.events.a.b", "events." + strings.Repeat("a", 65) + ".b", "events.a.b.0", "progress.a.b.-1", "progress.a.b.01", "progress.a.b.x", "progress.a.b.262145", "progress.a.b.0.0"} {
		if _, _, err := events.ParseSubject(bad); !errors.Is(err, events.ErrMalformed) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	for _, bad := range []string{"tasks.quiz.high.a.b.0", "tasks.quiz.high.a.b.01", "tasks.quiz.high.a.b.x", "tasks.quiz.asap.a.b.1", "tasks.quiz.high.a.b", "tasks.*.high.a.b.1"} {
		if _, err := events.ParseDispatch(bad); !errors.Is(err, events.ErrMalformed) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

// Whatever arrives, decoding either refuses it or returns an event that says the same when it is sent on.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no golden files", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var w wire
		if err := json.Unmarshal(data, &w); err != nil {
			f.Fatal(err)
		}
		f.Add(w.Header[events.HeaderID], w.Header[events.HeaderType], w.Header[events.HeaderTime], w.Header[events.HeaderTenant], w.Header[events.HeaderSubject], []byte(w.Body))
	}
	f.Fuzz(func(t *testing.T, id, typ, at, tenant, task string, body []byte) {
		h := map[string]string{
			events.HeaderSpecVersion: "1.0", events.HeaderSource: "/x", events.HeaderID: id, events.HeaderType: typ,
			events.HeaderTime: at, events.HeaderTenant: tenant, events.HeaderSubject: task,
		}
		e, err := events.Decode(func(k string) string { return h[k] }, body)
		if err != nil {
			if !errors.Is(err, events.ErrMalformed) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		h = e.Header()
		back, err := events.Decode(func(k string) string { return h[k] }, e.Data)
		if err != nil {
			t.Fatalf("what was accepted is refused when sent on: %v", err)
		}
		if diff := cmp.Diff(e, back); diff != "" {
			t.Fatal(diff)
		}
		if _, _, err := events.ParseSubject(events.Subject(e.Tenant, e.Task)); err != nil {
			t.Fatal(err)
		}
		_, _ = events.DataAs[events.Queued](e)
		_, _ = events.DataAs[events.Completed](e)
		if p, err := events.DataAs[events.Text](e); err == nil {
			checkReader(t, p)
		}
	})
}
