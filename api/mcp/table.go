package mcp

import (
	"encoding/json"
	"maps"
	"slices"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// Operations of the API that more than one thing here asks for.
const (
	opSubmit = "SubmitTask"
	opTask   = "GetTask"
	opEvents = "GetTaskEvents"
	opKinds  = "ListAgents"
	opKind   = "GetAgent"
)

// A place is where an argument stands in a request.
type place int

const (
	inBody place = iota
	inPath
	inQuery
	inHeader
)

// argument is one of a tool's.
type argument struct {
	name     string
	at       place
	as       string // its name there; name when empty
	required bool
	schema   string // JSON Schema
}

func (a argument) there() string {
	if a.as != "" {
		return a.as
	}
	return a.name
}

// tool is an operation of the API as a tool.
type tool struct {
	name, title, about string
	operation          string // its operationId
	method, path       string // such as "DELETE" and "/tasks/{id}"
	arguments          []argument
	reads              bool // it changes nothing
	destroys           bool // what it does cannot be undone
	repeats            bool // doing it twice is doing it once

	run run // nil: one request, whose data is the answer
}

const (
	schemaID       = `{"type":"string","minLength":1,"maxLength":64,"description":"The task's id."}`
	schemaReason   = `{"type":"string","minLength":1,"maxLength":500,"description":"Why; it goes on record."}`
	schemaInput    = `{"type":"object","description":"What the kind takes: see list_kinds."}`
	schemaCursor   = `{"type":"string","minLength":1,"maxLength":512,"description":"next of the page before."}`
	schemaLimit    = `{"type":"integer","minimum":1,"maximum":200,"description":"Entries of a page; 50 when absent."}`
	schemaTime     = `{"type":"string","format":"date-time"}`
	schemaNames    = `{"type":"array","maxItems":32,"items":{"type":"string","minLength":1,"maxLength":64},"description":"Any of these kinds."}`
	schemaKey      = `{"type":"string","minLength":1,"maxLength":128,"pattern":"^[A-Za-z0-9][A-Za-z0-9._-]*$","description":"The entry's key."}`
	schemaPriority = `{"type":"string","enum":["low","normal","high","critical"],"description":"How long it stays when there is no room for all."}`
)

// tools is what there is. Whether somebody may use one is the API's to say: see the operation's rule.
func tools() []tool {
	id := argument{name: "id", at: inPath, required: true, schema: schemaID}
	reason := argument{name: "reason", schema: schemaReason}
	return []tool{
		{
			name: "submit_task", title: "Submit a task", operation: opSubmit, method: "POST", path: "/tasks", repeats: true,
			about: "Starts an agent on a task and returns at once with the task's id. Follow it with watch_task. Repeat a call with the same idempotency_key freely: it makes one task.",
			arguments: []argument{
				{name: "kind", required: true, schema: `{"type":"string","minLength":1,"maxLength":64,"description":"Which agent: see list_kinds."}`},
				{name: "input", required: true, schema: schemaInput},
				{name: "priority", schema: `{"type":"string","enum":["low","normal","high","urgent","critical"]}`},
				{name: "labels", schema: `{"type":"object","maxProperties":16,"additionalProperties":{"type":"string","maxLength":63},"description":"To find the task by."}`},
				{name: "cache", schema: `{"type":"boolean","description":"false: models answer for this task alone, nothing comes from a cache."}`},
				{name: "idempotency_key", at: inHeader, as: "Idempotency-Key", schema: `{"type":"string","minLength":1,"maxLength":255,"pattern":"^[ -~]*$"}`},
			},
		},
		{
			name: "watch_task", title: "Wait for a task", operation: opEvents, method: "GET", path: "/tasks/{id}/events", reads: true, run: watch,
			about:     "Waits until a task is finished, at most timeout_seconds, and returns it with its result. Reports progress on the way. Call it again while finished is false.",
			arguments: []argument{id, {name: argTimeout, schema: `{"type":"integer","minimum":1,"maximum":60,"description":"30 when absent."}`}},
		},
		{
			name: "get_task", title: "Read a task", operation: opTask, method: "GET", path: "/tasks/{id}", reads: true,
			about: "Returns a task as it stands, with its result or failure when it is finished.", arguments: []argument{id},
		},
		{
			name: "list_tasks", title: "List tasks", operation: "ListTasks", method: "GET", path: "/tasks", reads: true,
			about: "Lists tasks, newest first, without their inputs and results.",
			arguments: []argument{
				{name: "state", at: inQuery, schema: `{"type":"array","maxItems":7,"items":{"enum":["queued","running","retrying","waiting","completed","failed","cancelled"]}}`},
				{name: "kind", at: inQuery, schema: schemaNames},
				{name: "label", at: inQuery, schema: `{"type":"array","maxItems":16,"items":{"type":"string"},"description":"name:value; a task must have all."}`},
				{name: "user", at: inQuery, schema: `{"type":"string","minLength":1,"maxLength":128,"description":"Only tasks that this user submitted."}`},
				{name: "created_after", at: inQuery, schema: schemaTime}, {name: "created_before", at: inQuery, schema: schemaTime},
				{name: "cursor", at: inQuery, schema: schemaCursor}, {name: "limit", at: inQuery, schema: schemaLimit},
			},
		},
		{
			name: "cancel_task", title: "Cancel a task", operation: "CancelTask", method: "DELETE", path: "/tasks/{id}", destroys: true, repeats: true,
			about: "Withdraws a task that is not finished.", arguments: []argument{id, {name: "reason", at: inQuery, schema: schemaReason}},
		},
		{
			name: "list_kinds", title: "List the kinds of tasks", operation: opKinds, method: "GET", path: "/agents", reads: true, run: listKinds,
			about:     "Lists the kinds of tasks with the schema of their inputs and an example; of one kind also the schema of its results.",
			arguments: []argument{{name: argKind, schema: `{"type":"string","minLength":1,"maxLength":64,"description":"Only this kind, by name or alias."}`}},
		},
		{
			name: "list_dead_letters", title: "List dead letters", operation: "ListDeadLetters", method: "GET", path: "/admin/dead-letters", reads: true,
			about: "Lists failed tasks on which no admin has decided yet, newest first.",
			arguments: []argument{
				{name: "kind", at: inQuery, schema: schemaNames},
				{name: "cause", at: inQuery, schema: `{"type":"array","maxItems":12,"items":{"type":"string"},"description":"Any of these causes of the last failure."}`},
				{name: "fingerprint", at: inQuery, schema: `{"type":"string","minLength":1,"maxLength":128,"description":"Only failures with this fingerprint."}`},
				{name: "created_after", at: inQuery, schema: schemaTime}, {name: "created_before", at: inQuery, schema: schemaTime},
				{name: "cursor", at: inQuery, schema: schemaCursor}, {name: "limit", at: inQuery, schema: schemaLimit},
			},
		},
		{
			name: "get_dead_letter", title: "Read a dead letter", operation: "GetDeadLetter", method: "GET", path: "/admin/dead-letters/{id}", reads: true,
			about: "Returns a failed task with its input and failure.", arguments: []argument{id},
		},
		{
			name: "replay_dead_letter", title: "Replay a dead letter", operation: "ReplayDeadLetter", method: "POST", path: "/admin/dead-letters/{id}/replay",
			about: "Sends a failed task to the queue again, with another input where one is given.", arguments: []argument{id, {name: "input", schema: schemaInput}, reason},
		},
		{
			name: "discard_dead_letter", title: "Discard a dead letter", operation: "DiscardDeadLetter", method: "POST", path: "/admin/dead-letters/{id}/discard", destroys: true,
			about: "Closes a failed task for good.", arguments: []argument{id, reason},
		},
		{
			name: "context_get", title: "Read your context", operation: "GetAgentContext", method: "GET", path: "/agent-context", reads: true,
			about:     "Returns what was remembered for you: entries by key, what counts most first.",
			arguments: []argument{{name: "key", at: inQuery, schema: schemaKey}},
		},
		{
			name: "context_update", title: "Remember", operation: "UpdateAgentContext", method: "PUT", path: "/agent-context", destroys: true, repeats: true,
			about: "Writes entries, in place of those with the same keys. There is room for 128,000 tokens: what has the lowest priority goes first, and of that the oldest.",
			arguments: []argument{{name: "entries", required: true, schema: `{"type":"array","minItems":1,"maxItems":100,"items":{"type":"object","required":["key","content"],"additionalProperties":false,"properties":{` +
				`"key":` + schemaKey + `,"content":{"type":"string","minLength":1,"maxLength":65536},"priority":` + schemaPriority + `,"source":{"type":"string","maxLength":128}}}}`}},
		},
		{
			name: "context_clear", title: "Forget", operation: "ClearAgentContext", method: "DELETE", path: "/agent-context", destroys: true,
			about: "Forgets the entry of a key, or all of them.", arguments: []argument{{name: "key", at: inQuery, schema: schemaKey}},
		},
		{
			name: "context_priority", title: "Set an entry's priority", operation: "SetContextPriority", method: "PUT", path: "/agent-context/{key}/priority", repeats: true,
			about: "Says how long an entry stays when there is no room for all.",
			arguments: []argument{
				{name: "key", at: inPath, required: true, schema: schemaKey}, {name: "priority", required: true, schema: schemaPriority},
			},
		},
	}
}

// described returns t as clients see it.
func (t tool) described() *sdk.Tool {
	properties, required := map[string]json.RawMessage{}, []string{}
	for _, a := range t.arguments {
		properties[a.name] = json.RawMessage(a.schema)
		if a.required {
			required = append(required, a.name)
		}
	}
	closed := false
	return &sdk.Tool{
		Name: t.name, Title: t.title, Description: t.about,
		InputSchema: map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false},
		Annotations: &sdk.ToolAnnotations{ReadOnlyHint: t.reads, DestructiveHint: &t.destroys, IdempotentHint: t.repeats, OpenWorldHint: &closed},
	}
}

// known returns the names of t's arguments.
func (t tool) known() []string {
	names := map[string]bool{}
	for _, a := range t.arguments {
		names[a.name] = true
	}
	return slices.Sorted(maps.Keys(names))
}
