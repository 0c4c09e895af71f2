package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	turns "github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
)

const (
	callTime   = 20 * time.Second // of one call of a tool: longer than a submission waits for the broker
	maxTold    = 24 << 10         // bytes of what a tool tells the model
	maxSummary = 4 << 10          // bytes of a result in it
	maxError   = 500              // characters of why a tool failed, for the user
)

// Submitter starts and reads tasks in a user's name. It is safe for concurrent use.
type Submitter interface {
	// Submit starts what o asks for, if the turn goes on and its user still may, and returns the task's id. The same key gives the same task, whatever else o says. Its faults of kind
	// Invalid, TooLarge, Forbidden, Conflict and RateLimited are told to the model; any other error has the turn tried again.
	Submit(ctx context.Context, o Order) (taskID string, err error)
	// Task returns a task of a tenant, or NotFound.
	Task(ctx context.Context, tenant, id string) (task.Task, error)
}

// Order asks for one task.
type Order struct {
	Turn task.Task // in whose user's name, and for whom
	// Grounds are those of the message: see there. Nil for one of before there were any.
	Grounds *turns.Grounds
	Key     string // Idempotency-Key
	Kind    string
	Input   json.RawMessage
}

// turn is the work on one message.
type turn struct {
	cfg  Config
	run  *workers.Run
	in   turns.Input
	may  []task.Kind
	used []turns.ToolUse
	own  []string // tasks that the conversation started
}

func newTurn(cfg Config, run *workers.Run, in turns.Input) *turn {
	t := &turn{cfg: cfg, run: run, in: in, used: []turns.ToolUse{}, own: slices.Clone(in.Tasks)}
	for _, k := range cfg.Catalog.Kinds() {
		if slices.Contains(in.May, k.Name) {
			t.may = append(t.may, k)
		}
	}
	return t
}

func (t *turn) tools() []llm.Callable {
	names := []string{}
	for _, k := range t.may {
		names = append(names, k.Name)
	}
	var all []llm.Callable
	add := func(name, description string, required []string, properties map[string]any, call func(context.Context, arguments) (called, error)) {
		schema, _ := json.Marshal(map[string]any{ // plain values: they always encode
			"type": "object", "required": required, "additionalProperties": false, "properties": properties,
		})
		all = append(all, llm.Callable{
			Tool: llm.Tool{Name: name, Description: description, Parameters: schema},
			Call: func(ctx context.Context, raw json.RawMessage) (string, error) { return t.call(ctx, name, raw, call) },
		})
	}
	if len(names) > 0 && t.cfg.Submitter != nil {
		add(turns.ToolSubmit, "Starts a task for the user and answers its id. At most three a message.", []string{"kind", "input"}, map[string]any{
			"kind":  map[string]any{"type": "string", "enum": names},
			"input": map[string]any{"type": "object", "description": "As the kind's input schema says; list_kinds tells it."},
		}, t.submit)
		add(turns.ToolKinds, "Lists the kinds of tasks that may be started or, for one kind, tells the schema of its input with an example.", []string{}, map[string]any{
			"kind": map[string]any{"type": "string", "enum": names},
		}, t.list)
	}
	if t.cfg.Submitter != nil {
		add(turns.ToolTask, "Tells what became of a task that this conversation started.", []string{"task_id"}, map[string]any{
			"task_id": map[string]any{"type": "string", "maxLength": 64},
		}, t.look)
	}
	return all
}

// arguments are those of all tools.
type arguments struct {
	Kind   string          `json:"kind"`
	Input  json.RawMessage `json:"input"`
	TaskID string          `json:"task_id"`
	n      int             // of the call in the turn
}

// called is what a call has on record.
type called struct {
	turns.ToolUse
	Told string `json:"told"` // to the model
}

// call calls a tool in a step. A fault that the model can do something about is its result; with any other the attempt ends.
func (t *turn) call(ctx context.Context, name string, raw json.RawMessage, do func(context.Context, arguments) (called, error)) (string, error) {
	a := arguments{n: len(t.used) + 1}
	if err := json.Unmarshal(raw, &a); err != nil {
		return "", fault.InvalidField("arguments", "cannot be read")
	}
	hashed := struct {
		Name      string
		Arguments json.RawMessage
	}{name, raw}
	done, err := workers.Step(ctx, t.run, fmt.Sprint(turns.ToolStep, a.n), hashed, func(ctx context.Context) (called, error) {
		c, err := do(ctx, a)
		if err != nil {
			if !tellable(err) {
				return called{}, err
			}
			c.Error, c.Told = clip(explain(err), maxError), told(map[string]any{"error": explain(err)})
		}
		c.N, c.Name, c.OK = a.n, name, err == nil
		return c, nil
	})
	if err != nil {
		return "", &ask.StopError{Err: err}
	}
	if t.used = append(t.used, done.ToolUse); name == turns.ToolSubmit && done.TaskID != "" {
		t.own = append(t.own, done.TaskID)
	}
	return done.Told, nil
}

func tellable(err error) bool {
	for _, k := range []fault.Kind{fault.Invalid, fault.TooLarge, fault.Forbidden, fault.Conflict, fault.RateLimited, fault.NotFound} {
		if fault.Is(err, k) {
			return true
		}
	}
	return false
}

func (t *turn) submit(ctx context.Context, a arguments) (called, error) {
	c := called{ToolUse: turns.ToolUse{Kind: a.Kind}}
	if !slices.ContainsFunc(t.may, func(k task.Kind) bool { return k.Name == a.Kind }) {
		return c, fault.New(fault.Forbidden, "the kind %.64q may not be started", a.Kind)
	}
	started := 0
	for _, u := range t.used {
		if u.Name == turns.ToolSubmit && u.OK {
			started++
		}
	}
	if started >= MaxSubmissions {
		return c, fault.New(fault.Conflict, "%d tasks were started for this message, as many as one can start: the user may ask for more in the next one", started)
	}
	if err := t.cfg.Catalog.CheckInput(a.Kind, a.Input); err != nil {
		return c, err
	}
	own := t.run.Task()
	// The keys are as many as the tasks that a turn may start, also when it is dispatched anew and the model thinks of others.
	id, err := t.cfg.Submitter.Submit(ctx, Order{Turn: own, Grounds: t.in.Grounds, Key: fmt.Sprintf("%s%s:%d", turns.KeyPrefix, own.ID, started+1), Kind: a.Kind, Input: a.Input})
	if err != nil {
		return c, err
	}
	c.TaskID, c.Told = id, told(map[string]any{"task_id": id, "kind": a.Kind, "state": "queued"})
	return c, nil
}

func (t *turn) list(_ context.Context, a arguments) (called, error) {
	c := called{ToolUse: turns.ToolUse{Kind: a.Kind}}
	if a.Kind == "" {
		c.Told = told(map[string]any{"kinds": t.circumstances().May})
		return c, nil
	}
	for _, k := range t.may {
		if k.Name == a.Kind {
			c.Told = told(map[string]any{"kind": k.Name, "description": k.Description, "input_schema": k.InputSchema, "example": k.Example})
			return c, nil
		}
	}
	return c, fault.New(fault.Forbidden, "the kind %.64q may not be started", a.Kind)
}

// look tells of a task that the conversation started, and of no other.
func (t *turn) look(ctx context.Context, a arguments) (called, error) {
	c := called{ToolUse: turns.ToolUse{TaskID: a.TaskID}}
	own := t.run.Task()
	if !slices.Contains(t.own, a.TaskID) {
		return c, fault.New(fault.NotFound, "this conversation started no task %.64q", a.TaskID)
	}
	found, err := t.cfg.Submitter.Task(ctx, own.Tenant, a.TaskID)
	if err == nil && found.UserID != own.UserID {
		err = fault.New(fault.NotFound, "this conversation started no task %.64q", a.TaskID)
	}
	if err != nil {
		return c, err
	}
	c.Kind = found.Kind
	summary := map[string]any{"task_id": found.ID, "kind": found.Kind, "state": found.State}
	if found.Failure != nil {
		summary["error"] = clip(found.Failure.Error, maxError)
	}
	if len(found.Result) > 0 {
		summary["result"] = clip(string(found.Result), maxSummary)
	}
	c.Told = told(summary)
	return c, nil
}

func told(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return `{"error":"what is to be told cannot be written"}`
	}
	return string(data)
}

// explain is what a fault says, with its fields.
func explain(err error) string {
	var known *fault.Error
	if !errors.As(err, &known) {
		return "it did not work"
	}
	text := known.Message
	for _, d := range known.Details {
		text += "; " + d.Field + " " + d.Reason
	}
	return text
}

func clip(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}
