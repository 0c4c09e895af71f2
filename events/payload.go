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
	Replay      *Replay           `json:"replay,omitempty"` // set from the second dispatch on
}

// Replay says who sent a dead letter again, and why.
type Replay struct {
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	Edited bool   `json:"edited,omitempty"` // the input differs from the failed one
}

// Started is the body of task.started.
type Started struct {
	Attempt  int    `json:"attempt"` // from 1, within the dispatch
	Dispatch int    `json:"dispatch"`
	Worker   string `json:"worker"`
}

// Step is the body of task.step. The step's input is not kept, only its hash.
type Step struct {
	Attempt    int             `json:"attempt"`
	Name       string          `json:"name"`
	InputHash  string          `json:"input_hash"` // hex SHA-256 of the step's input as JSON
	Output     json.RawMessage `json:"output"`
	Usage      *Usage          `json:"usage,omitempty"`
	Provenance *Provenance     `json:"provenance,omitempty"`
	DurationMS int64           `json:"duration_ms"`
}

// Retrying is the body of task.retrying.
type Retrying struct {
	Attempt int       `json:"attempt"`
	Cause   Cause     `json:"cause"`
	Error   string    `json:"error"`
	NextAt  time.Time `json:"next_at"`
	Usage   *Usage    `json:"usage,omitempty"` // of the attempt, beside what its steps have on record
}

// Completed is the body of task.completed.
type Completed struct {
	Attempt    int             `json:"attempt"`
	Result     json.RawMessage `json:"result"`
	Usage      Usage           `json:"usage"` // of the task, in all its attempts
	Provenance Provenance      `json:"provenance"`
}

// Failed is the body of task.failed.
type Failed struct {
	Attempts int    `json:"attempts"`
	Cause    Cause  `json:"cause"`
	Error    string `json:"error"`
	Usage    *Usage `json:"usage,omitempty"`
	Raw      []byte `json:"raw,omitempty"` // base64; only for CauseUndecodable
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
	CostKnown    bool    `json:"cost_known"` // false when the price of any call is not known
}

// Add returns the sum of u and v.
func (u Usage) Add(v Usage) Usage {
	known := (u.CostKnown || u.Calls == 0) && (v.CostKnown || v.Calls == 0)
	return Usage{
		Calls: u.Calls + v.Calls, InputTokens: u.InputTokens + v.InputTokens, OutputTokens: u.OutputTokens + v.OutputTokens,
		CostUSD: u.CostUSD + v.CostUSD, CostKnown: known,
	}
}

// Provenance says who wrote a result.
type Provenance struct {
	GeneratedBy   string `json:"generated_by"` // "openai/gpt-5-mini", "offline/composer-1", …
	Provider      string `json:"provider,omitempty"`
	Model         string `json:"model,omitempty"`
	PromptVersion string `json:"prompt_version,omitempty"`
	CacheHit      bool   `json:"cache_hit"`
	Offline       bool   `json:"offline"` // written by the offline composer, not by a model
}

func (Queued) EventType() Type    { return TypeQueued }
func (Started) EventType() Type   { return TypeStarted }
func (Step) EventType() Type      { return TypeStep }
func (Retrying) EventType() Type  { return TypeRetrying }
func (Completed) EventType() Type { return TypeCompleted }
func (Failed) EventType() Type    { return TypeFailed }
func (Cancelled) EventType() Type { return TypeCancelled }
func (Discarded) EventType() Type { return TypeDiscarded }
func (Progress) EventType() Type  { return TypeProgress }
