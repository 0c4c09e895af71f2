package chat_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/chat/chattest"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

var ada = chat.Owner{Tenant: "school", UserID: "ada"}

// world is a service on parts in memory, with one conversation.
type world struct {
	log          *tasktest.Memory
	tasks        *task.Service
	store        *chattest.Memory
	service      *chat.Service
	conversation string
	now          time.Time
}

type tester interface {
	Helper()
	Fatal(args ...any)
	Context() context.Context
}

func newWorld(t tester) *world {
	t.Helper()
	any := json.RawMessage(`{"type":"object"}`)
	catalog, err := task.NewCatalog([]task.Kind{{Name: chat.Kind, Internal: true, InputSchema: any, OutputSchema: any, Example: json.RawMessage(`{}`)}})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{log: tasktest.NewMemory(), store: chattest.NewMemory(), now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	w.tasks, err = task.NewService(task.Config{
		Log: w.log, Queue: w.log, Progress: w.log, Archive: tasktest.Archive{Memory: w.log}, Catalog: catalog, Patience: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.service, err = chat.New(chat.Config{Store: w.store, Tasks: w.tasks, Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.service.Create(t.Context(), ada, "")
	if err != nil {
		t.Fatal(err)
	}
	w.conversation = c.ID
	return w
}

func (w *world) next(t tester, id string, p events.Payload) events.Event {
	t.Helper()
	last, err := w.log.Last(t.Context(), "school", id)
	if err != nil {
		t.Fatal(err)
	}
	e, err := events.New("school", id, "/worker/w1", p)
	if err == nil {
		e.Seq, err = w.log.Append(t.Context(), e, last.Seq)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (w *world) answer(t tester, id, text string) {
	t.Helper()
	w.next(t, id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	result, _ := json.Marshal(chat.Answer{Text: text, Tools: []chat.ToolUse{}})
	w.next(t, id, events.Completed{Attempt: 1, Result: result, Provenance: events.Provenance{Provider: "offline"}})
}

func (w *world) send(t tester, key, text string) (chat.Message, bool) {
	t.Helper()
	m, created, err := w.service.Send(t.Context(), ada, w.conversation, chat.Draft{Text: text, Key: key, May: []string{"quiz"}, Role: "teacher"})
	if err != nil {
		t.Fatal(err)
	}
	return m, created
}

func (w *world) history(t *testing.T, id string) []events.Event {
	t.Helper()
	found, err := w.log.History(t.Context(), "school", id, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The process dies, or the broker is away, when the row is written and the task is not: whoever looks at the message submits it, once.
func TestSend_AMessageWhoseTaskWasNotSubmittedIsHealedByWhoLooks(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(*world) (chat.Message, error){
		"RepeatedWithItsKey": func(w *world) (chat.Message, error) {
			m, created, err := w.service.Send(t.Context(), ada, w.conversation, chat.Draft{Text: "hello", Key: "k", May: []string{"quiz", "terrain"}, Role: "admin"})
			if created {
				t.Error("a message was made anew")
			}
			return m, err
		},
		"Read": func(w *world) (chat.Message, error) {
			page, err := w.service.Messages(t.Context(), ada, w.conversation, 0, 0)
			if err != nil {
				return chat.Message{}, err
			}
			return page.Messages[0], nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.log.SetDown(true)
			if _, _, err := w.service.Send(t.Context(), ada, w.conversation, chat.Draft{Text: "hello", Key: "k", May: []string{"quiz"}, Role: "teacher"}); !fault.Is(err, fault.Unavailable) {
				t.Fatal(err)
			}
			w.log.SetDown(false)
			var m chat.Message
			for range 2 {
				var err error
				if m, err = look(w); err != nil || m.State != chat.Open {
					t.Fatal(m, err)
				}
			}
			history := w.history(t, m.TaskID)
			q, err := events.DataAs[events.Queued](history[0])
			var in chat.Input
			if err == nil {
				err = json.Unmarshal(q.Input, &in)
			}
			if err != nil || len(history) != 1 || !q.Private || q.UserID != "ada" || len(in.May) != 1 || in.Facts.Role != "teacher" {
				t.Errorf("%d events, %+v, %v", len(history), q, err)
			}
			w.answer(t, m.TaskID, "Hello, Ada.")
			if m, err := w.service.Message(t.Context(), ada, w.conversation, m.ID); err != nil || m.State != chat.Answered || m.Answer.Text != "Hello, Ada." {
				t.Error(m, err)
			}
		})
	}
}

// The process dies when the task is submitted and nobody was told: the same request meets its own task.
func TestSend_AMessageWhoseTaskWasSubmittedIsNotSubmittedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, created := w.send(t, "k", "hello")
	again, anew := w.send(t, "k", "hello")
	if !created || anew || first.ID != again.ID || len(w.history(t, first.TaskID)) != 1 {
		t.Errorf("%v %v %+v %+v", created, anew, first, again)
	}
	_, _, err := w.service.Send(t.Context(), ada, w.conversation, chat.Draft{Text: "other", Key: "k"})
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("the key with another text: %v", err)
	}
}

// What was lost for long is not submitted any more: the rights that it was sent with are old.
func TestMessage_WhoseTaskIsLostForLongHasFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.log.SetDown(true)
	_, _, err := w.service.Send(t.Context(), ada, w.conversation, chat.Draft{Text: "hello", Key: "k"})
	if !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	w.log.SetDown(false)
	w.now = w.now.Add(time.Hour)
	page, err := w.service.Messages(t.Context(), ada, w.conversation, 0, 0)
	if err != nil || page.Messages[0].State != chat.Failed || page.Messages[0].Error.Code != "lost" {
		t.Errorf("%+v, %v", page, err)
	}
	if _, created := w.send(t, "", "hello again"); !created {
		t.Error("the conversation is stuck")
	}
}

func TestSend_OneTurnAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, _ := w.send(t, "", "hello")
	_, _, err := w.service.Send(t.Context(), ada, w.conversation, chat.Draft{Text: "and"})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), m.ID) || !strings.Contains(err.Error(), "/cancel") {
		t.Error(err)
	}
	got, err := w.service.Cancel(t.Context(), ada, w.conversation)
	if err != nil || got.State != chat.Cancelled {
		t.Error(got, err)
	}
	if _, err := w.service.Cancel(t.Context(), ada, w.conversation); !fault.Is(err, fault.Conflict) {
		t.Error(err)
	}
	next, _ := w.send(t, "", "and")
	w.answer(t, next.TaskID, "Yes.")
	third, _ := w.send(t, "", "so")
	q, err := events.DataAs[events.Queued](w.history(t, third.TaskID)[0])
	var in chat.Input
	if err == nil {
		err = json.Unmarshal(q.Input, &in)
	}
	if err != nil || len(in.History) != 1 || in.History[0].User != "and" || in.History[0].Assistant != "Yes." {
		t.Errorf("%+v, %v", in, err)
	}
}

// A failed turn that an admin replayed has its answer; what was answered stands also when the log has forgotten its task.
func TestMessage_KeepsUpWithItsTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, _ := w.send(t, "", "hello")
	w.next(t, m.TaskID, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	w.next(t, m.TaskID, events.Failed{Attempts: 1, Cause: events.CauseProvider, Error: "with a secret in it"})
	got, err := w.service.Message(t.Context(), ada, w.conversation, m.ID)
	if err != nil || got.State != chat.Failed || got.Error.Code != "provider" || strings.Contains(got.Error.Message, "secret") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := w.tasks.Replay(t.Context(), "school", m.TaskID, task.ReplayRequest{By: "root", Input: json.RawMessage(`{}`)}); !fault.Is(err, fault.Conflict) {
		t.Errorf("replayed with other words: %v", err)
	}
	if _, err := w.tasks.Replay(t.Context(), "school", m.TaskID, task.ReplayRequest{By: "root"}); err != nil {
		t.Fatal(err)
	}
	w.next(t, m.TaskID, events.Started{Attempt: 1, Dispatch: 2, Worker: "w1"})
	w.next(t, m.TaskID, events.Completed{Attempt: 1, Result: json.RawMessage(`{"text":"Hello.","tools":[]}`)})
	if got, err = w.service.Message(t.Context(), ada, w.conversation, m.ID); err != nil || got.State != chat.Answered {
		t.Errorf("%+v, %v", got, err)
	}
	w.log.SetDown(true)
	if got, err = w.service.Message(t.Context(), ada, w.conversation, m.ID); err != nil || got.Answer.Text != "Hello." {
		t.Errorf("%+v, %v", got, err)
	}
}

// reader shows what a stream tells.
type reader struct {
	at    chat.Position
	shown []uint16
	tools int
	over  bool
}

func (r *reader) hear(told []chat.Told) {
	for _, one := range told {
		switch d := one.Data.(type) {
		case chat.Delta:
			r.shown = append(r.shown, utf16.Encode([]rune(d.Text))...)
		case chat.Restart:
			r.shown = r.shown[:d.Keep]
		case chat.ToolUse:
			r.tools++
		case chat.Done:
			r.over = true
		}
		r.at, _ = chat.ParsePosition(one.At.String())
	}
}

// follow reads until n events came, or the stream ends.
func (w *world) follow(t tester, r *reader, m chat.Message, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	st, err := w.service.Follow(ctx, ada, w.conversation, m.ID, r.at)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	defer func() {
		cancel()
		if st.Events != nil {
			for range st.Events {
			}
		}
	}()
	r.hear(st.Rest)
	if st.Events == nil {
		return
	}
	for range n {
		select {
		case e, open := <-st.Events:
			if !open {
				return
			}
			told, end, err := st.Tell(ctx, e)
			if err != nil {
				t.Fatal(err)
			}
			if r.hear(told); end {
				return
			}
		case <-time.After(30 * time.Millisecond):
			return
		}
	}
}

// However attempts begin anew, and wherever the reader's connection breaks, what is shown at the end is the answer, and each tool was told once.
func TestStream_ReadersThatComeAndGoShowTheAnswer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		m, _ := w.send(t, "", "hello")
		var r reader
		kept, end, tools := "", "", 0
		var run, after uint64
		words := rapid.SampledFrom([]string{"ü", "Hello ", "\U0001F600!", "a longer piece of what is said, ", "x"})
		attempts := rapid.IntRange(1, 4).Draw(t, "attempts")
		for attempt := range attempts {
			started := w.next(t, m.TaskID, events.Started{Attempt: attempt + 1, Dispatch: 1, Worker: "w1"})
			run, end = events.TextRun(started.Seq, 0), kept
			for range rapid.IntRange(0, 5).Draw(t, "pieces") {
				word := words.Draw(t, "word")
				e, err := events.New("school", m.TaskID, "/w1", events.Text{
					Attempt: attempt + 1, Step: "reply", Run: run, After: after, RollbackTo: events.TextLen(kept), Offset: events.TextLen(end), Text: word,
				})
				if err == nil {
					err = w.log.Report(t.Context(), e)
				}
				if err != nil {
					t.Fatal(err)
				}
				end += word
				if rapid.Bool().Draw(t, "read") {
					w.follow(t, &r, m, rapid.IntRange(0, 6).Draw(t, "events"))
				}
			}
			if rapid.Bool().Draw(t, "step") {
				tools++
				output, _ := json.Marshal(chat.ToolUse{N: tools, Name: chat.ToolSubmit, OK: true})
				step := events.Step{Attempt: attempt + 1, Name: chat.ToolStep + "n", Output: output}
				if end != kept {
					kept, after = end, run
					step.Text = &events.TextMark{Run: run, End: events.TextLen(end)}
				}
				w.next(t, m.TaskID, step)
			}
		}
		uses := make([]chat.ToolUse, tools)
		for i := range uses {
			uses[i] = chat.ToolUse{N: i + 1, Name: chat.ToolSubmit, OK: true}
		}
		result, _ := json.Marshal(chat.Answer{Text: end + ".", Tools: uses})
		w.next(t, m.TaskID, events.Completed{Attempt: attempts, Result: result})
		for range 3 {
			w.follow(t, &r, m, 100)
		}
		if got := string(utf16.Decode(r.shown)); !r.over || got != end+"." || r.tools != tools {
			t.Fatalf("over %v, shown %q, want %q; %d tools of %d", r.over, got, end+".", r.tools, tools)
		}
	})
}

func TestParsePosition_TakesWhatStreamsGiveOutAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, p := range []chat.Position{{Seq: 7, Run: 9, End: 3, Tools: 1}, {Over: true}, {}} {
		if got, err := chat.ParsePosition(p.String()); got != p || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	}
	for _, bad := range []string{"7", "1.2.3", "1.2.3.4.5", "-1.2.3.4", "a.b.c.d", "1.2.99999999.4", "1.2.3.99999999", "18446744073709551615.0.0.0"} {
		if _, err := chat.ParsePosition(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
