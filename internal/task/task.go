// Package task is the heart of the platform: what a task is, how its history becomes its state, and what may happen next.
//
// A task is its history on the log. Fold turns the history into a Task; nothing else decides what state a task is in.
// Every writer appends with the sequence of the event that it has seen last, and the log refuses whoever is late, so two
// writers never both win and no lock is held anywhere.
//
//	            task.queued                task.started                  task.completed
//	(nothing) ──────────────► queued ───────────────────────► running ─────────────────► completed
//	                             │                            ▲ │ │ ▲ └ task.step, task.started (after a crash)
//	                             │               task.started │ │ │ └──┘
//	                             │                            │ ▼ task.retrying
//	                             ├─────────────────────────── retrying
//	                             │                            │ task.waiting            task.queued (resume, next dispatch)
//	                             │                running ────┴──────────────► waiting ─────────────────► queued
//	                             ▼ task.cancelled (from any of the four)         task.queued (replay, next dispatch)
//	                         cancelled            task.failed ──► failed ────────────────► queued
//	                                                                └ task.discarded: closed for good
//
// A task.signalled may come in any state but the three terminal ones, and changes none.
//
// Service is what edges call. Log, Queue, Progress and Archive are what it needs; package nats and package postgres
// implement them, tasktest has them in memory, and one conformance suite runs against both.
package task

import (
	"encoding/json"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// State is where a task stands.
type State string

const (
	Queued    State = "queued"    // waits for a worker
	Running   State = "running"   // a worker holds it
	Retrying  State = "retrying"  // waits for its next attempt
	Waiting   State = "waiting"   // gave its slot back until a time, a signal or money comes
	Completed State = "completed" // has a result
	Failed    State = "failed"    // has no attempt left: a dead letter, until an admin replays or discards it
	Cancelled State = "cancelled" // withdrawn
)

// States returns every state in the order of a task's life.
func States() []State {
	return []State{Queued, Running, Retrying, Waiting, Completed, Failed, Cancelled}
}

// Terminal reports whether a task in state s waits for nobody but, when failed, an admin.
func (s State) Terminal() bool { return s == Completed || s == Failed || s == Cancelled }

// Task is a task as its history tells it. Its JSON form is what the API answers.
type Task struct {
	ID         string               `json:"task_id"`
	Tenant     string               `json:"tenant_id"`
	UserID     string               `json:"user_id"`
	Kind       string               `json:"kind"`
	State      State                `json:"state"`
	Priority   events.Lane          `json:"priority"`
	Dispatch   int                  `json:"dispatch"` // how often it was sent to the queue: 1 + replays
	Attempt    int                  `json:"attempt"`  // of this dispatch; 0 until a worker claims it
	Seq        uint64               `json:"seq"`      // log sequence of its last event
	Input      json.RawMessage      `json:"input,omitempty"`
	Result     json.RawMessage      `json:"result,omitempty"`
	ResultRef  *events.Reference    `json:"result_ref,omitempty"` // of a large result that was not loaded
	Usage      *events.Usage        `json:"usage,omitempty"`
	Provenance *events.Provenance   `json:"provenance,omitempty"`
	Progress   *Progress            `json:"progress,omitempty"`
	Failure    *Failure             `json:"failure,omitempty"`  // why it failed, or why it is tried again
	Failures   map[events.Cause]int `json:"failures,omitempty"` // failed attempts of this dispatch by cause
	Refused    []events.Refusal     `json:"refused,omitempty"`  // answers of models that its attempts refused, see events.KeepRefusals; gone with its completion
	Worker     string               `json:"worker,omitempty"`   // who holds it, or held it last
	Labels     map[string]string    `json:"labels,omitempty"`
	Replay     *events.Replay       `json:"replay,omitempty"`
	Cancel     *Decision            `json:"cancel,omitempty"`
	Discard    *Decision            `json:"discard,omitempty"`
	CreatedAt  time.Time            `json:"created_at"`
	StartedAt  *time.Time           `json:"started_at,omitempty"` // start of the last attempt
	UpdatedAt  time.Time            `json:"updated_at"`
	FinishedAt *time.Time           `json:"finished_at,omitempty"`
	NextAt     *time.Time           `json:"next_attempt_at,omitempty"` // in state retrying
	Deadline   *time.Time           `json:"deadline,omitempty"`
	NotBefore  *time.Time           `json:"not_before,omitempty"`
	ExpiresAt  *time.Time           `json:"expires_at,omitempty"`
	TimeoutMS  int64                `json:"timeout_ms,omitempty"` // of one attempt; 0: the worker's
	Cost       float64              `json:"cost,omitempty"`       // the submitter's estimate, in seconds of a worker's slot
	Origin     *events.Origin       `json:"origin,omitempty"`
	Wait       *Wait                `json:"wait,omitempty"`    // in state waiting
	Version    string               `json:"version,omitempty"` // of the agent that began the dispatch
	Signals    int                  `json:"signals,omitempty"` // how many it was sent

	// QueuedSeq is the log sequence of the task.queued event of the current dispatch.
	QueuedSeq uint64 `json:"queued_seq"`
	// Names are those of people in the input: models get pseudonyms in their place.
	Names []string `json:"-"`
	// NoCache says that models answer for this task alone.
	NoCache bool `json:"no_cache,omitempty"`
	// Private says that the task is for its user alone: nobody else may read it.
	Private bool `json:"private,omitempty"`
	// CallbackURL is who is told of the task's end. It may hold a token, so nobody who reads the task is shown it.
	CallbackURL string `json:"-"`
	// RequestHash tells a repeated submission from another one under the same Idempotency-Key.
	RequestHash string `json:"-"`
}

// Progress is how far the running attempt has come.
type Progress struct {
	Percent float64 `json:"percent"` // 0 to 100
	Step    string  `json:"step,omitempty"`
	Message string  `json:"message,omitempty"`
}

// Wait says what a task in state waiting waits for.
type Wait struct {
	For     events.Wait `json:"for"`
	Name    string      `json:"name,omitempty"`
	Until   *time.Time  `json:"until,omitempty"`
	Message string      `json:"message"`
	Since   time.Time   `json:"since"`
	Seq     uint64      `json:"seq"` // of its task.waiting event
}

// Failure says why an attempt did not succeed.
type Failure struct {
	Cause events.Cause `json:"cause"`
	Error string       `json:"error"`
	Raw   []byte       `json:"raw,omitempty"` // the undecodable message, base64 in JSON
}

// Decision says who closed a task, when and why.
type Decision struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// DeadLetter reports whether t failed and no admin has decided on it yet.
func (t Task) DeadLetter() bool { return t.State == Failed && t.Discard == nil }

// DispatchEntry returns the queue entry of t's current dispatch.
func (t Task) DispatchEntry() events.Dispatch {
	return events.Dispatch{Kind: t.Kind, Lane: t.Priority, Tenant: t.Tenant, Task: t.ID, N: t.Dispatch}
}
