// Package chat is the agent that answers a message of a conversation: see package internal/chat for what a conversation is.
//
// The model talks and may call tools: submit_task starts a task in the user's name, list_kinds says what there is and what it takes,
// get_task what became of a task that the conversation started. Each turn of the model and each call of a tool is a step, so that
// an attempt that follows a crash says and starts nothing twice: the idempotency key of what is started is made of the turn's task and
// the number of the call, which are the same whenever it is tried.
//
// What may be started is decided before the model is asked: the kinds that the user could submit themself when they sent the message.
// No word of the conversation, the model's included, widens that, and user and tenant are those of the task. Whether the user still has the
// rights of then is for the Submitter to find out at each call.
package chat

import (
	"context"
	"embed"
	"fmt"
	"unicode/utf8"

	turns "github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

//go:embed *.json prompts
var files embed.FS

// promptVersion is raised with every change of a prompt.
const promptVersion = 1

const (
	// MaxSubmissions is how many tasks one message can start.
	MaxSubmissions = 3
	// maxAnswer bounds what the model says in one go, in characters.
	maxAnswer = 24_000
)

// Config is what New needs.
type Config struct {
	Client    llm.Client
	Catalog   *task.Catalog // of what can be started
	Submitter Submitter     // nil: nothing can be started
}

// New returns the agent of the internal kind chat.
func New(cfg Config) (workers.Agent, error) {
	if cfg.Catalog == nil {
		return nil, fmt.Errorf("chat: Config.Catalog is missing")
	}
	return ask.NewAgent(cfg.Client, files, promptVersion, task.Kind{
		Name:        turns.Kind,
		Title:       "Chat",
		Description: "Answers a message to the assistant, and starts tasks for its user.",
		Internal:    true,
	}, func(ctx context.Context, run *workers.Run, author *ask.Author, in turns.Input) (turns.Answer, error) {
		return newTurn(cfg, run, in).answer(ctx, author)
	})
}

// Circumstances are what the model, and the composer, know beside what was said.
type Circumstances struct {
	turns.Facts
	May   []Offer   `json:"may_start"`
	Tasks []Started `json:"started_before"`
}

// Offer is a kind that may be started.
type Offer struct {
	Kind        string `json:"kind"`
	Description string `json:"description"`
}

// Started is a task that the conversation started before.
type Started struct {
	TaskID string `json:"task_id"`
	Kind   string `json:"kind,omitempty"`
}

// replyInput is the input of the prompt reply.
type replyInput struct {
	Text          string        `json:"text"`
	Circumstances Circumstances `json:"circumstances"`
}

func (t *turn) answer(ctx context.Context, author *ask.Author) (turns.Answer, error) {
	text, err := ask.Converse(ctx, t.run, author, ask.Talk{
		Prompt: "reply", Input: replyInput{t.in.Text, t.circumstances()}, Messages: said(t.in.History), Tools: t.tools(),
		Limits: llm.ToolLimits{Rounds: 6, Calls: 12, Timeout: callTime, Total: 3 * callTime, Result: maxTold},
		Doing:  "Answering", From: 5, To: 95, Length: 1500, MaxTokens: 4000, Creative: 0.4, Check: checkText,
	})
	if err != nil {
		return turns.Answer{}, err
	}
	return turns.Answer{Text: text, Tools: t.used}, nil
}

func (t *turn) circumstances() Circumstances {
	c := Circumstances{Facts: t.in.Facts, May: []Offer{}, Tasks: []Started{}}
	for _, k := range t.may {
		c.May = append(c.May, Offer{k.Name, k.Description})
	}
	kinds := map[string]string{}
	for _, h := range t.in.History {
		for _, u := range h.Tools {
			kinds[u.TaskID] = u.Kind
		}
	}
	for _, id := range t.in.Tasks {
		c.Tasks = append(c.Tasks, Started{id, kinds[id]})
	}
	return c
}

func said(history []turns.Turn) []llm.Message {
	var all []llm.Message
	for _, h := range history {
		all = append(all, llm.Message{Role: llm.RoleUser, Text: h.User}, llm.Message{Role: llm.RoleAssistant, Text: h.Assistant})
	}
	return all
}

func checkText(text string) []fault.Detail {
	if n := utf8.RuneCountInString(text); n == 0 || n > maxAnswer {
		return []fault.Detail{{Field: "answer", Reason: fmt.Sprintf("has %d characters, must have 1 to %d", n, maxAnswer)}}
	}
	return quality.Safe("answer", text)
}
