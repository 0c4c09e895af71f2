package dispatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unique"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

// phase is a task.State in one byte.
type phase uint8

const (
	untold phase = iota // nothing is known yet
	queued
	running
	retrying
	waiting
	ended
)

func (p phase) state() task.State {
	return [...]task.State{task.Queued, task.Queued, task.Running, task.Retrying, task.Waiting, task.Completed}[p]
}

// lane is the place of an events.Lane in the order of service. A fourth one, rest, is no task's own.
type lane uint8

const (
	high lane = iota
	normal
	low
	rest
	lanes
)

var laneNames = [lanes]string{"high", "normal", "low", "rest"}

func laneOf(l events.Lane) lane {
	switch l {
	case events.High:
		return high
	case events.Low:
		return low
	}
	return normal
}

// entry returns the lane of the queue that a task of lane l is dispatched to.
func (l lane) entry() events.Lane { return events.Lanes()[l] }

// story is what the board knows of a task from its history: a small part of what task.Fold tells, without inputs and results.
type story struct {
	kind      string
	user      string
	version   string // of the agent that began the dispatch
	worker    string // who holds it
	schedule  string // that made it
	labels    map[string]string
	wait      *waitStory
	signals   []string // names of what came since the worker's last word
	seq       uint64   // of the last event
	queuedSeq uint64   // of the task.queued event of the current dispatch
	order     uint64   // of the submission or replay: the task's place among its tenant's
	queuedAt  moment
	startedAt moment // of the last attempt
	changedAt moment // time of the last event
	notBefore moment
	expiresAt moment
	deadline  moment
	nextAt    moment // of a retry
	timeout   time.Duration
	cost      float64 // the submitter's estimate
	dispatch  int32
	attempt   int32
	phase     phase
	lane      lane
	direct    bool
}

// waitStory is what a task waits for.
type waitStory struct {
	events.Waiting
	seq uint64
}

var (
	errMisfit = errors.New("the event does not fit what is known of the task")
	// errNoBegin says that what is left of a history does not say what the task is.
	errNoBegin = errors.New("the beginning of the history is gone")
)

// queuedFacts is what the board takes from a task.queued. The input is passed over.
type queuedFacts struct {
	Kind      string            `json:"kind"`
	Priority  events.Lane       `json:"priority"`
	Dispatch  int32             `json:"dispatch"`
	UserID    string            `json:"user_id"`
	Labels    map[string]string `json:"labels"`
	Deadline  *time.Time        `json:"deadline"`
	NotBefore *time.Time        `json:"not_before"`
	ExpiresAt *time.Time        `json:"expires_at"`
	TimeoutMS int64             `json:"timeout_ms"`
	Cost      float64           `json:"cost"`
	Direct    bool              `json:"direct"`
	Origin    *events.Origin    `json:"origin"`
	Resume    *events.Resume    `json:"resume"`
}

// tell advances s by its next event. It returns errMisfit, and leaves s alone, for an event that cannot follow: then the history
// is to be read. What comes from an unreadable body is wrapped in it too.
func (s *story) tell(e events.Event) error {
	next := *s
	if err := next.advance(e); err != nil {
		return fmt.Errorf("%w: %s at %d: %w", errMisfit, e.Type, e.Seq, err)
	}
	next.seq, next.changedAt = e.Seq, at(e.Time)
	*s = next
	return nil
}

func (s *story) advance(e events.Event) error {
	switch e.Type {
	case events.TypeQueued:
		return s.queue(e)
	case events.TypeStarted:
		return s.start(e)
	case events.TypeStep:
		s.signals = nil
		return s.in(running)
	case events.TypeRetrying:
		var p events.Retrying
		if err := json.Unmarshal(e.Data, &p); err != nil {
			return err
		}
		err := s.in(running)
		s.phase, s.nextAt = retrying, at(p.NextAt)
		return err
	case events.TypeWaiting:
		w := &waitStory{seq: e.Seq}
		if err := json.Unmarshal(e.Data, &w.Waiting); err != nil {
			return err
		}
		err := s.in(running)
		w.Usage = nil
		s.phase, s.wait = waiting, w
		return err
	case events.TypeSignalled:
		var p struct{ Name string }
		if err := json.Unmarshal(e.Data, &p); err != nil {
			return err
		}
		s.signals = append(slices.Clone(s.signals), p.Name)
		return s.in(queued, running, retrying, waiting)
	case events.TypeCompleted, events.TypeFailed, events.TypeCancelled, events.TypeDiscarded:
		s.phase = ended
		return nil
	}
	return s.in(queued, running, retrying, waiting, ended) // a type of a later version
}

func (s *story) queue(e events.Event) error {
	var q queuedFacts
	if err := json.Unmarshal(e.Data, &q); err != nil {
		return err
	}
	if q.Kind == "" || q.Dispatch < 1 {
		return errors.New("it names no kind or no dispatch")
	}
	switch {
	case s.phase == waiting && q.Resume != nil && q.Dispatch == s.dispatch+1:
	case s.phase == untold && q.Resume == nil, s.phase == ended && q.Resume == nil && q.Dispatch == s.dispatch+1:
		*s = story{order: e.Seq}
	default:
		return fmt.Errorf("dispatch %d cannot follow dispatch %d in phase %d", q.Dispatch, s.dispatch, s.phase)
	}
	s.phase, s.dispatch, s.attempt, s.wait, s.signals = queued, q.Dispatch, 0, nil, nil
	s.kind, s.user, s.lane, s.labels, s.direct = intern(q.Kind), q.UserID, laneOf(q.Priority), q.Labels, q.Direct
	s.queuedSeq, s.queuedAt, s.notBefore, s.expiresAt, s.deadline = e.Seq, at(e.Time), atp(q.NotBefore), atp(q.ExpiresAt), atp(q.Deadline)
	s.timeout, s.cost = time.Duration(q.TimeoutMS)*time.Millisecond, q.Cost
	if q.Origin != nil {
		s.schedule = intern(q.Origin.Schedule)
	}
	return nil
}

func (s *story) start(e events.Event) error {
	var p struct {
		Attempt, Dispatch int32
		Worker, Version   string
	}
	if err := json.Unmarshal(e.Data, &p); err != nil {
		return err
	}
	if p.Dispatch != s.dispatch || p.Attempt <= s.attempt {
		return fmt.Errorf("attempt %d of dispatch %d cannot follow attempt %d of dispatch %d", p.Attempt, p.Dispatch, s.attempt, s.dispatch)
	}
	err := s.in(queued, running, retrying)
	s.phase, s.attempt, s.worker, s.startedAt, s.signals = running, p.Attempt, intern(p.Worker), at(e.Time), nil
	if s.version == "" {
		s.version = intern(p.Version)
	}
	return err
}

func (s *story) in(phases ...phase) error {
	if slices.Contains(phases, s.phase) {
		return nil
	}
	return fmt.Errorf("it cannot follow phase %d", s.phase)
}

// signalled reports whether the signal that the task waits for came behind the worker's last word before the wait, or since.
func (s *story) signalled() bool { return slices.Contains(s.signals, s.wait.Name) }

// read tells s from a history in log order. Where its beginning has aged out it is told from the earliest remaining dispatch on;
// errNoBegin when there is none.
func (s *story) read(history []events.Event) error {
	from := slices.IndexFunc(history, func(e events.Event) bool { return e.Type == events.TypeQueued })
	if from < 0 {
		if n := len(history); n > 0 && history[n-1].Type.Terminal() {
			*s = story{phase: ended, seq: history[n-1].Seq}
			return nil
		}
		return errNoBegin
	}
	*s = story{}
	for i, e := range history[from:] {
		if i == 0 { // a resume whose wait has aged out begins like a submission
			if err := s.begin(e); err != nil {
				return err
			}
			continue
		}
		if err := s.tell(e); err != nil {
			return err
		}
	}
	return nil
}

// begin tells s from a task.queued event of any sort.
func (s *story) begin(e events.Event) error {
	var q queuedFacts
	if err := json.Unmarshal(e.Data, &q); err != nil {
		return fmt.Errorf("%w: %w", errMisfit, err)
	}
	if q.Resume != nil {
		*s = story{phase: waiting, dispatch: q.Dispatch - 1, order: e.Seq}
	}
	return s.tell(e)
}

// intern returns a string equal to s that all who ask share.
func intern(s string) string {
	if s == "" {
		return ""
	}
	return unique.Make(s).Value()
}
