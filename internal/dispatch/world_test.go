package dispatch_test

import (
	"container/heap"
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

// world is a board and what surrounds it: a log, a queue, workers, and a clock that moves from one thing that happens to the next.
type world struct {
	t       testing.TB
	b       *dispatch.Board
	now     time.Time
	begin   time.Time
	seq     uint64
	agenda  agenda
	jobs    map[string]*job
	order   []*job
	queue   []events.Dispatch
	workers []*crew
	policy  policy.Policy
	check   bool        // hold the board against its tasks after each event
	late    func() bool // nil: the board hears of everything at once
	unheard []events.Event
	hidden  string // a worker that the board does not hear of
	// tellPolicy stands in for telling the board of a policy.
	tellPolicy func(policy.Policy)
	onSend     func(*job)
	onStart    func(*job)
}

// job is a task of a world.
type job struct {
	id, tenant, kind, user string
	lane                   events.Lane
	labels                 map[string]string
	length                 time.Duration // that its attempts take
	cost                   float64       // that its submitter tells
	history                []events.Event
	state                  task.State
	dispatch, attempt      int
	submitted, started     time.Time
	sends                  map[int]int // by dispatch
	worker                 *crew
	leave                  func() // the worker does something else
	direct                 bool
	waitSeq                uint64 // of its last task.waiting
}

func newWorld(t testing.TB, crews ...*crew) *world {
	begin := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	w := &world{t: t, b: dispatch.NewBoard(dispatch.BoardConfig{}), now: begin, begin: begin, jobs: map[string]*job{}, workers: crews}
	w.b.Act(true)
	w.hire()
	return w
}

// hire tells the board who works.
func (w *world) hire() {
	var alive []task.Worker
	for _, c := range w.workers {
		if c.gone || c.name == w.hidden {
			continue
		}
		own := task.Worker{Name: c.name, Slots: c.slots}
		for _, k := range c.kinds {
			own.Kinds = append(own.Kinds, task.WorkerKind{Kind: k, Versions: []string{"1"}})
		}
		alive = append(alive, own)
	}
	w.b.SetWorkers(alive, w.now)
}

func (w *world) setPolicy(p policy.Policy) {
	w.policy = p
	if w.tellPolicy != nil {
		w.tellPolicy(p)
		return
	}
	w.b.SetPolicy(p, w.now)
}

// submit puts a task on the log.
func (w *world) submit(j job) *job {
	j.id = "t" + strconv.Itoa(len(w.order))
	j.submitted, j.sends, j.state = w.now, map[int]int{}, task.Queued
	if j.lane == "" {
		j.lane = events.Normal
	}
	if j.kind == "" {
		j.kind = "quiz"
	}
	j.dispatch = 1
	own := &j
	w.jobs[j.id] = own
	w.order = append(w.order, own)
	if j.direct {
		w.queue = append(w.queue, own.entry())
	}
	w.append(own, events.Queued{
		Kind: j.kind, Input: json.RawMessage(`{"subject":"History"}`), Priority: j.lane, Dispatch: 1, UserID: j.user, Labels: j.labels, Cost: j.cost, Direct: j.direct,
	})
	return own
}

func (j *job) entry() events.Dispatch {
	return events.Dispatch{Kind: j.kind, Lane: j.lane, Tenant: j.tenant, Task: j.id, N: j.dispatch}
}

func (w *world) append(j *job, p events.Payload) {
	e, err := events.New(j.tenant, j.id, "/test", p)
	if err != nil {
		w.t.Fatal(err)
	}
	w.seq++
	e.Seq, e.Time = w.seq, w.now
	if e.Type == events.TypeWaiting {
		j.waitSeq = e.Seq
	}
	j.history = append(j.history, e)
	if w.late != nil {
		w.unheard = append(w.unheard, e)
		return
	}
	w.hear(e)
}

func (w *world) hear(e events.Event) {
	w.b.Apply(e, w.now)
	if w.check {
		w.verify()
	}
}

func (w *world) verify() {
	if err := w.b.Check(w.now); err != nil {
		w.t.Fatal(err)
	}
}

// pump lets the board and the workers do what they can now.
func (w *world) pump() {
	for again := true; again; {
		again = false
		for _, work := range w.b.Work(w.now, 16) {
			w.do(work)
			again = true
		}
		for _, r := range w.b.Next(w.now, 64) {
			w.send(r)
			again = true
		}
		if w.take() {
			again = true
		}
	}
	if w.check {
		w.verify()
	}
}

func (w *world) send(r dispatch.Release) {
	j := w.jobs[r.Dispatch.Task]
	j.sends[r.Dispatch.N]++
	if !slices.Contains(w.queue, r.Dispatch) {
		w.queue = append(w.queue, r.Dispatch)
	}
	if w.onSend != nil {
		w.onSend(j)
	}
	w.b.Sent(r, w.now)
	if w.check {
		w.verify()
	}
}

func (w *world) do(work dispatch.Work) {
	switch work.Do {
	case dispatch.Read:
		w.b.Load(work.Tenant, work.Task, w.jobs[work.Task].history, w.now)
		return
	case dispatch.Look:
		// what a worker holds, or has just acknowledged, is still there or no longer needed
		if s := w.jobs[work.Task].state; s == task.Queued && !slices.Contains(w.queue, work.Dispatch) {
			w.t.Errorf("%s at %s: dispatch %v is lost", work.Task, w.now.Sub(w.begin), work.Dispatch)
		}
	case dispatch.Resume:
		j := w.jobs[work.Task]
		if j.state == task.Waiting && j.waitSeq == work.Waiting {
			j.state, j.attempt = task.Queued, 0
			j.dispatch++
			w.append(j, events.Queued{Kind: j.kind, Priority: j.lane, Dispatch: j.dispatch, UserID: j.user, Labels: j.labels, Resume: &events.Resume{Seq: work.Waiting, Why: work.Why}})
		}
	}
	w.b.Done(work, nil, w.now)
}

// take lets workers take from the queue: the most urgent lane first, in the order in which it came.
func (w *world) take() bool {
	took := false
	for _, lane := range events.Lanes() {
		for i := 0; i < len(w.queue); i++ {
			d := w.queue[i]
			if d.Lane != lane {
				continue
			}
			at := slices.IndexFunc(w.workers, func(c *crew) bool { return !c.gone && c.busy < c.slots && c.serves(d.Kind) })
			if at < 0 {
				continue
			}
			w.queue = slices.Delete(w.queue, i, i+1)
			i--
			took = true
			if j := w.jobs[d.Task]; j.dispatch == d.N && !j.state.Terminal() && j.state != task.Running {
				w.start(j, w.workers[at])
			}
		}
	}
	return took
}

func (w *world) start(j *job, c *crew) {
	c.busy++
	there := true
	leave := func() {
		if there {
			there, c.busy = false, c.busy-1
		}
	}
	j.leave = leave
	j.attempt++
	j.worker, j.state, j.started = c, task.Running, w.now
	if w.onStart != nil {
		w.onStart(j)
	}
	w.append(j, events.Started{Attempt: j.attempt, Dispatch: j.dispatch, Worker: c.name, Version: "1"})
	attempt, n := j.attempt, j.dispatch
	w.after(j.length, func() {
		leave()
		if j.state == task.Running && j.attempt == attempt && j.dispatch == n {
			j.state = task.Completed
			w.append(j, events.Completed{Attempt: attempt, Result: json.RawMessage(`{}`)})
		}
	})
}

// run lets the world go on until a moment, or until nothing happens any more.
func (w *world) run(until time.Time) {
	w.pump()
	for {
		next := until
		if len(w.agenda) > 0 && w.agenda[0].at.Before(next) {
			next = w.agenda[0].at
		}
		if wake := w.b.Wake(); !wake.IsZero() && wake.Before(next) {
			next = wake
		}
		w.now = later(w.now, earlier(next, until))
		for len(w.agenda) > 0 && !w.agenda[0].at.After(w.now) {
			heap.Pop(&w.agenda).(occasion).run()
		}
		w.pump()
		if !next.Before(until) {
			return
		}
	}
}

func (w *world) runFor(d time.Duration) { w.run(w.now.Add(d)) }

// waited is how long a task waited to begin.
func (j *job) waited() time.Duration { return j.started.Sub(j.submitted) }
