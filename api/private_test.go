package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
)

const confession = "I cannot cope with class 5b"

// confide makes a turn of ada's that a model answered badly, as a dead letter, and a quiz of hers that failed in the same way: the control.
func (k *kit) confide() (private, control string) {
	k.t.Helper()
	made := k.do(ask{method: http.MethodPost, path: conversations})
	var c struct{ ID string }
	_ = json.Unmarshal(made.Data, &c)
	sent := k.do(ask{method: http.MethodPost, path: conversations + "/" + c.ID + "/messages", body: fmt.Sprintf(`{"text":%q}`, confession)})
	k.want(sent, http.StatusAccepted, "")
	var m struct {
		TaskID string `json:"task_id"`
	}
	_ = json.Unmarshal(sent.Data, &m)
	control = k.submit().ID
	for _, id := range []string{m.TaskID, control} {
		k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
		k.next(id, events.Failed{Attempts: 1, Cause: events.CauseInvalidOutput, Error: "it did not work", Refused: []events.Refusal{{
			Attempt: 1, Step: "reply-1", Round: 1, GeneratedBy: "openai/m", PromptVersion: "chat/1", Text: confession, Bytes: len(confession),
			Reasons: []events.Reason{{Field: "answer", Reason: "is unfit"}}, Usage: &events.Usage{Calls: 1, CostKnown: true},
		}}})
	}
	return m.TaskID, control
}

// Why a turn failed is an admin's to know; what was said in it no way of reading, replaying or closing it tells.
func TestPrivate_NoDeadLetterTellsWhatWasSaid(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(k *kit, id string) answer{
		"get":    func(k *kit, id string) answer { return k.admin("GET", deadLetters+"/"+id, "") },
		"list":   func(k *kit, _ string) answer { return k.admin("GET", deadLetters, "") },
		"replay": func(k *kit, id string) answer { return k.admin("POST", deadLetters+"/"+id+"/replay", `{"reason":"x"}`) },
		"discard": func(k *kit, id string) answer {
			return k.admin("POST", deadLetters+"/"+id+"/discard", `{"reason":"x"}`)
		},
		"incidents": func(k *kit, _ string) answer { return k.admin("GET", "/api/v1/admin/incidents", "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			private, control := k.confide()
			got := do(k, private)
			if got.status >= 300 || strings.Contains(string(got.raw), confession) {
				t.Errorf("%d %s", got.status, got.raw)
			}
			if name == "get" || name == "discard" {
				if got := do(k, control); !strings.Contains(string(got.raw), confession) {
					t.Errorf("what is not private is held back, too: %s", got.raw)
				}
			}
		})
	}
}

// For others a private task is in no list, and a cancellation by filter passes it over.
func TestPrivate_IsInNobodyElsesLists(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	_, m := k.converse()
	quiz := k.submit().ID
	for _, c := range []struct {
		role auth.Role
		user string
		sees bool
	}{{auth.Teacher, "ada", true}, {auth.Teacher, "eve", false}, {auth.Admin, "root", false}} {
		got := k.do(ask{method: "GET", path: "/api/v1/tasks", as: token(t, c.role, c.user)})
		if got.status != http.StatusOK || strings.Contains(string(got.raw), m.TaskID) != c.sees || !strings.Contains(string(got.raw), quiz) {
			t.Errorf("%s: %d %s", c.user, got.status, got.raw)
		}
	}
	k.want(k.admin("POST", "/api/v1/tasks/cancel", `{"kinds":["chat","quiz"],"reason":"x"}`), http.StatusBadRequest, "invalid")
	got := k.admin("POST", "/api/v1/tasks/cancel", `{"user":"ada","dry_run":true}`)
	if got.status != http.StatusOK || strings.Contains(string(got.raw), m.TaskID) || !strings.Contains(string(got.raw), quiz) {
		t.Errorf("%d %s", got.status, got.raw)
	}
}

// The tools and resources of MCP say no more than the API: an admin finds nothing of a turn, and its user does.
func TestPrivate_IsHiddenFromMCPClients(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	_, m := k.converse()
	k.next(m.TaskID, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	k.replied(m, confession)
	root, ada := token(t, auth.Admin, "root"), token(t, auth.Teacher, "ada")
	id := fmt.Sprintf(`{"id":%q}`, m.TaskID)
	for tool, arguments := range map[string]string{"get_task": id, "watch_task": id, "cancel_task": id, "list_tasks": `{}`} {
		if text := fmt.Sprintf("%+v", k.callTool(root, tool, arguments)); strings.Contains(text, confession) || strings.Contains(text, `"state"`) {
			t.Errorf("%s: %s", tool, text)
		}
	}
	if text := fmt.Sprintf("%+v", k.callTool(ada, "get_task", id)); !strings.Contains(text, confession) {
		t.Errorf("its user is not told: %s", text)
	}
}

// The tenant's news leave private tasks out, and those of which nobody knows any more whose they were. The control is a quiz.
func TestPrivate_IsNoNewsForTheTenant(t *testing.T) {
	t.Parallel()
	k, n := withNews(t)
	n.tell(t, "school", "t1", events.Queued{Kind: "chat", Input: []byte(`{}`), Priority: events.Normal, Dispatch: 1, UserID: "ada", Private: true})
	n.tell(t, "school", "t1", events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
	n.tell(t, "school", "erased", events.Completed{Attempt: 1, Result: []byte(`{"text":"` + confession + `"}`)})
	_, m := k.converse()
	n.tell(t, "school", m.TaskID, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}) // of which the beginning was not seen
	n.queued(t, "school", "t2", "ada")
	for _, c := range []struct {
		role auth.Role
		user string
		want string
	}{{auth.Teacher, "eve", "[5]"}, {auth.Admin, "root", "[5]"}, {auth.Teacher, "ada", "[1 2 4 5]"}} {
		if got := fmt.Sprint(k.page(c.role, c.user, "?scope=org").seqs()); got != c.want {
			t.Errorf("%s is told of %s, want %s", c.user, got, c.want)
		}
	}
}
