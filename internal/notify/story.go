package notify

import (
	"encoding/json"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// story is what an event says to subscribers, before it is cut to what each channel may carry.
type story struct {
	name      string // of the Pusher event
	state     string // of the task, after the event
	attempt   int
	progress  *float64 // percent
	message   string
	data      any
	elsewhere bool // not all is in the event: the body could not be read, or the result is too large for it
}

// Data of each event as subscribers of private channels see it.
type (
	createdData struct {
		Priority events.Lane       `json:"priority"`
		Dispatch int               `json:"dispatch"`
		Labels   map[string]string `json:"labels,omitempty"`
		Deadline *time.Time        `json:"deadline,omitempty"`
		Replay   *events.Replay    `json:"replay,omitempty"`
		RunAt    *time.Time        `json:"run_at,omitempty"`
		Origin   *events.Origin    `json:"origin,omitempty"`
	}
	resumedData struct {
		Dispatch int         `json:"dispatch"`
		For      events.Wait `json:"for"` // what the task waited for
	}
	waitingData struct {
		For   events.Wait `json:"for"`
		Name  string      `json:"name,omitempty"`
		Until *time.Time  `json:"until,omitempty"`
	}
	startedData struct {
		Dispatch int    `json:"dispatch"`
		Worker   string `json:"worker"`
	}
	stepData struct {
		Step       string             `json:"step"`
		DurationMS int64              `json:"duration_ms"`
		Usage      *events.Usage      `json:"usage,omitempty"`
		Provenance *events.Provenance `json:"provenance,omitempty"`
	}
	progressData struct {
		Step string `json:"step"`
	}
	textData struct {
		Step       string `json:"step"`
		Run        uint64 `json:"run"`
		After      uint64 `json:"after,omitempty"`
		RollbackTo int    `json:"rollback_to"`
		Offset     int    `json:"offset"`
		Text       string `json:"text"`
		Truncated  bool   `json:"truncated,omitempty"`
	}
	retryingData struct {
		Cause  events.Cause `json:"cause"`
		NextAt time.Time    `json:"next_at"`
	}
	completedData struct {
		Result     json.RawMessage   `json:"result,omitempty"`
		Usage      events.Usage      `json:"usage"`
		Provenance events.Provenance `json:"provenance"`
	}
	failedData struct {
		Cause events.Cause  `json:"cause"`
		Usage *events.Usage `json:"usage,omitempty"`
	}
	closedData struct {
		By string `json:"by"`
	}
)

// tell returns the story of e, and false for a type that this version does not know, and for task.signalled: a signal is between
// who sent it and the task, and changes no state. A step's output and a submission's
// input are no part of it: they are fetched by whoever wants them.
func tell(e events.Event) (story, bool) {
	switch e.Type {
	case events.TypeQueued:
		return read(e, story{name: "task.created", state: "queued"}, func(s *story, p events.Queued) {
			if p.Resume != nil {
				s.name, s.message, s.data = "task.resumed", p.Resume.Why, resumedData{p.Dispatch, p.Resume.Wait}
				return
			}
			s.data = createdData{p.Priority, p.Dispatch, p.Labels, p.Deadline, p.Replay, p.NotBefore, p.Origin}
		}), true
	case events.TypeStarted:
		return read(e, story{name: "task.started", state: "running"}, func(s *story, p events.Started) {
			s.attempt, s.data = p.Attempt, startedData{p.Dispatch, p.Worker}
		}), true
	case events.TypeStep:
		return read(e, story{name: "task.progress", state: "running"}, func(s *story, p events.Step) {
			s.attempt, s.data = p.Attempt, stepData{p.Name, p.DurationMS, p.Usage, p.Provenance}
		}), true
	case events.TypeProgress:
		return read(e, story{name: "task.progress", state: "running"}, func(s *story, p events.Progress) {
			s.attempt, s.progress, s.message = p.Attempt, percent(p.Percent), p.Message
			if p.Step != "" {
				s.data = progressData{p.Step}
			}
		}), true
	case events.TypeText:
		return read(e, story{name: "task.text", state: "running"}, func(s *story, p events.Text) {
			s.attempt, s.data = p.Attempt, textData{p.Step, p.Run, p.After, p.RollbackTo, p.Offset, p.Text, p.Truncated}
		}), true
	case events.TypeRetrying:
		return read(e, story{name: "task.retrying", state: "retrying"}, func(s *story, p events.Retrying) {
			s.attempt, s.message, s.data = p.Attempt, p.Error, retryingData{p.Cause, p.NextAt}
		}), true
	case events.TypeWaiting:
		return read(e, story{name: "task.waiting", state: "waiting"}, func(s *story, p events.Waiting) {
			s.attempt, s.message, s.data = p.Attempt, p.Message, waitingData{p.Wait, p.Name, p.Until}
		}), true
	case events.TypeCompleted:
		return read(e, story{name: "task.completed", state: "completed", progress: percent(100)}, func(s *story, p events.Completed) {
			s.attempt, s.data, s.elsewhere = p.Attempt, completedData{p.Result, p.Usage, p.Provenance}, p.ResultRef != nil
		}), true
	case events.TypeFailed:
		return read(e, story{name: "task.failed", state: "failed"}, func(s *story, p events.Failed) {
			s.attempt, s.message, s.data = p.Attempts, p.Error, failedData{p.Cause, p.Usage}
		}), true
	case events.TypeCancelled:
		return read(e, story{name: "task.cancelled", state: "cancelled"}, func(s *story, p events.Cancelled) {
			s.message, s.data = p.Reason, closedData{p.By}
		}), true
	case events.TypeDiscarded:
		// The task stays failed: discarding closes a dead letter, it does not change what came of the task.
		return read(e, story{name: "task.discarded", state: "failed"}, func(s *story, p events.Discarded) {
			s.message, s.data = p.Reason, closedData{p.By}
		}), true
	}
	return story{}, false
}

// read adds to s what e's body says. A body that cannot be read leaves s as it is: that something happened is told anyway.
func read[P events.Payload](e events.Event, s story, add func(*story, P)) story {
	p, err := events.DataAs[P](e)
	if err != nil {
		s.elsewhere = true
		return s
	}
	add(&s, p)
	return s
}

func percent(v float64) *float64 {
	v = min(max(v, 0), 100)
	return &v
}
