package chattest

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// now is when the suite's things happen.
var now = time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)

// Conversation returns a conversation of o, to be created.
func Conversation(o chat.Owner, id string, age time.Duration) chat.Conversation {
	return chat.Conversation{ID: id, Owner: o, CreatedAt: now.Add(-age), UpdatedAt: now.Add(-age)}
}

// Message returns an open message, to be added.
func Message(conversation, id string) chat.Message {
	return chat.Message{ID: id, Conversation: conversation, Text: "What is " + id + "? \u00e4\U0001F600", State: chat.Open, TaskID: "task-of-" + id, CreatedAt: now}
}

// Run holds a store against what chat.Store says. open returns an empty one.
func Run(t *testing.T, open func(t *testing.T) chat.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, chat.Store){
		"KeepsConversations":              keepsConversations,
		"KeepsMessages":                   keepsMessages,
		"ShowsNobodyWhatIsSomebodyElses":  showsNobodyElse,
		"HoldsItsBounds":                  holdsItsBounds,
		"LetsOneOfManyBeginATurn":         letsOneBegin,
		"DeletesAConversationAltogether":  deletes,
		"ListsThoseFirstThatWereUsedLast": lists,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

var (
	ada  = chat.Owner{Tenant: "school", UserID: "ada"}
	eve  = chat.Owner{Tenant: "school", UserID: "eve"}
	far  = chat.Owner{Tenant: "other", UserID: "ada"}
	asks = json.RawMessage(`{"text":"hello"}`)
)

func mustCreate(t *testing.T, s chat.Store, c chat.Conversation) {
	t.Helper()
	if err := s.Create(t.Context(), c, 10); err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, what string, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

func keepsConversations(t *testing.T, s chat.Store) {
	c := Conversation(ada, "c1", time.Hour)
	mustCreate(t, s, c)
	got, err := s.Get(t.Context(), ada, "c1")
	if diff := cmp.Diff(c, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	title, archived := "Fractions", true
	got, err = s.Change(t.Context(), ada, "c1", chat.Change{Title: &title, Archived: &archived}, now)
	c.Title, c.Archived, c.UpdatedAt = title, archived, now
	if diff := cmp.Diff(c, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := s.Add(t.Context(), ada, Message("c1", "m1"), asks, "", 10); !fault.Is(err, fault.Conflict) {
		t.Errorf("a message of an archived conversation: %v", err)
	}
}

func keepsMessages(t *testing.T, s chat.Store) {
	mustCreate(t, s, Conversation(ada, "c1", time.Hour))
	m, err := s.Add(t.Context(), ada, Message("c1", "m1"), asks, "What is m1?", 10)
	if err != nil || m.N != 1 {
		t.Fatal(m, err)
	}
	if c, err := s.Get(t.Context(), ada, "c1"); err != nil || c.Title != "What is m1?" || c.Turns != 1 || !c.UpdatedAt.Equal(now) {
		t.Error(c, err)
	}
	if in, err := s.Input(t.Context(), ada, "c1", "m1"); err != nil || string(in) != string(asks) {
		t.Errorf("%s, %v", in, err)
	}
	at := now.Add(time.Second)
	m.State, m.SettledAt = chat.Answered, &at
	m.Answer = &chat.Answer{Text: "A \u0000 number.", Tools: []chat.ToolUse{{N: 1, Name: chat.ToolSubmit, Kind: "quiz", TaskID: "t1", OK: true}}}
	for range 2 {
		if err := s.Settle(t.Context(), ada, m); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Message(t.Context(), ada, "c1", "m1")
	if diff := cmp.Diff(m, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	_, err = s.Input(t.Context(), ada, "c1", "m1")
	wantKind(t, "the input of a settled message", err, fault.NotFound)
	if _, err := s.Add(t.Context(), ada, Message("c1", "m2"), asks, "another", 10); err != nil {
		t.Fatal(err)
	}
	for _, page := range []struct {
		before, limit int
		want          string
	}{{0, 10, "[m2 m1]"}, {0, 1, "[m2]"}, {2, 10, "[m1]"}, {1, 10, "[]"}} {
		found, err := s.Messages(t.Context(), ada, "c1", page.before, page.limit)
		ids := []string{}
		for _, m := range found {
			ids = append(ids, m.ID)
		}
		if err != nil || fmt.Sprint(ids) != page.want {
			t.Errorf("before %d: %v, %v, want %s", page.before, ids, err, page.want)
		}
	}
}

func showsNobodyElse(t *testing.T, s chat.Store) {
	mustCreate(t, s, Conversation(ada, "c1", time.Hour))
	m, err := s.Add(t.Context(), ada, Message("c1", "m1"), asks, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	title := "mine"
	for _, o := range []chat.Owner{eve, far} {
		ctx := t.Context()
		_, err := s.Get(ctx, o, "c1")
		wantKind(t, "get", err, fault.NotFound)
		_, err = s.Change(ctx, o, "c1", chat.Change{Title: &title}, now)
		wantKind(t, "change", err, fault.NotFound)
		wantKind(t, "delete", s.Delete(ctx, o, "c1"), fault.NotFound)
		_, err = s.Add(ctx, o, Message("c1", "m2"), asks, "", 10)
		wantKind(t, "add", err, fault.NotFound)
		_, err = s.Message(ctx, o, "c1", "m1")
		wantKind(t, "message", err, fault.NotFound)
		_, err = s.Input(ctx, o, "c1", "m1")
		wantKind(t, "input", err, fault.NotFound)
		wantKind(t, "settle", s.Settle(ctx, o, m), fault.NotFound)
		if found, err := s.Messages(ctx, o, "c1", 0, 10); len(found) > 0 || err != nil {
			t.Errorf("messages: %v, %v", found, err)
		}
		if page, err := s.List(ctx, o, chat.Filter{Limit: 10}); len(page.Conversations) > 0 || err != nil {
			t.Errorf("list: %v, %v", page, err)
		}
	}
}

func holdsItsBounds(t *testing.T, s chat.Store) {
	mustCreate(t, s, Conversation(ada, "c1", time.Hour))
	wantKind(t, "one conversation too many", s.Create(t.Context(), Conversation(ada, "c2", 0), 1), fault.Conflict)
	if err := s.Create(t.Context(), Conversation(eve, "c3", 0), 1); err != nil {
		t.Error(err)
	}
	m, err := s.Add(t.Context(), ada, Message("c1", "m1"), asks, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	m.State = chat.Cancelled
	if err := s.Settle(t.Context(), ada, m); err != nil {
		t.Fatal(err)
	}
	_, err = s.Add(t.Context(), ada, Message("c1", "m1"), asks, "", 10)
	wantKind(t, "the same message again", err, fault.Conflict)
	_, err = s.Add(t.Context(), ada, Message("c1", "m2"), asks, "", 1)
	wantKind(t, "one message too many", err, fault.Conflict)
}

func letsOneBegin(t *testing.T, s chat.Store) {
	mustCreate(t, s, Conversation(ada, "c1", time.Hour))
	var group sync.WaitGroup
	won := make(chan string, 8)
	for i := range 8 {
		group.Go(func() {
			m, err := s.Add(t.Context(), ada, Message("c1", fmt.Sprint("m", i)), asks, "", 100)
			if err == nil {
				won <- m.ID
			} else if !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(won) != 1 {
		t.Errorf("%d turns began", len(won))
	}
}

func deletes(t *testing.T, s chat.Store) {
	mustCreate(t, s, Conversation(ada, "c1", time.Hour))
	if _, err := s.Add(t.Context(), ada, Message("c1", "m1"), asks, "", 10); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), ada, "c1"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Message(t.Context(), ada, "c1", "m1")
	wantKind(t, "a message of what is deleted", err, fault.NotFound)
	wantKind(t, "deleted twice", s.Delete(t.Context(), ada, "c1"), fault.NotFound)
}

func lists(t *testing.T, s chat.Store) {
	for i := range 5 {
		mustCreate(t, s, Conversation(ada, fmt.Sprint("c", i), time.Duration(i+1)*time.Hour))
	}
	if _, err := s.Add(t.Context(), ada, Message("c4", "m1"), asks, "", 10); err != nil {
		t.Fatal(err)
	}
	archived := true
	if _, err := s.Change(t.Context(), ada, "c1", chat.Change{Archived: &archived}, now); err != nil {
		t.Fatal(err)
	}
	var ids []string
	f := chat.Filter{Limit: 2}
	for pages := 0; pages < 5; pages++ {
		page, err := s.List(t.Context(), ada, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Conversations {
			ids = append(ids, c.ID)
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	if fmt.Sprint(ids) != "[c4 c0 c2 c3]" {
		t.Error(ids)
	}
	_, err := s.List(t.Context(), ada, chat.Filter{Limit: 2, Cursor: "nonsense"})
	wantKind(t, "a cursor of nobody's", err, fault.Invalid)
}
