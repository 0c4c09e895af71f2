package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/auth"
	turns "github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

// While the model thinks, its user is disabled, or the key that sent the message is revoked: the assistant starts nothing and says why. What
// somebody else asked for meanwhile is started.
func TestChat_StartsNothingForWhoLostTheirRightsMeanwhile(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}, 8), make(chan struct{})
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		if !strings.Contains(c.System, "You are the assistant") {
			return llmtest.Reply{Text: "{}"}
		}
		if slices.ContainsFunc(c.Turns, func(t llmtest.Turn) bool { return len(t.Results) > 0 }) {
			return llmtest.Reply{Text: "That is all that I can say."}
		}
		reached <- struct{}{}
		<-release
		return llmtest.Reply{Calls: []llm.ToolCall{{
			ID: "call-1", Name: "submit_task", Arguments: json.RawMessage(`{"kind":"quiz","input":{"subject":"History","objectives":["Explain why Rome fell"],"num_questions":2}}`),
		}}}
	})
	a := newAcademy(t)
	a.role("dispatcher")
	a.role("worker", append(scripted(model), "WORKER_KINDS=chat")...)
	d := a.door()
	head := d.head("north", "grace")
	lin := head.member(auth.Teacher, "lin", "Lin Falter", "")
	ada := head.member(auth.Teacher, "ada", "Ada Byron", "")
	key, text := ada.key(auth.TasksRead, auth.TasksWrite)

	say := func(p *person, token string) (path string) {
		t.Helper()
		var c turns.Conversation
		p.do("POST", "/ai-chat/conversations", map[string]string{}, &c)
		var m turns.Message
		p.expect(http.StatusAccepted, "POST", "/ai-chat/conversations/"+c.ID+"/messages", token, map[string]string{"text": "A quiz about Rome, please."}).into(t, &m)
		<-reached
		return "/ai-chat/conversations/" + c.ID + "/messages/" + m.ID
	}
	disabled, revoked, control := say(lin, lin.access), say(ada, text), say(ada, ada.access)
	head.do("POST", "/users/"+lin.ID+"/disable", nil, nil)
	ada.do("DELETE", "/api-keys/"+key.ID, nil, nil)
	close(release)
	head.do("POST", "/users/"+lin.ID+"/enable", nil, nil)
	lin = d.signIn("lin", goodPassword)

	tool := func(p *person, path string) (used turns.ToolUse) {
		t.Helper()
		eventually(t, "the message is answered", func() error {
			var m turns.Message
			p.do("GET", path, nil, &m)
			if m.State != turns.Answered || len(m.Answer.Tools) != 1 {
				return fmt.Errorf("%+v", m)
			}
			used = m.Answer.Tools[0]
			return nil
		})
		return used
	}
	for name, used := range map[string]turns.ToolUse{"disabled": tool(lin, disabled), "key revoked": tool(ada, revoked)} {
		if used.OK || used.TaskID != "" || !strings.Contains(used.Error, "no longer") {
			t.Errorf("%s: %+v", name, used)
		}
	}
	if used := tool(ada, control); !used.OK || used.TaskID == "" {
		t.Errorf("the control: %+v", used)
	}
}
