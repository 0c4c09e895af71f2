package schedule

import (
	"encoding/json"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// Overlap says what happens when a tick comes while an earlier run has not ended.
type Overlap string

const (
	Skip           Overlap = "skip"            // the tick makes no run
	Queue          Overlap = "queue"           // its run is submitted when the one before has ended, in order; see Definition.QueueLimit
	CancelPrevious Overlap = "cancel_previous" // the earlier runs are cancelled
)

// Limits of a schedule.
const (
	MinInterval  = 10 * time.Second // between two ticks
	MaxInterval  = 366 * 24 * time.Hour
	MaxBackfill  = 100
	MaxJitter    = time.Hour
	MaxName      = 100 // characters
	MaxPerTenant = 1000
	MaxInput     = 32 << 10 // bytes: a tenant's schedules are read together
	MaxPreview   = 100

	// KeptTicks is how many ticks State.Ticks remembers.
	KeptTicks = 20
)

// Definition is what a user says of a schedule. Exactly one of Cron and Every is set.
type Definition struct {
	Name     string            `json:"name"`
	Kind     string            `json:"kind"`
	Input    json.RawMessage   `json:"input"`
	Priority events.Lane       `json:"priority,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`

	Cron     string   `json:"cron,omitempty"`  // 5 fields, or 6 with the second first, or an alias such as @daily
	Every    Duration `json:"every,omitempty"` // counted from StartAt, else from when the interval was set
	TimeZone string   `json:"time_zone,omitempty"`

	StartAt *time.Time `json:"start_at,omitempty"` // no tick before
	EndAt   *time.Time `json:"end_at,omitempty"`   // no tick after

	Overlap Overlap `json:"overlap,omitempty"` // Skip when empty
	// Backfill is how many of the ticks that nobody could serve, because the platform was away for longer than the ticker's
	// grace, are run when it is back: the newest ones, oldest of them first and under the rule of Overlap. The others are missed.
	Backfill int `json:"backfill,omitempty"`
	// Jitter puts off the runs of this schedule by a part of it that is always the same for one schedule, so that the schedules
	// of midnight do not all begin at midnight and the time between two runs stays what it is.
	Jitter Duration `json:"jitter,omitempty"`

	Deadline Duration `json:"deadline,omitempty"`  // of a run, from its submission; 0 for none
	QueueTTL Duration `json:"queue_ttl,omitempty"` // in which a worker must have begun, from its submission; 0 for none
	Timeout  Duration `json:"timeout,omitempty"`   // of one attempt; 0 takes the worker's
}

// QueueLimit is how many ticks wait for their turn with Overlap Queue: Backfill, and at least one. Those on top are skipped.
func (d Definition) QueueLimit() int { return max(d.Backfill, 1) }

// Schedule is the document: a definition, whose it is, and how far it has come.
type Schedule struct {
	ID     string `json:"schedule_id"`
	Tenant string `json:"tenant_id"`
	Definition
	Revision  int       `json:"revision"` // counts edits; what ticks change does not move it
	Paused    *Pause    `json:"paused,omitempty"`
	CreatedBy string    `json:"created_by"` // the user of the runs
	CreatedAt time.Time `json:"created_at"`
	UpdatedBy string    `json:"updated_by"`
	UpdatedAt time.Time `json:"updated_at"`
	State     State     `json:"state"`
}

// Pause says who stopped a schedule. Ticks that fall into a pause are not made up for and not counted.
type Pause struct {
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
}

// State is how far a schedule has come.
type State struct {
	Anchor   time.Time   `json:"anchor,omitzero"` // of Every
	Through  time.Time   `json:"through"`         // every tick up to here is decided
	LastTick *time.Time  `json:"last_tick,omitempty"`
	NextTick *time.Time  `json:"next_tick,omitempty"` // nil while paused and when none follows
	LastTask string      `json:"last_task,omitempty"` // the newest run, also when it was triggered by hand
	Missed   uint64      `json:"missed"`              // ticks that nobody could serve, at least; see Definition.Backfill
	Pending  []time.Time `json:"pending,omitempty"`   // ticks that wait for an earlier run to end
	Ticks    []Tick      `json:"ticks,omitempty"`     // the last KeptTicks, newest last

	LastError   string    `json:"last_error,omitempty"` // why a tick made no run, or why a run failed
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

// Outcome says what became of a tick.
type Outcome string

const (
	Submitted Outcome = "submitted" // it has a run
	Failed    Outcome = "failed"    // its run failed, as was seen when a later tick looked
	Pending   Outcome = "pending"   // it waits for an earlier run to end
	Skipped   Outcome = "skipped"   // an earlier run had not ended
	Missed    Outcome = "missed"    // nobody could serve it in time
	Refused   Outcome = "error"     // its run was refused: the definition no longer fits the kind
)

// Tick is one tick and what became of it.
type Tick struct {
	At      time.Time `json:"tick"`
	TaskID  string    `json:"task_id,omitempty"`
	Outcome Outcome   `json:"outcome"`
	Detail  string    `json:"detail,omitempty"`
	By      string    `json:"by,omitempty"`    // who triggered it, when it was no tick of the schedule
	Count   int       `json:"count,omitempty"` // missed ticks in a row that end with this one
}

// Duration is a time.Duration that reads and writes "1h30m" in JSON.
type Duration time.Duration

// MarshalText writes d as time.Duration.String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}
