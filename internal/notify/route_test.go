package notify_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/notify"
)

var update = flag.Bool("update", false, "write the golden files anew")

const goldenTask = "0198c0de-0000-7000-8000-000000000001"

// golden is a message as its golden file shows it.
type golden struct {
	Channel  string          `json:"channel"`
	Event    string          `json:"event"`
	Data     json.RawMessage `json:"data"`
	Fallback json.RawMessage `json:"fallback,omitempty"`
}

func TestRoute_SpeaksTheWireContract(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 9, 1, 8, 30, 0, 123456789, time.UTC)
	later := at.Add(90 * time.Second)
	usage := events.Usage{Calls: 2, InputTokens: 1200, OutputTokens: 800, CostUSD: 0.012, CostKnown: true}
	made := events.Provenance{GeneratedBy: "openai/gpt-5-mini", Provider: "openai", Model: "gpt-5-mini", PromptVersion: "quiz-3"}
	for name, body := range map[string]events.Payload{
		"created": events.Queued{
			Kind: "quiz", Input: json.RawMessage(`{"subject":"Science"}`), Priority: events.High, Dispatch: 1, UserID: "teacher-7",
			RequestHash: "9f86d081", Labels: map[string]string{"class": "5b"}, Deadline: &later,
		},
		"created_by_replay": events.Queued{
			Kind: "quiz", Input: json.RawMessage(`{}`), Priority: events.Normal, Dispatch: 2, UserID: "teacher-7",
			Replay: &events.Replay{By: "admin-1", Reason: "the provider is back", Edited: true},
		},
		"started":  events.Started{Attempt: 1, Dispatch: 1, Worker: "worker-3"},
		"step":     events.Step{Attempt: 1, Name: "outline", InputHash: "ab12", Output: json.RawMessage(`{"draft":"…"}`), Usage: &usage, Provenance: &made, DurationMS: 1840},
		"progress": events.Progress{Attempt: 1, Percent: 62.5, Step: "questions", Message: "Question 5 of 8"},
		"text":     events.Text{Attempt: 2, Step: "draft", Run: 34817, After: 31744, RollbackTo: 812, Offset: 1024, Text: `"title":"Der Vesuv <79 n. Chr.> 🌋`},
		"retrying": events.Retrying{Attempt: 1, Cause: events.CauseProvider, Error: "the provider answered 429", NextAt: later},
		"completed": events.Completed{
			Attempt: 2, Result: json.RawMessage(`{"title":"Plants & <light>","questions":[]}`), Usage: usage, Provenance: made,
		},
		"completed_oversize": events.Completed{
			Attempt: 1, Result: json.RawMessage(`{"title":"` + strings.Repeat("long ", 2100) + `"}`), Usage: usage, Provenance: made,
		},
		"waiting": events.Waiting{Attempt: 1, Wait: events.WaitBudget, Name: "tenant springfield, month", Until: &later, Message: "the month's budget is spent"},
		"resumed": events.Queued{
			Kind: "quiz", Input: json.RawMessage(`{}`), Priority: events.Normal, Dispatch: 2, UserID: "teacher-7",
			Resume: &events.Resume{Wait: events.WaitBudget, Seq: 40, Why: "topped up"},
		},
		"completed_elsewhere": events.Completed{
			Attempt: 1, ResultRef: &events.Reference{Key: "k", Bytes: 1 << 20, SHA256: "ab"}, Usage: usage, Provenance: made,
		},
		"failed":    events.Failed{Attempts: 3, Cause: events.CauseInvalidOutput, Error: "the answer has no questions", Usage: &usage},
		"cancelled": events.Cancelled{By: "teacher-7", Reason: "wrong class"},
		"discarded": events.Discarded{By: "admin-1", Reason: "tested by hand"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := event(t, "springfield", goldenTask, body)
			e.Time, e.Seq = at, 41
			compare(t, name, notify.Route(e, notify.Snapshot{Kind: "quiz", UserID: "teacher-7"}))
		})
	}
	t.Run("unreadable", func(t *testing.T) {
		t.Parallel()
		e := events.Event{Type: events.TypeCompleted, Time: at, Tenant: "springfield", Task: goldenTask, Seq: 41, Data: []byte(`{"attempt":"one"}`)}
		compare(t, "unreadable", notify.Route(e, notify.Snapshot{}))
	})
}

func compare(t *testing.T, name string, msgs []notify.Message) {
	t.Helper()
	var shown []golden
	for _, m := range msgs {
		shown = append(shown, golden{m.Channel, m.Event, m.Data, m.Fallback})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(shown); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestRoute_ReplacesWhatIsTooLargeByAReference(t *testing.T) {
	t.Parallel()
	for size := notify.MaxData - 500; size < notify.MaxData+10; size++ {
		e := event(t, "school", "task", events.Completed{Result: json.RawMessage(`"` + strings.Repeat("x", size) + `"`)})
		for _, m := range notify.Route(e, notify.Snapshot{UserID: "teacher"}) {
			if len(m.Data) > notify.MaxData {
				t.Fatalf("a result of %d bytes made %d bytes on %s", size, len(m.Data), m.Channel)
			}
			if p := payload(t, m); strings.HasPrefix(m.Channel, "private-") && (p.Data == nil) != (p.DataRef == "/api/v1/tasks/task") {
				t.Fatalf("a result of %d bytes: data or data_ref, not %s", size, m.Data)
			}
		}
	}
	// The worst text: every byte of it takes six in JSON.
	e := event(t, "school", "task", events.Failed{Error: strings.Repeat("\x01", 50_000)})
	for _, m := range notify.Route(e, notify.Snapshot{UserID: "teacher"}) {
		if len(m.Data) > notify.MaxData {
			t.Errorf("a long error made %d bytes on %s", len(m.Data), m.Channel)
		}
	}
}

func TestRoute_CutsLongTextBetweenCharacters(t *testing.T) {
	t.Parallel()
	e := event(t, "school", "task", events.Failed{Error: strings.Repeat("é", 600)})
	got := payload(t, notify.Route(e, notify.Snapshot{})[0]).Message
	if want := strings.Repeat("é", 498) + "…"; got != want {
		t.Errorf("got %d bytes: %q", len(got), got)
	}
}

func TestRoute_SaysNothingOfWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, e := range []events.Event{
		{Type: "task.paused", Tenant: "school", Task: "task", Data: []byte(`{}`)},
		{Type: events.TypeStarted, Tenant: "school", Task: "Not A Token", Data: []byte(`{}`)},
		{Type: events.TypeStarted, Tenant: "", Task: "task", Data: []byte(`{}`)},
	} {
		if got := notify.Route(e, notify.Snapshot{}); got != nil {
			t.Errorf("%s of %q: got %v", e.Type, e.Task, got)
		}
	}
}

func TestUserChannel_IsValidAndUnique(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 151)
	for id, want := range map[string]string{
		"0198c0de-0000-7000-8000-000000000001": "private-user-0198c0de-0000-7000-8000-000000000001",
		"ann@school.org":                       "private-user-ann@school.org",
		"auth0|42":                             "private-user-auth0=7C42",
		"a=7C":                                 "private-user-a=3D7C",
		"Zoë:1":                                "private-user-Zo=C3=AB=3A1",
		long:                                   "private-user-" + long,
		long + "a":                             "private-user-=he03013400c0bddd83e6d7d14ce28c3ecd8afd02a789651f54d7f4273dc0528eb",
		"":                                     "",
	} {
		got := notify.UserChannel(id)
		if got != want {
			t.Errorf("UserChannel(%q) = %q, want %q", id, got, want)
		}
		if id != "" && !notify.ValidChannel(got) {
			t.Errorf("UserChannel(%q) = %q is not valid", id, got)
		}
	}
}

func FuzzUserChannel(f *testing.F) {
	f.Add("ann", "Ann")
	f.Add("a=7C", "a|")
	f.Add(strings.Repeat("|", 60), strings.Repeat("|", 61))
	f.Fuzz(func(t *testing.T, a, b string) {
		ca, cb := notify.UserChannel(a), notify.UserChannel(b)
		if a != "" && !notify.ValidChannel(ca) {
			t.Errorf("%q is no channel name", ca)
		}
		if (a == b) != (ca == cb) {
			t.Errorf("%q and %q have the channels %q and %q", a, b, ca, cb)
		}
	})
}

// secret is planted wherever somebody else's words can stand. It is no subject token, so no kind can be spelled like it.
const secret = "PLANTED!secret"

func talkative() []events.Payload {
	return []events.Payload{
		events.Queued{Kind: "quiz", Input: json.RawMessage(`{"a":"` + secret + `"}`), UserID: secret, Labels: map[string]string{secret: secret}},
		events.Queued{Kind: secret, Replay: &events.Replay{By: secret, Reason: secret}},
		events.Started{Attempt: 1, Worker: secret},
		events.Step{Name: secret, Output: json.RawMessage(`"` + secret + `"`), Provenance: &events.Provenance{Model: secret}},
		events.Progress{Percent: 1e300, Step: secret, Message: secret},
		events.Text{Step: secret, Run: 1, Text: secret},
		events.Retrying{Cause: secret, Error: secret},
		events.Completed{Result: json.RawMessage(`{"a":["` + secret + `"]}`)},
		events.Failed{Error: secret, Raw: []byte(secret)},
		events.Cancelled{By: secret, Reason: secret},
		events.Discarded{By: secret, Reason: secret},
	}
}

// The fuzz test below looks for what must not be there; this one sees that the same words do reach private channels.
func TestRoute_TellsPrivateChannelsWhatPublicOnesMustNotKnow(t *testing.T) {
	t.Parallel()
	for _, p := range talkative() {
		var private, public int
		for _, m := range notify.Route(event(t, "school", "task", p), notify.Snapshot{Kind: "quiz", UserID: "teacher"}) {
			if strings.HasPrefix(m.Channel, "private-") {
				private += bytes.Count(m.Data, []byte(secret))
			} else {
				public += bytes.Count(m.Data, []byte(secret)) + bytes.Count(m.Fallback, []byte(secret))
			}
		}
		if private == 0 || public != 0 {
			t.Errorf("%s: the secret stands %d times on private and %d times on public channels", p.EventType(), private, public)
		}
	}
}

func FuzzRoute(f *testing.F) {
	for _, p := range talkative() {
		data, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(p.EventType()), data, secret, secret, uint64(7), int64(1_700_000_000))
	}
	f.Add("task.completed", []byte(`{"result":`), "quiz", "ann", uint64(0), int64(1<<62))
	f.Fuzz(func(t *testing.T, typ string, data []byte, kind, user string, seq uint64, unix int64) {
		e := events.Event{
			ID: secret, Type: events.Type(typ), Source: secret, Time: time.Unix(unix, 0), Tenant: "planted-tenant", Task: "task",
			Data: data, Seq: seq,
		}
		for _, m := range notify.Route(e, notify.Snapshot{Kind: kind, UserID: user}) {
			if !notify.ValidChannel(m.Channel) || len(m.Data) > notify.MaxData || (m.Fallback != nil) != e.Type.Terminal() {
				t.Errorf("bad message: %+v", m)
			}
			for _, body := range [][]byte{m.Data, m.Fallback} {
				if body == nil {
					continue
				}
				var fields map[string]any
				if err := json.Unmarshal(body, &fields); err != nil {
					t.Fatalf("%s on %s is no JSON object: %v", body, m.Channel, err)
				}
				if strings.HasPrefix(m.Channel, "private-") {
					continue
				}
				for name := range fields {
					if !strings.Contains(" task_id kind state progress timestamp ", " "+name+" ") {
						t.Errorf("%s on %s shows %s", body, m.Channel, name)
					}
				}
				if bytes.Contains(body, []byte(secret)) || bytes.Contains(body, []byte("planted-tenant")) {
					t.Errorf("%s on %s tells a secret", body, m.Channel)
				}
			}
		}
	})
}
