package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/task"
)

const conversations = "/api/v1/ai-chat/conversations"

// converse begins a conversation of ada's, with a message that is being answered.
func (k *kit) converse() (conversation string, m chat.Message) {
	k.t.Helper()
	made := k.do(ask{method: http.MethodPost, path: conversations})
	k.want(made, http.StatusCreated, "")
	conversation = decode[chat.Conversation](k.t, made).ID
	sent := k.do(ask{method: http.MethodPost, path: conversations + "/" + conversation + "/messages", body: `{"text":"A quiz, please"}`})
	k.want(sent, http.StatusAccepted, "")
	return conversation, decode[chat.Message](k.t, sent)
}

func (k *kit) replied(m chat.Message, text string) {
	k.t.Helper()
	result, _ := json.Marshal(chat.Answer{Text: text, Tools: []chat.ToolUse{{N: 1, Name: chat.ToolSubmit, Kind: "quiz", TaskID: "t1", OK: true}}})
	k.next(m.TaskID, events.Completed{Attempt: 1, Result: result, Provenance: events.Provenance{Provider: "offline"}})
}

// write reports a piece of text of the attempt that began with e.
func (k *kit) write(m chat.Message, e events.Event, round, offset int, text string) {
	k.t.Helper()
	piece, err := events.New("school", m.TaskID, "/w1", events.Text{Attempt: 1, Step: "reply-1", Run: events.TextRun(e.Seq, round), Offset: offset, Text: text})
	if err == nil {
		err = k.memory.Report(k.t.Context(), piece)
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

func TestChat_FromMessageToAnswer(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id, m := k.converse()
	at := conversations + "/" + id
	k.want(k.do(ask{method: http.MethodPost, path: at + "/messages", body: `{"text":"And another"}`}), http.StatusConflict, "conflict")
	k.next(m.TaskID, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	k.replied(m, "I have started it.")
	page := decode[struct {
		Messages []chat.Message
	}](t, k.do(ask{method: http.MethodGet, path: at + "/messages"}))
	if len(page.Messages) != 1 || page.Messages[0].State != chat.Answered || page.Messages[0].Answer.Text != "I have started it." {
		t.Errorf("%+v", page)
	}
	if c := decode[chat.Conversation](t, k.do(ask{method: http.MethodGet, path: at})); c.Title != "A quiz, please" || c.Turns != 1 {
		t.Errorf("%+v", c)
	}
	k.want(k.do(ask{method: http.MethodPatch, path: at, body: `{"title":"Rome","archived":true}`}), http.StatusOK, "")
	k.want(k.do(ask{method: http.MethodPost, path: at + "/messages", body: `{"text":"And another"}`}), http.StatusConflict, "conflict")
	k.want(k.do(ask{method: http.MethodPost, path: at + "/cancel"}), http.StatusConflict, "conflict")
	k.want(k.do(ask{method: http.MethodGet, path: conversations + "?state=archived"}), http.StatusOK, "")
	k.want(k.do(ask{method: http.MethodDelete, path: at}), http.StatusOK, "")
	k.want(k.do(ask{method: http.MethodGet, path: at + "/messages/" + m.ID}), http.StatusNotFound, "not_found")
}

func TestChat_AMessageIsSentOnceUnderItsKey(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	made := k.do(ask{method: http.MethodPost, path: conversations, body: `{"title":"Rome"}`})
	path := conversations + "/" + decode[chat.Conversation](t, made).ID + "/messages"
	key := http.Header{"Idempotency-Key": {"k1"}}
	first := k.do(ask{method: http.MethodPost, path: path, body: `{"text":"hello"}`, header: key})
	again := k.do(ask{method: http.MethodPost, path: path, body: `{"text":"hello"}`, header: key})
	k.want(first, http.StatusAccepted, "")
	k.want(again, http.StatusOK, "")
	if decode[chat.Message](t, first).ID != decode[chat.Message](t, again).ID || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%s and %s", first.raw, again.raw)
	}
	k.want(k.do(ask{method: http.MethodPost, path: path, body: `{"text":"other"}`, header: key}), http.StatusConflict, "conflict")
	k.want(k.do(ask{method: http.MethodPost, path: "/api/v1/tasks", body: `{"kind":"quiz","input":` + quizInput + `}`, header: http.Header{"Idempotency-Key": {"chat:x"}}}),
		http.StatusBadRequest, "invalid")
}

// Nobody else of the school, admins among them, finds a conversation or reads what its tasks hold, however they ask.
func TestChat_IsForItsUserAlone(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id, m := k.converse()
	for _, as := range []string{token(t, auth.Teacher, "eve"), token(t, auth.Admin, "root")} {
		for _, a := range []ask{
			{method: http.MethodGet, path: conversations + "/" + id},
			{method: http.MethodPatch, path: conversations + "/" + id, body: `{"archived":true}`},
			{method: http.MethodDelete, path: conversations + "/" + id},
			{method: http.MethodGet, path: conversations + "/" + id + "/messages"},
			{method: http.MethodPost, path: conversations + "/" + id + "/messages", body: `{"text":"hello"}`},
			{method: http.MethodPost, path: conversations + "/" + id + "/cancel"},
			{method: http.MethodGet, path: conversations + "/" + id + "/messages/" + m.ID},
			{method: http.MethodGet, path: conversations + "/" + id + "/messages/" + m.ID + "/stream"},
			{method: http.MethodGet, path: "/api/v1/tasks/" + m.TaskID},
			{method: http.MethodGet, path: "/api/v1/tasks/" + m.TaskID + "/events"},
			{method: http.MethodDelete, path: "/api/v1/tasks/" + m.TaskID},
		} {
			a.as = as
			k.want(k.do(a), http.StatusNotFound, "not_found")
		}
		if list := k.do(ask{method: http.MethodGet, path: conversations, as: as}); strings.Contains(string(list.raw), id) {
			t.Errorf("%s", list.raw)
		}
	}
	k.want(k.do(ask{method: http.MethodGet, path: "/api/v1/tasks/" + m.TaskID}), http.StatusOK, "")
	k.fail(m.TaskID, events.CauseBug)
	dead := k.admin(http.MethodGet, "/api/v1/admin/dead-letters/"+m.TaskID, "")
	if dead.status != http.StatusOK || strings.Contains(string(dead.raw), "A quiz, please") {
		t.Errorf("%d %s", dead.status, dead.raw)
	}
	k.want(k.admin(http.MethodPost, "/api/v1/admin/dead-letters/"+m.TaskID+"/replay", `{"input":{}}`), http.StatusConflict, "conflict")
}

func TestChat_ATurnIsNoKindThatCallersMayName(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.want(k.do(ask{method: http.MethodPost, path: "/api/v1/tasks", body: `{"kind":"chat","input":{}}`}), http.StatusBadRequest, "invalid")
	k.want(k.do(ask{method: http.MethodGet, path: "/api/v1/agents/chat"}), http.StatusNotFound, "not_found")
	if list := k.do(ask{method: http.MethodGet, path: "/api/v1/agents"}); strings.Contains(string(list.raw), `"chat"`) {
		t.Errorf("%s", list.raw)
	}
}

// What a message may start is what its user may: a key without roblox:deploy does not give it away to a chat.
func TestChat_MayStartWhatItsUserMay(t *testing.T) {
	t.Parallel()
	asset := task.Kind{
		Name: "roblox_asset", InputSchema: json.RawMessage(`{"type":"object"}`), OutputSchema: json.RawMessage(`{"type":"object"}`), Example: json.RawMessage(`{}`),
	}
	k := newKitOf(t, append(kinds(), asset))
	may := func(m chat.Message) []string {
		history, err := k.memory.History(t.Context(), "school", m.TaskID, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		q, err := events.DataAs[events.Queued](history[0])
		var in chat.Input
		if err == nil {
			err = json.Unmarshal(q.Input, &in)
		}
		if err != nil {
			t.Fatal(err)
		}
		return in.May
	}
	if _, m := k.converse(); strings.Join(may(m), " ") != "quiz code_review roblox_asset" {
		t.Error(may(m))
	}
	k.keys["tbai_narrow"] = auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher, KeyID: "k", Scopes: []auth.Scope{auth.TasksWrite, auth.TasksRead}}
	made := k.do(ask{method: http.MethodPost, path: conversations, as: "-", header: http.Header{"X-Api-Key": {"tbai_narrow"}}})
	sent := k.do(ask{
		method: http.MethodPost, path: conversations + "/" + decode[chat.Conversation](t, made).ID + "/messages", body: `{"text":"hello"}`, as: "-",
		header: http.Header{"X-Api-Key": {"tbai_narrow"}},
	})
	if m := decode[chat.Message](t, sent); strings.Join(may(m), " ") != "quiz code_review" {
		t.Error(may(m))
	}
}

// A client that is cut off goes on behind the last id: it hears each piece once, what is void is taken back, and after the end there is nothing.
func TestChat_AStreamGoesOnBehindTheLastID(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	server := httptest.NewServer(k.handler)
	defer server.Close()
	id, m := k.converse()
	started := k.next(m.TaskID, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	k.write(m, started, 0, 0, "Hello ")
	path := server.URL + conversations + "/" + id + "/messages/" + m.ID + "/stream"

	first := k.listen(path, "text/event-stream", "")
	got := first.until(t, 1)
	first.close()
	if got[0].event != "delta" || got[0].data != `{"text":"Hello "}` {
		t.Fatalf("%+v", got)
	}
	k.write(m, started, 0, 6, "Ada")
	k.write(m, started, 1, 0, "Good day")
	second := k.listen(path, "text/event-stream", got[0].id)
	all := second.until(t, 3)
	k.replied(m, "Good day")
	all = append(all, second.until(t, 1)...)
	second.close()
	last := all[len(all)-1]
	var said []string
	for _, f := range all[:len(all)-1] {
		said = append(said, f.event+f.data)
	}
	if text := strings.Join(said, " "); !strings.HasSuffix(text, `restart{"keep":0} delta{"text":"Good day"}`) || strings.Contains(text, "Hello") {
		t.Errorf("%s", text)
	}
	if last.event != "done" || last.id != "end" || !strings.Contains(last.data, `"state":"answered"`) {
		t.Errorf("%+v", last)
	}
	k.want(k.raw(ask{method: http.MethodGet, path: strings.TrimPrefix(path, server.URL), header: http.Header{"Last-Event-Id": {"end"}, "Accept": {"text/event-stream"}}}),
		http.StatusNoContent, "")
	k.want(k.raw(ask{method: http.MethodGet, path: strings.TrimPrefix(path, server.URL), header: http.Header{"Last-Event-Id": {"7"}, "Accept": {"text/event-stream"}}}),
		http.StatusBadRequest, "invalid")
	late := k.raw(ask{method: http.MethodGet, path: strings.TrimPrefix(path, server.URL), header: http.Header{"Accept": {"application/x-ndjson"}}})
	lines := strings.Split(strings.TrimSpace(string(late.raw)), "\n")
	if late.header.Get("Content-Type") != "application/x-ndjson" || len(lines) != 3 || !strings.HasPrefix(lines[0], `{"event":"tool",`) ||
		!strings.HasPrefix(lines[1], `{"event":"delta",`) || !strings.HasPrefix(lines[2], `{"event":"done","id":"end",`) {
		t.Errorf("%s", late.raw)
	}
}

// listener is a client of a chat's stream.
type listener struct {
	body  *bufio.Scanner
	close func()
}

type chatFrame struct{ id, event, data string }

func (k *kit) listen(url, accept, last string) *listener {
	k.t.Helper()
	ctx, cancel := context.WithCancel(k.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Authorization", "Bearer "+token(k.t, auth.Teacher, "ada"))
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		k.t.Fatal(err, res)
	}
	return &listener{bufio.NewScanner(res.Body), func() { cancel(); res.Body.Close() }}
}

// until reads n events that have data.
func (l *listener) until(t *testing.T, n int) (all []chatFrame) {
	t.Helper()
	var f chatFrame
	for len(all) < n && l.body.Scan() {
		name, value, _ := strings.Cut(l.body.Text(), ": ")
		switch name {
		case "id":
			f.id = value
		case "event":
			f.event = value
		case "data":
			f.data = value
			all, f = append(all, f), chatFrame{}
		}
	}
	if len(all) < n {
		t.Fatalf("the stream ended behind %+v: %v", all, l.body.Err())
	}
	return all
}
