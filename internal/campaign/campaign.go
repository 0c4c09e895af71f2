package campaign

import (
	"encoding/json"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Action is what is done to each task.
type Action string

const (
	Replay  Action = "replay"  // dead letters go to the queue again
	Discard Action = "discard" // dead letters are closed for good
	Cancel  Action = "cancel"  // open tasks are withdrawn
)

// State is where a campaign stands.
type State string

const (
	Planned State = "planned" // waits for a runner
	Canary  State = "canary"  // its first tasks are replayed, and their end is waited for
	Running State = "running"
	Done    State = "done"
	Stopped State = "stopped" // by a person
	Failed  State = "failed"  // a canary did
)

// Ended reports whether nothing more is done.
func (s State) Ended() bool { return s == Done || s == Stopped || s == Failed }

// Limits of a campaign.
const (
	MaxCanary    = 100
	MaxRate      = 6000    // acts a minute
	MaxTasks     = 100_000 // acts
	MaxEdit      = 64 << 10
	MaxReason    = 500 // bytes
	MaxActive    = 5   // of a tenant, not ended
	MaxKept      = 100 // of a tenant; the oldest that ended make room
	MaxOpen      = 1000
	DefaultRate  = 60
	DefaultTasks = 1000

	// FollowFor is how long the end of a replayed task is waited for.
	FollowFor = time.Hour
)

// Filter chooses tasks, as task.Filter does. Zero fields choose all: of a replay or discard all dead letters, of a cancellation
// all open tasks. Tasks that are submitted after the campaign's start are never chosen.
type Filter struct {
	Kinds         []string          `json:"kinds,omitempty"`
	States        []task.State      `json:"states,omitempty"` // for Cancel only
	Causes        []events.Cause    `json:"causes,omitempty"`
	Fingerprint   string            `json:"fingerprint,omitempty"`
	Search        string            `json:"search,omitempty"`
	UserID        string            `json:"user_id,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	CreatedAfter  *time.Time        `json:"created_after,omitempty"`
	CreatedBefore *time.Time        `json:"created_before,omitempty"`
}

// Request is what a person asks for.
type Request struct {
	Action Action `json:"action"`
	Filter Filter `json:"filter"`
	// Edit is a JSON merge patch (RFC 7386) that is applied to each input; for Replay only. An input that it makes invalid is not replayed.
	Edit   json.RawMessage `json:"edit,omitempty"`
	Canary int             `json:"canary"`          // tasks that must complete before the others; 0 to MaxCanary; for Replay only
	Rate   int             `json:"rate_per_minute"` // 1 to MaxRate; 0 takes DefaultRate
	Max    int             `json:"max"`             // acts, 1 to MaxTasks; 0 takes DefaultTasks
	Reason string          `json:"reason"`          // stands in the history of each task
}

// Campaign is the document.
type Campaign struct {
	ID     string `json:"campaign_id"`
	Tenant string `json:"tenant_id"`
	Request
	By        string     `json:"by"`
	State     State      `json:"state"`
	Counts    Counts     `json:"counts"`
	CreatedAt time.Time  `json:"created_at"`
	StartedAt *time.Time `json:"started_at,omitempty"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	Why       string     `json:"why,omitempty"` // it was stopped or failed, and by whom
	LastError string     `json:"last_error,omitempty"`
	Canaries  []string   `json:"canary_tasks,omitempty"`
	Place     Place      `json:"place,omitzero"`
}

// Counts says how far a campaign has come. Matched = Replayed + Skipped + Refused + Remaining, and
// Replayed = Succeeded + Failed + Unfollowed + those that are still open.
type Counts struct {
	Matched    int `json:"matched"`    // at the start, at least; grows when more are found
	Replayed   int `json:"replayed"`   // or discarded, or cancelled
	Skipped    int `json:"skipped"`    // somebody else had decided
	Refused    int `json:"refused"`    // could not be replayed, such as an input that Edit makes invalid
	Remaining  int `json:"remaining"`  // to be acted on
	Succeeded  int `json:"succeeded"`  // of the replayed ones
	Failed     int `json:"failed"`     // or were cancelled
	Unfollowed int `json:"unfollowed"` // had not ended after FollowFor, or when the campaign ended
}

// handled is how many tasks the campaign is done with.
func (c Counts) handled() int { return c.Replayed + c.Skipped + c.Refused }

// Place is where the runner is, for whoever takes over.
type Place struct {
	Saves  int         `json:"saves,omitempty"`  // by runners; tells their writes from those of people
	Cursor string      `json:"cursor,omitempty"` // of the page after Batch
	Listed bool        `json:"listed,omitempty"` // no page follows
	Batch  []string    `json:"batch,omitempty"`  // tasks of the current page
	Next   int         `json:"next,omitempty"`   // the first of Batch that is not done with
	Open   []Following `json:"open,omitempty"`
}

// Following is a replayed task whose end is waited for.
type Following struct {
	ID  string    `json:"id"`
	Seq uint64    `json:"seq"` // of its replay
	At  time.Time `json:"at"`
}

// tag marks the campaign's discards and cancellations in the histories of tasks.
func (c Campaign) tag() string { return " (campaign " + c.ID + ")" }

// tasks returns the filter of the tasks to act on.
func (c Campaign) tasks() task.Filter {
	f := c.Filter.tasks(c.Tenant, c.Action)
	if f.CreatedBefore == nil || c.CreatedAt.Before(*f.CreatedBefore) {
		f.CreatedBefore = &c.CreatedAt
	}
	return f
}

func (f Filter) tasks(tenant string, action Action) task.Filter {
	t := task.Filter{
		Tenant: tenant, UserID: f.UserID, Kinds: append([]string(nil), f.Kinds...), States: f.States, Causes: f.Causes,
		Fingerprint: f.Fingerprint, Search: f.Search, Labels: f.Labels, CreatedAfter: f.CreatedAfter, CreatedBefore: f.CreatedBefore,
		DeadLetters: action != Cancel,
	}
	if action == Cancel && len(t.States) == 0 {
		t.States = []task.State{task.Queued, task.Running, task.Retrying, task.Waiting}
	}
	return t
}
