package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unicode/utf16"

	"github.com/toolboxai/orchestrator/events"
	turns "github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// heard is one event of a chat's stream.
type heard struct {
	Event string          `json:"event"`
	ID    string          `json:"id"`
	Data  json.RawMessage `json:"data"`
}

// hearing is a chat's stream as a client follows it: it shows what the events say.
type hearing struct {
	mu    sync.Mutex
	all   []heard
	shown []uint16
	ended chan struct{}
	err   error
}

func (h *hearing) apply(e heard) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, e)
	var piece turns.Delta
	var restart turns.Restart
	switch e.Event {
	case turns.TellDelta:
		if err := json.Unmarshal(e.Data, &piece); err != nil {
			return err
		}
		h.shown = append(h.shown, utf16.Encode([]rune(piece.Text))...)
	case turns.TellRestart:
		if err := json.Unmarshal(e.Data, &restart); err != nil {
			return err
		}
		h.shown = h.shown[:restart.Keep]
	}
	return nil
}

// names returns what was told, but for tools, without repetition.
func (h *hearing) names() (names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.all {
		if e.Event != turns.TellTool && (len(names) == 0 || names[len(names)-1] != e.Event) { // a tool may be told behind the text that follows it
			names = append(names, e.Event)
		}
	}
	return names
}

func (h *hearing) count(event string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.all {
		if e.Event == event {
			n++
		}
	}
	return n
}

func (h *hearing) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(utf16.Decode(h.shown))
}

// done returns the message that the stream ended with.
func (h *hearing) done(t *testing.T) turns.Message {
	t.Helper()
	<-h.ended
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil || len(h.all) == 0 || h.all[len(h.all)-1].Event != turns.TellDone {
		t.Fatalf("the stream ended with %v and %s", h.err, h.all[max(0, len(h.all)-3):])
	}
	var d turns.Done
	if err := json.Unmarshal(h.all[len(h.all)-1].Data, &d); err != nil {
		t.Fatal(err)
	}
	return d.Message
}

// say sends a message and follows the answer as lines of JSON.
func (s *site) say(conversation, text string) *hearing {
	s.t.Helper()
	body, _ := json.Marshal(map[string]string{"text": text})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/api/v1/ai-chat/conversations/"+conversation+"/messages", strings.NewReader(string(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/x-ndjson")
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatal(err, res)
	}
	h := &hearing{ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		defer cancel()
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() && h.err == nil {
			var e heard
			if h.err = json.Unmarshal(lines.Bytes(), &e); h.err == nil {
				h.err = h.apply(e)
			}
		}
		h.err = errors.Join(h.err, lines.Err())
	}()
	s.t.Cleanup(func() { cancel(); <-h.ended })
	return h
}

func (s *site) converse() string {
	s.t.Helper()
	status, answer, err := s.request("POST", "/api/v1/ai-chat/conversations", nil, "")
	var c turns.Conversation
	if err == nil {
		err = json.Unmarshal(answer.Data, &c)
	}
	if err != nil || status != http.StatusCreated {
		s.t.Fatal(status, answer.Message, err)
	}
	return c.ID
}

// The worker is killed while it writes the answer, behind a task that it started: another one goes on, the task was started once, and
// the client's stream takes back what was void and ends with what stands there from then on.
func TestChat_TheWorkerIsKilledInMidAnswer(t *testing.T) {
	t.Parallel()
	const answer = "I begin.\n\nThe quiz has begun – it takes a minute."
	quizzes := recordAnswers(t)
	var replies atomic.Int32
	never := make(chan struct{})
	defer close(never)
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		if !strings.Contains(c.System, "You are the assistant") {
			_, text := quizzes.of(c)
			return llmtest.Reply{Text: text}
		}
		if !slices.ContainsFunc(c.Turns, func(t llmtest.Turn) bool { return len(t.Results) > 0 }) {
			return llmtest.Reply{Text: "I begin.", Calls: []llm.ToolCall{{
				ID: "call-1", Name: "submit_task", Arguments: json.RawMessage(`{"kind":"quiz","input":{"subject":"History","objectives":["Explain why Rome fell"],"num_questions":2}}`),
			}}}
		}
		if replies.Add(1) == 1 {
			return llmtest.Reply{Text: "The quiz was begun, and then the worker died in the middle of it.", Delta: 8, Hold: never, HoldAfter: 4}
		}
		return llmtest.Reply{Text: "The quiz has begun – it takes a minute.", Delta: 8}
	})
	s := newSite(t, pgtest.New(t))
	s.role("recorder")
	s.api()
	doomed := s.role("worker", scripted(model)...)
	conversation := s.converse()
	h := s.say(conversation, "A quiz about Rome, please.")
	eventually(t, "the answer is shown in part", func() error {
		if !strings.Contains(h.text(), "The quiz was begun") {
			return fmt.Errorf("shown is %q", h.text())
		}
		return nil
	})
	if status, busy, err := s.request("POST", "/api/v1/ai-chat/conversations/"+conversation+"/messages", nil, `{"text":"And another one"}`); status != http.StatusConflict ||
		!strings.Contains(busy.Message, "being answered") {
		t.Errorf("a second message meanwhile: %d %s %v", status, busy.Message, err)
	}
	doomed.kill()
	s.role("worker", scripted(model)...)

	m := h.done(t)
	if names := fmt.Sprint(h.names()); names != "[delta restart delta done]" {
		t.Errorf("the stream told %s", names)
	}
	if m.Answer.Text != answer || h.text() != answer {
		t.Errorf("the answer is %q, shown is %q", m.Answer.Text, h.text())
	}
	if tools := h.count(turns.TellTool); tools != 1 {
		t.Errorf("%d tools were told", tools)
	}
	quiz := s.await(m.Answer.Tools[0].TaskID, task.Completed)
	if quiz.Origin == nil || quiz.Origin.Chat != m.TaskID {
		t.Errorf("the quiz's origin is %+v", quiz.Origin)
	}
	eventually(t, "the list has one quiz", func() error {
		var page struct {
			Tasks []task.Task `json:"tasks"`
			Stale bool        `json:"stale"`
		}
		if err := s.get("/api/v1/tasks?kind=quiz", &page); err != nil {
			return err
		}
		if page.Stale || len(page.Tasks) == 0 {
			return errors.New("the archive is behind")
		}
		if len(page.Tasks) != 1 {
			t.Fatalf("%d quizzes were started", len(page.Tasks))
		}
		return nil
	})
	var again turns.Message
	if err := s.get("/api/v1/ai-chat/conversations/"+conversation+"/messages/"+m.ID, &again); err != nil || again.State != turns.Answered || again.Answer.Text != answer {
		t.Errorf("read again: %+v, %v", again, err)
	}
	turn, history := s.await(m.TaskID, task.Completed), s.history(m.TaskID)
	steps := 0
	for _, e := range history {
		if e.Type == events.TypeStep {
			steps++
		}
	}
	if turn.Attempt != 2 || outcomes(history) != 1 || steps != 3 || replies.Load() != 2 {
		t.Errorf("attempt %d, %d ends, %d steps, %d second replies", turn.Attempt, outcomes(history), steps, replies.Load())
	}
}

// Without a model the assistant starts what is plainly asked for, and says later what became of it. Nobody can submit a turn, or see its
// kind.
func TestChat_OfflineFromWishToResult(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t))
	s.role("recorder")
	s.api()
	s.role("worker")
	conversation := s.converse()
	m := s.say(conversation, "Make me a quiz about fractions for grade 4 with 2 questions.").done(t)
	if len(m.Answer.Tools) != 1 || !m.Answer.Tools[0].OK || !strings.Contains(m.Answer.Text, m.Answer.Tools[0].TaskID) {
		t.Fatalf("%+v", m.Answer)
	}
	quiz := s.await(m.Answer.Tools[0].TaskID, task.Completed)
	after := s.say(conversation, "Is my quiz ready?").done(t)
	if !strings.Contains(after.Answer.Text, quiz.ID) || !strings.Contains(after.Answer.Text, "completed") {
		t.Errorf("%q", after.Answer.Text)
	}
	status, refused, err := s.request("POST", "/api/v1/tasks", nil, `{"kind":"chat","input":{}}`)
	if status != http.StatusBadRequest || strings.Contains(refused.Message, "chat,") || err != nil {
		t.Errorf("a turn submitted by hand: %d %s %v", status, refused.Message, err)
	}
	if status, _, _ := s.request("GET", "/api/v1/agents/chat", nil, ""); status != http.StatusNotFound {
		t.Errorf("GET /agents/chat: %d", status)
	}
	if status, _, _ := s.request("DELETE", "/api/v1/ai-chat/conversations/"+conversation, nil, ""); status != http.StatusOK {
		t.Errorf("delete: %d", status)
	}
	if status, _, _ := s.request("GET", "/api/v1/ai-chat/conversations/"+conversation+"/messages", nil, ""); status != http.StatusNotFound {
		t.Errorf("read what is deleted: %d", status)
	}
}
