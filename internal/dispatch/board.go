package dispatch

import (
	"log/slog"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// BoardConfig sets a Board's bounds. Zero fields take the defaults.
type BoardConfig struct {
	Grace          time.Duration // how long a dispatch may show no sign of a worker before it is looked up in the queue; 10 s
	RunningGrace   time.Duration // the same for a task that runs, on top of the time of its attempt; 1 min
	AttemptTimeout time.Duration // of tasks that do not say; the workers' default, 5 min
	IdleWindow     int           // dispatches of a kind that wait in the queue while no worker of it is known; 16
	ResumeRate     float64       // waiting tasks that are resumed a second, at most; 500
	AuditRate      float64       // dispatches that are looked up a second, at most; 200
	MaxOpen        int           // open tasks at which the gate says that no more may be taken in; 0: any number
	Cache          int64         // bytes of task.queued events that are kept until they are dispatched; 64 MiB
	Logger         *slog.Logger
}

func (c *BoardConfig) setDefaults() {
	setDefault(&c.Grace, 10*time.Second)
	setDefault(&c.RunningGrace, time.Minute)
	setDefault(&c.AttemptTimeout, 5*time.Minute)
	setDefault(&c.IdleWindow, 16)
	setDefault(&c.ResumeRate, 500)
	setDefault(&c.AuditRate, 200)
	setDefault(&c.Cache, 64<<20)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Board holds every task that has not ended, and knows which one is next. It is fed with the log's events, the policy and the
// workers that are alive, and asked for what is to be done; it does nothing itself, keeps no clock and speaks to nobody. Each
// event and each release costs O(log n) in the number of tasks. It is not safe for concurrent use.
type Board struct {
	cfg    BoardConfig
	policy policy.Policy

	tenants   map[string]*tenant
	kinds     map[string]*kind
	pools     []*pool
	turn      int // of the pool that is served first
	workers   map[string]*worker
	busy      map[string]int // running tasks by the worker that holds them, alive or not
	counters  map[string]*counter
	schedules map[string]map[*entry]struct{}
	graves    graves

	timers    heap[*entry]
	chores    [choreKinds][]*entry // what is to be done, in the order in which it came due
	acting    bool                 // chores are to be done
	resumes   bucket
	audits    bucket
	readAfter moment // no history before: the log was away
	listed    moment // when the queue was last listed
	budgetsAt moment // when the budgets last changed
	listing   bool

	heard  bool // the workers have told of themselves
	open   int  // tasks on the board
	unread int  // of these, whose history must be read first
	cached int64
	ready  int // queues from which a task might be released

	unfair bool // first come, first served: set by negative controls only
}

// NewBoard returns an empty board under the zero policy.
func NewBoard(cfg BoardConfig) *Board {
	cfg.setDefaults()
	return &Board{
		cfg: cfg, tenants: map[string]*tenant{}, kinds: map[string]*kind{}, workers: map[string]*worker{}, busy: map[string]int{},
		counters: map[string]*counter{}, schedules: map[string]map[*entry]struct{}{}, timers: heap[*entry]{by: byTimer},
		resumes: bucket{rate: cfg.ResumeRate, burst: max(1, cfg.ResumeRate/10)},
		audits:  bucket{rate: cfg.AuditRate, burst: max(1, cfg.AuditRate/4)},
	}
}

// entry is a task on the board.
type entry struct {
	story
	id     string
	tenant *tenant
	of     *kind         // story.kind
	class  *class        // nil until the history is read
	event  *events.Event // of the current dispatch, while it is kept

	since    moment // when it came to where it is
	timer    moment // when it is looked at again
	wake     moment // of a waiting task: when it is resumed; 0: not by time
	again    moment // no chore before
	backoff  moment // no release before
	audit    moment // when a sign of life is missed
	charged  float64
	want     uint64 // last sequence that was heard of while the history was not read
	timerIdx int32
	queueIdx int32
	placeIdx int32

	at        place
	chargedTo lane
	chore     chore // that is on the list or under way
	sent      bool  // it is dispatched, or being dispatched
	inFlight  bool  // its release is under way
	relieved  bool  // the budgets changed since it waits for one
	doing     bool  // the chore is under way
	failures  uint8 // of its releases and chores, in a row
}

// place is where a task stands on the board.
type place uint8

const (
	nowhere  place = iota
	unread         // its history must be read first
	held           // it waits for its time, or its kind is paused
	front          // it waits for its turn in its lane
	back           // the same in lane rest
	sent           // it is in the queue
	runs           // a worker holds it
	retries        // it waits for its next attempt
	retryDue       // its next attempt may begin
	waits          // it waits for something
)

var byTimer = &order[*entry]{
	before: func(a, b *entry) bool { return a.timer < b.timer },
	moved:  func(e *entry, i int32) { e.timerIdx = i },
}

// earlier is the order of a tenant's tasks: by lane, then by time.
func earlier(a, b *entry) bool {
	if a.lane != b.lane {
		return a.lane < b.lane
	}
	return a.order < b.order
}

// tenant is one tenant's part of the board. It is there as long as it has tasks.
type tenant struct {
	name   string
	tasks  map[string]*entry
	weight float64
	share  int // tasks that keep their lane
	active int // tasks that are in the queue or run
	front  heap[*entry]
	back   heap[*entry]
	// accounts are by the pool that the tenant's tasks use.
	accounts map[*pool]*account
	classes  map[classKey]*class
}

var (
	lastFirst = &order[*entry]{
		before: func(a, b *entry) bool { return earlier(b, a) },
		moved:  func(e *entry, i int32) { e.placeIdx = i },
	}
	firstFirst = &order[*entry]{
		before: earlier,
		moved:  func(e *entry, i int32) { e.placeIdx = i },
	}
)

func (b *Board) tenantOf(name string) *tenant {
	t := b.tenants[name]
	if t == nil {
		t = &tenant{
			name: intern(name), tasks: map[string]*entry{}, front: heap[*entry]{by: lastFirst}, back: heap[*entry]{by: firstFirst},
			accounts: map[*pool]*account{}, classes: map[classKey]*class{},
		}
		t.share, t.weight = b.policy.Fairness.Share(name)
		b.tenants[t.name] = t
	}
	return t
}

// kind is one kind's part of the board. Kinds stay.
type kind struct {
	name    string
	pool    *pool
	index   int // in its pool
	cost    float64
	costs   int // how many attempts the average holds
	rate    float64
	rated   moment
	queues  [lanes]line
	sent    map[*entry]struct{}
	due     int             // retries that may begin
	pinned  map[string]int  // of what is in sent or due, by the version of the agent that it began with
	runs    map[string]bool // versions that live workers run
	running int
	later   int // wait for a time, a signal, money or their next attempt
	pending int // held by a pause, or waiting for their turn
	paused  bool
	pausing policy.Pause
	slots   int // of the workers that serve it
	workers int
}

// kindOf returns the kind of a name, which is its own pool until a worker serves it.
func (b *Board) kindOf(name string) *kind {
	k := b.kinds[name]
	if k == nil {
		k = &kind{name: intern(name), sent: map[*entry]struct{}{}, pinned: map[string]int{}}
		for l := range k.queues {
			k.queues[l] = line{kind: k, lane: lane(l), ready: heap[*queue]{by: byTurn}}
		}
		k.pausing, k.paused = b.policy.PausedKind(name)
		b.kinds[k.name] = k
		b.addPool([]*kind{k}, nil)
	}
	return k
}

// Open returns how many tasks are on the board.
func (b *Board) Open() int { return b.open }

// Unread returns how many of them are not known yet, since their history has not been read.
func (b *Board) Unread() int { return b.unread }
