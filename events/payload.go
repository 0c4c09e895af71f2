package events

import (
	"encoding/json"
	"time"
)

// Payload is the body of one event type.
type Payload interface {
	EventType() Type
}

// Queued is the body of task.queued. It holds all that a worker needs, so that a claim reads nothing.
type Queued struct {
	Kind        string            `json:"kind"`
	Input       json.RawMessage   `json:"input"`
	Priority    Lane              `json:"priority"`
	Dispatch    int               `json:"dispatch"` // 1 for the submission, +1 for each replay
	UserID      string            `json:"user_id"`
	RequestHash string            `json:"request_hash,omitempty"` // hex SHA-256 of the canonical request, for idempotency
	Labels      map[string]string `json:"labels,omitempty"`
	Deadline    *time.Time        `json:"deadline,omitempty"`
	NotBefore   *time.Time        `json:"not_before,omitempty"`   // no worker begins earlier
	ExpiresAt   *time.Time        `json:"expires_at,omitempty"`   // the task fails when no worker has begun by then
	TimeoutMS   int64             `json:"timeout_ms,omitempty"`   // of one attempt; 0 takes the worker's
	Cost        float64           `json:"cost,omitempty"`         // estimate, in seconds of a worker's slot; 0 takes the kind's average
	Direct      bool              `json:"direct,omitempty"`       // who wrote this queues it as well; else the dispatcher does
	Names       []string          `json:"names,omitempty"`        // of people in the input: models get pseudonyms in their place
	CallbackURL string            `json:"callback_url,omitempty"` // who is told of the task's end; checked by who wrote this
	NoCache     bool              `json:"no_cache,omitempty"`     // nothing of it comes from a cache, or goes into one
	Private     bool              `json:"private,omitempty"`      // for its user alone: nobody else is told of it, or may read it
	Origin      *Origin           `json:"origin,omitempty"`       // what made the task, when that was no caller
	Replay      *Replay           `json:"replay,omitempty"`       // set when an admin sent a dead letter again
	Resume      *Resume           `json:"resume,omitempty"`       // set when the dispatch continues a task that waited
}

// Origin says which schedule, workflow or turn of a chat made a task.
type Origin struct {
	Schedule string     `json:"schedule,omitempty"`
	Tick     *time.Time `json:"tick,omitempty"` // of the schedule
	Workflow string     `json:"workflow,omitempty"`
	Step     string     `json:"step,omitempty"` // of the workflow
	Chat     string     `json:"chat,omitempty"` // the task of the turn
}

// Resume says what ended a task's wait.
type Resume struct {
	Wait Wait   `json:"wait"`
	Seq  uint64 `json:"seq"` // of the task.waiting event that ended
	Why  string `json:"why,omitempty"`
}

// Replay says who sent a dead letter again, and why.
type Replay struct {
	By       string `json:"by"`
	Reason   string `json:"reason,omitempty"`
	Edited   bool   `json:"edited,omitempty"`   // the input differs from the failed one
	Of       uint64 `json:"of,omitempty"`       // sequence of the task.failed event that it answers
	Campaign string `json:"campaign,omitempty"` // the replay of many that it belongs to
}

// Started is the body of task.started.
type Started struct {
	Attempt  int    `json:"attempt"` // from 1, within the dispatch
	Dispatch int    `json:"dispatch"`
	Worker   string `json:"worker"`
	Version  string `json:"version,omitempty"` // of the agent; later attempts of the dispatch keep to it
}

// Step is the body of task.step: a step, a sleep ("sleep:<name>") or a wait for a signal ("signal:<name>") that is over. The step's
// input is not kept, only its hash.
type Step struct {
	Attempt    int             `json:"attempt"`
	Name       string          `json:"name"`
	InputHash  string          `json:"input_hash"` // hex SHA-256 over the step's name and input and all steps before it: its place in the journal
	Output     json.RawMessage `json:"output,omitempty"`
	OutputRef  *Reference      `json:"output_ref,omitempty"` // stands in for Output when that is large
	Usage      *Usage          `json:"usage,omitempty"`
	Provenance *Provenance     `json:"provenance,omitempty"`
	DurationMS int64           `json:"duration_ms"`
	Text       *TextMark       `json:"text,omitempty"`  // of what was streamed up to the step's end; nil when the step streamed nothing
	Tools      []ToolCall      `json:"tools,omitempty"` // calls of tools of MCP servers since the step before, see KeepToolCalls
}

// Retrying is the body of task.retrying.
type Retrying struct {
	Attempt int       `json:"attempt"`
	Cause   Cause     `json:"cause"`
	Error   string    `json:"error"`
	NextAt  time.Time `json:"next_at"`
	Usage   *Usage    `json:"usage,omitempty"` // of the attempt, beside what its steps have on record

	Provenance *Provenance `json:"provenance,omitempty"` // of Usage
	Refused    []Refusal   `json:"refused,omitempty"`    // the answers that the attempt refused, see KeepRefusals
	Tools      []ToolCall  `json:"tools,omitempty"`      // calls of tools beside what its steps have on record, see KeepToolCalls
}

// Waiting is the body of task.waiting. It ends the dispatch; a task.queued with a Resume begins the next one.
type Waiting struct {
	Attempt int        `json:"attempt"`
	Wait    Wait       `json:"wait"`
	Name    string     `json:"name,omitempty"`  // of the sleep, signal, budget or model
	Until   *time.Time `json:"until,omitempty"` // when the wait ends by itself
	Message string     `json:"message"`         // for people
	Usage   *Usage     `json:"usage,omitempty"` // of the attempt, beside what its steps have on record

	Provenance *Provenance `json:"provenance,omitempty"` // of Usage
	Refused    []Refusal   `json:"refused,omitempty"`    // the answers that the attempt refused, see KeepRefusals
	Tools      []ToolCall  `json:"tools,omitempty"`      // calls of tools beside what its steps have on record, see KeepToolCalls
}

// Signalled is the body of task.signalled.
type Signalled struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data,omitempty"`
	By   string          `json:"by"`
}

// Reference names an object that is too large for an event.
type Reference struct {
	Key    string `json:"key"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"` // hex
}

// Completed is the body of task.completed.
type Completed struct {
	Attempt    int             `json:"attempt"`
	Result     json.RawMessage `json:"result,omitempty"`
	ResultRef  *Reference      `json:"result_ref,omitempty"` // stands in for Result when that is large
	Usage      Usage           `json:"usage"`                // of the task, in all its attempts
	Provenance Provenance      `json:"provenance"`
	Tools      []ToolCall      `json:"tools,omitempty"` // calls of tools beside what its steps have on record, see KeepToolCalls
}

// Failed is the body of task.failed.
type Failed struct {
	Attempts int    `json:"attempts"`
	Cause    Cause  `json:"cause"`
	Error    string `json:"error"`
	Usage    *Usage `json:"usage,omitempty"` // of the task, in all its attempts
	Raw      []byte `json:"raw,omitempty"`   // base64; only for CauseUndecodable

	Provenance *Provenance `json:"provenance,omitempty"` // of what Usage adds to the events before
	Refused    []Refusal   `json:"refused,omitempty"`    // the answers that the last attempt refused, see KeepRefusals
	Tools      []ToolCall  `json:"tools,omitempty"`      // calls of tools beside what its steps have on record, see KeepToolCalls
}

// Cancelled is the body of task.cancelled.
type Cancelled struct {
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
}

// Discarded is the body of task.discarded.
type Discarded struct {
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
}

// Progress is the body of task.progress.
type Progress struct {
	Attempt int     `json:"attempt"`
	Percent float64 `json:"percent"` // 0 to 100
	Step    string  `json:"step,omitempty"`
	Message string  `json:"message,omitempty"`
}

// Usage counts what model calls cost.
type Usage struct {
	Calls        int     `json:"calls"`
	InputTokens  int     `json:"input_tokens"`
	OutputTokens int     `json:"output_tokens"`
	CostUSD      float64 `json:"cost_usd,omitempty"`
	CostKnown    bool    `json:"cost_known"`           // false when the price of any call is not known
	ToolCalls    int     `json:"tool_calls,omitempty"` // calls of tools that models asked for
}

// Add returns the sum of u and v.
func (u Usage) Add(v Usage) Usage {
	known := (u.CostKnown || u.Calls == 0) && (v.CostKnown || v.Calls == 0)
	return Usage{
		Calls: u.Calls + v.Calls, InputTokens: u.InputTokens + v.InputTokens, OutputTokens: u.OutputTokens + v.OutputTokens,
		CostUSD: u.CostUSD + v.CostUSD, CostKnown: known, ToolCalls: u.ToolCalls + v.ToolCalls,
	}
}

// Provenance says who wrote a result.
type Provenance struct {
	GeneratedBy   string `json:"generated_by"` // "openai/gpt-5-mini", "offline/composer-1", …
	Provider      string `json:"provider,omitempty"`
	Model         string `json:"model,omitempty"`
	PromptVersion string `json:"prompt_version,omitempty"`
	CacheHit      bool   `json:"cache_hit"`          // no model was asked
	Cache         string `json:"cache,omitempty"`    // how the answer came then: "exact", "semantic" or "shared"
	Offline       bool   `json:"offline"`            // written by the offline composer, not by a model
	Fallback      string `json:"fallback,omitempty"` // what was asked before and was not there, and why
}

func (Queued) EventType() Type    { return TypeQueued }
func (Started) EventType() Type   { return TypeStarted }
func (Step) EventType() Type      { return TypeStep }
func (Retrying) EventType() Type  { return TypeRetrying }
func (Waiting) EventType() Type   { return TypeWaiting }
func (Signalled) EventType() Type { return TypeSignalled }
func (Completed) EventType() Type { return TypeCompleted }
func (Failed) EventType() Type    { return TypeFailed }
func (Cancelled) EventType() Type { return TypeCancelled }
func (Discarded) EventType() Type { return TypeDiscarded }
func (Progress) EventType() Type  { return TypeProgress }
