package ask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/workers"
)

// Talk asks for an answer in words, for which the model may call tools.
type Talk struct {
	Prompt    string         // which prompt, one without a schema: "reply"
	Input     any            // all that the answer depends on beside Messages; it goes into the prompt and, as JSON, to the composer
	Messages  []llm.Message  // what was said before
	Tools     []llm.Callable // whose Call puts on record what must not be done twice; none that is Masked; see Converse
	Limits    llm.ToolLimits
	Doing     string                           // for progress: "Answering"
	From, To  float64                          // percent of the task's progress before and after
	Length    int                              // characters that the answer is likely to have, for progress; 4000 when 0
	MaxTokens int                              // upper bound of each of the model's turns; 0 takes the client's default
	Creative  float64                          // the model's temperature, 0 to 1
	Check     func(text string) []fault.Detail // rules of what the model says, also of what it says before it calls a tool; may be nil
}

// Converse returns all that the model said, its turns parted by an empty line, as readers of the run's text saw it. Each turn is a step
// of its own, <prompt>-1 and so on, and the calls of tools come between the steps: a Tool's Call may be a step as well, and is called
// again where it is not on record. So an attempt that follows a crash walks through what was said and done to where it ended.
//
// Errors are those of Ask, and what a Call returned as a *StopError.
func Converse(ctx context.Context, run *workers.Run, a *Author, q Talk) (string, error) {
	req, err := a.request(q.Prompt, q.Input)
	if err != nil {
		return "", err
	}
	req.Messages, req.MaxTokens, req.Temperature = q.Messages, q.MaxTokens, q.Creative
	ctx = llm.WithCaller(ctx, caller(run.Task()))
	run.Progress(ctx, q.From, q.Doing)
	t := &talker{run: run, author: a, talk: q}
	tools := make([]llm.Callable, len(q.Tools))
	for i, tool := range q.Tools {
		if tool.Masked {
			return "", fmt.Errorf("the tool %s is somebody else's: what it may be told does not outlive an attempt", tool.Name)
		}
		call := tool.Call
		tool.Call = func(ctx context.Context, arguments json.RawMessage) (string, error) {
			told, err := call(ctx, arguments)
			var stop *StopError
			if errors.As(err, &stop) {
				t.stop = stop.Err
			}
			return told, err
		}
		tools[i] = tool
	}
	_, _, err = llm.CompleteWithTools(ctx, t, req, tools, q.Limits)
	var bad *llm.InvalidOutputError
	switch {
	case t.stop != nil:
		return "", wait(t.stop)
	case errors.As(err, &bad):
		return "", workers.InvalidOutput(bad)
	case err != nil:
		return "", wait(err)
	}
	run.Progress(ctx, q.To, q.Doing)
	return strings.Join(t.said, turnBreak), nil
}

// StopError is what a tool's Call returns where the attempt cannot go on: Converse then returns Err.
type StopError struct{ Err error }

func (e *StopError) Error() string { return e.Err.Error() }
func (e *StopError) Unwrap() error { return e.Err }

// turnBreak parts what a model says before and behind the call of a tool.
const turnBreak = "\n\n"

// talker is a client whose answers are steps of a run.
type talker struct {
	run    *workers.Run
	author *Author
	talk   Talk
	turns  int // on record
	said   []string
	stop   error
}

var _ llm.Client = (*talker)(nil)

// turn is what one step has on record.
type turn struct {
	Text  string         `json:"text"`
	Calls []llm.ToolCall `json:"calls,omitempty"`
}

// Describe implements llm.Client.
func (t *talker) Describe() string { return t.author.client.Describe() }

// Complete implements llm.Client.
func (t *talker) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	if t.stop != nil {
		return llm.Response{}, t.stop
	}
	name := fmt.Sprintf("%s-%d", t.talk.Prompt, t.turns+1)
	hashed := struct {
		Version, Prompt string
		Messages        []llm.Message
		Tools           []llm.Tool
	}{t.author.version, req.Prompt, req.Messages, req.Tools}
	answer, err := workers.Step(ctx, t.run, name, hashed, func(ctx context.Context) (turn, error) { return t.ask(ctx, name, req) })
	if err != nil {
		return llm.Response{}, err
	}
	if t.turns++; answer.Text != "" {
		t.said = append(t.said, answer.Text)
	}
	return llm.Response{Text: answer.Text, Calls: answer.Calls}, nil
}

func (t *talker) ask(ctx context.Context, step string, req llm.Request) (turn, error) {
	meter := newMeter(ctx, t.run, t.talk.Doing, t.talk.From, t.talk.To, t.talk.Length)
	shown, begun := t.run.Text(ctx, step), false
	say := func(text string) {
		if !begun && text != "" && len(t.said) > 0 {
			_, _ = shown.WriteString(turnBreak)
		}
		begun = begun || text != ""
		_, _ = shown.WriteString(text)
	}
	req.OnStart = func() { // a repair takes the place of what it repairs
		begun = false
		shown.Restart()
	}
	var streamed strings.Builder
	req.OnDelta = func(delta string) {
		meter.delta(delta)
		streamed.WriteString(delta)
		say(delta)
	}
	last := &heard{Client: t.author.client, begin: streamed.Reset}
	resp, rounds, err := llm.CompleteValid(ctx, last, req, func(text string) []fault.Detail {
		if text == "" && len(last.calls) > 0 || t.talk.Check == nil {
			return nil
		}
		return t.talk.Check(text)
	})
	if err == nil && streamed.String() != resp.Text { // as readers are to have it
		req.OnStart()
		say(resp.Text)
	}
	record(t.run, t.author, resp, rounds, &withTools{}, err)
	return turn{resp.Text, resp.Calls}, err
}

// heard is a client that remembers which tools its last answer asked for.
type heard struct {
	llm.Client
	begin func()
	calls []llm.ToolCall
}

// Complete implements llm.Client.
func (h *heard) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	h.begin()
	resp, err := h.Client.Complete(ctx, req)
	h.calls = resp.Calls
	return resp, err
}
