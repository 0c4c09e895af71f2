package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	turns "github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// assistant is an API that answers each message with streams, one for each time that it is followed, and breaks off behind each.
type assistant struct {
	mu      sync.Mutex
	streams []string
	asked   []string // methods and paths
	said    []string
	last    []string // Last-Event-ID
}

func (a *assistant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/api/v1/ai-chat/conversations"))
	switch {
	case strings.HasSuffix(r.URL.Path, "/stream"):
		a.last = append(a.last, r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		if len(a.streams) > 0 {
			_, _ = io.WriteString(w, a.streams[0])
			a.streams = a.streams[1:]
		}
	case strings.HasSuffix(r.URL.Path, "/messages"):
		var m turns.Message
		_ = json.NewDecoder(r.Body).Decode(&m)
		a.said = append(a.said, m.Text)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"status":"success","data":{"id":"m1","state":"open"}}`)
	default:
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"status":"success","data":{"id":"c1"}}`)
	}
}

// conversed returns a talk with a, and what it prints.
func (a *assistant) conversed(t *testing.T) (c *talk, out, notes *bytes.Buffer) {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	out, notes = &bytes.Buffer{}, &bytes.Buffer{}
	return &talk{remote: remote{URL: server.URL}, out: out, notes: notes}, out, notes
}

func event(name, id, data string) string {
	return fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", id, name, data)
}

const spokenDone = `{"message":{"id":"m1","state":"answered","answer":{"text":"Hello, you.","tools":[]}}}`

func TestChatCommand_ShowsAnAnswerAsItIsWritten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		streams    []string
		out, notes string
		last       string
	}{
		"InPieces": {
			[]string{"retry: 2000\n\n: hello\n\n" + event("delta", "1.1.7.0", `{"text":"Hello, "}`) + event("delta", "1.1.11.0", `{"text":"you."}`) + event("done", "end", spokenDone)},
			"Hello, you.\n", "conversation c1\n", "[]",
		},
		"BrokenOff": {
			[]string{event("delta", "1.1.7.0", `{"text":"Hello, "}`), "", event("delta", "1.1.11.0", `{"text":"you."}`) + event("done", "end", spokenDone)},
			"Hello, you.\n", "conversation c1\n", "[ 1.1.7.0 1.1.7.0]",
		},
		"Restarted": {
			[]string{event("delta", "1.1.9.0", `{"text":"Hello, é!"}`) + event("restart", "1.2.7.0", `{"keep":7}`) + event("delta", "1.2.11.0", `{"text":"you."}`) + event("done", "end", spokenDone)},
			"Hello, é!\nHello, you.\n", "conversation c1\nwhat stands above is void; the answer again:\n", "[]",
		},
		"PiecesLost": {
			[]string{event("delta", "1.1.11.0", `{"text":"you.","missing":7}`) + event("done", "end", spokenDone)},
			"you.\nHello, you.\n", "conversation c1\nwhat stands above is void; the answer again:\n", "[]",
		},
		"WithTools": {
			[]string{event("tool", "1.1.0.1", `{"n":1,"name":"submit_task","kind":"quiz","task_id":"t1","ok":true}`) +
				event("tool", "1.1.0.2", `{"n":2,"name":"get_task","ok":false,"error":"no \u001b[31m such task"}`) +
				event("delta", "1.1.11.0", `{"text":"Hello, you."}`) + event("later", "1", `{}`) + event("done", "end", spokenDone)},
			"Hello, you.\n", "conversation c1\ntool submit_task quiz t1\ntool get_task failed: no \\x1b[31m such task\n", "[]",
		},
		"Controls": {
			[]string{event("delta", "1.1.11.0", `{"text":"a\u001b[2Jb\nc"}`) + event("done", "end", `{"message":{}}`)},
			"a\\x1b[2Jb\nc\n", "conversation c1\n", "[]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &assistant{streams: c.streams}
			talk, out, notes := a.conversed(t)
			if err := talk.say(t.Context(), "Hi"); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.out || notes.String() != c.notes {
				t.Errorf("printed %q and %q", out, notes)
			}
			if c.last != "[]" && fmt.Sprint(a.last) != c.last {
				t.Errorf("followed from %q", a.last)
			}
		})
	}
}

func TestChatCommand_BreaksNoLineThatIsReadTogether(t *testing.T) {
	t.Parallel()
	a := &assistant{streams: []string{event("delta", "1.1.5.0", `{"text":"Hello"}`) + event("tool", "1.1.5.1", `{"n":1,"name":"list_kinds","ok":true}`) + event("done", "end", `{"message":{}}`)}}
	talk, out, _ := a.conversed(t)
	talk.notes, talk.together = out, true
	if err := talk.say(t.Context(), "Hi"); err != nil || out.String() != "conversation c1\nHello\ntool list_kinds\n" {
		t.Errorf("%v, printed %q", err, out)
	}
}

func TestChatCommand_PrintsEventsAsLines(t *testing.T) {
	t.Parallel()
	a := &assistant{streams: []string{event("delta", "1.1.11.0", `{"text":"Hello, you."}`) + event("done", "end", spokenDone)}}
	talk, out, _ := a.conversed(t)
	talk.JSON = true
	if err := talk.say(t.Context(), "Hi"); err != nil {
		t.Fatal(err)
	}
	want := `{"event":"delta","id":"1.1.11.0","data":{"text":"Hello, you."}}` + "\n" + `{"event":"done","id":"end","data":` + spokenDone + "}\n"
	if out.String() != want {
		t.Errorf("printed %s", out)
	}
}

func TestChatCommand_FailsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	a := &assistant{streams: []string{event("delta", "1.1.4.0", `{"text":"Well"}`) + event("error", "end", `{"code":"provider","message":"nobody is there"}`)}}
	talk, out, _ := a.conversed(t)
	err := talk.say(t.Context(), "Hi")
	if err == nil || !strings.Contains(err.Error(), "nobody is there (provider)") || out.String() != "Well\n" {
		t.Errorf("%v, printed %q", err, out)
	}
	for _, text := range []string{" ", strings.Repeat("é", turns.MaxText+1)} {
		var usage *usageError
		if err := talk.say(t.Context(), text); !errors.As(err, &usage) {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}

func TestChatCommand_SaysLineByLine(t *testing.T) {
	t.Parallel()
	done := event("done", "end", spokenDone)
	a := &assistant{streams: []string{done, done, event("error", "end", `{"code":"c","message":"m"}`), done}}
	talk, _, _ := a.conversed(t)
	if err := talk.sayAll(t.Context(), strings.NewReader("one\n\n  \r\ntwo\nthree\nfour\n"), false); err == nil || fmt.Sprint(a.said) != "[one two three]" {
		t.Errorf("%v, said %q", err, a.said)
	}
	if err := talk.sayAll(t.Context(), strings.NewReader("five"), true); err != nil || a.asked[len(a.asked)-2] != "POST /c1/messages" {
		t.Errorf("%v, asked %q", err, a.asked)
	}
	var usage *usageError
	if err := talk.sayAll(t.Context(), strings.NewReader(strings.Repeat("x", maxLine+1)), true); !errors.As(err, &usage) {
		t.Errorf("an endless line: %v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	in, end := io.Pipe()
	defer end.Close()
	if err := talk.sayAll(stopped, in, true); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped while nothing is typed: %v", err)
	}
}

// talkTo runs the command against a site, with a standard input, and returns what it prints to its outputs.
func (s *site) talkTo(input string, args ...string) (out, notes string, code int) {
	s.t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"chat"}, args...)...)
	cmd.Env = append(cleanEnvironment(), "TOOLBOXAI_URL="+s.base, "TOOLBOXAI_TEST_RUN=toolboxai")
	var o, n bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &o, &n
	if err := cmd.Run(); cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return o.String(), n.String(), cmd.ProcessState.ExitCode()
}

func TestChatCommand_TalksToTheAssistant(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t))
	s.role("recorder")
	s.api()
	s.role("worker")
	out, notes, code := s.talkTo("", "Make me a quiz about fractions for grade 4 with 2 questions.")
	first, rest, _ := strings.Cut(notes, "\n")
	conversation, named := strings.CutPrefix(first, "conversation ")
	started, isTool := strings.CutPrefix(strings.TrimSpace(rest), "tool submit_task quiz ")
	if code != exitOK || !named || !isTool || !strings.Contains(out, started) || !strings.HasSuffix(out, "\n") {
		t.Fatalf("exit %d\n%s\n%s", code, out, notes)
	}
	s.await(started, task.Completed)
	out, notes, code = s.talkTo("Is my quiz ready?\n\nIs it ready?\n", "--conversation", conversation)
	if code != exitOK || strings.Count(out, started+"` (quiz) is completed.\n") != 2 || strings.Contains(notes, "conversation") {
		t.Errorf("exit %d\n%s\n%s", code, out, notes)
	}
	out, _, code = s.talkTo("", "--json", "--conversation", conversation, "Is it ready?")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var last heard
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || code != exitOK || last.Event != turns.TellDone || last.ID != "end" {
		t.Errorf("exit %d, %v\n%s", code, err, out)
	}
	if _, notes, code := s.talkTo("", "--conversation", "01a2097c-867f-7199-a2c0-6ec7ee848a70", "Hi"); code != exitFailed || notes == "" {
		t.Errorf("a conversation that is not there: exit %d\n%s", code, notes)
	}
	if _, notes, code := s.talkTo("", "--conversation", conversation, strings.Repeat("x", turns.MaxText+1)); code != exitUsage || !strings.Contains(notes, "8000") {
		t.Errorf("too much at once: exit %d\n%s", code, notes)
	}
}

// Ctrl-C ends the turn with the command.
func TestChatCommand_CancelsTheTurn(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	defer close(never)
	model := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply {
		return llmtest.Reply{Text: "This goes on and on, and never ends.", Delta: 8, Hold: never, HoldAfter: 3}
	})
	s := newSite(t, pgtest.New(t))
	s.role("recorder")
	s.api()
	s.role("worker", scripted(model)...)
	conversation := s.converse()
	p := start(t, "toolboxai", []string{"TOOLBOXAI_URL=" + s.base}, "chat", "--conversation", conversation, "Hi")
	p.says("This goes on")
	p.signal(os.Interrupt)
	if code := p.cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(p.output.String(), "the turn is cancelled") {
		t.Errorf("exit %d\n%s", code, p.output)
	}
	var page struct{ Messages []turns.Message }
	if err := s.get("/api/v1/ai-chat/conversations/"+conversation+"/messages", &page); err != nil || len(page.Messages) != 1 || page.Messages[0].State != turns.Cancelled {
		t.Errorf("%+v, %v", page.Messages, err)
	}
}
