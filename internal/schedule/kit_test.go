package schedule_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/schedule/scheduletest"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

// platform is a task service and a schedule service over one log and one store.
type platform struct {
	t         testing.TB
	log       *tasktest.Memory
	documents *scheduletest.Memory[schedule.Schedule]
	tasks     *task.Service
	service   *schedule.Service
	submit    submitter // what the ticker submits through

	mu   sync.Mutex
	runs []string // every task that was made, in order
}

// submitter stands between the ticker and the tasks.
type submitter struct {
	*task.Service
	p      *platform
	before func(*task.Submission) error
	after  func() error
}

func (s submitter) Submit(ctx context.Context, sub task.Submission) (task.Task, bool, error) {
	if s.before != nil {
		if err := s.before(&sub); err != nil {
			return task.Task{}, false, err
		}
	}
	made, fresh, err := s.Service.Submit(ctx, sub)
	if fresh {
		s.p.mu.Lock()
		s.p.runs = append(s.p.runs, made.ID)
		s.p.mu.Unlock()
	}
	if err == nil && s.after != nil {
		if err := s.after(); err != nil {
			return task.Task{}, false, err
		}
	}
	return made, fresh, err
}

func newPlatform(t testing.TB) *platform {
	t.Helper()
	m := tasktest.NewMemory()
	object := json.RawMessage(`{"type":"object"}`)
	catalog, err := task.NewCatalog([]task.Kind{{
		Name: "quiz", OutputSchema: object, Example: json.RawMessage(`{"subject":"Art"}`),
		InputSchema: json.RawMessage(`{"type":"object","required":["subject"],"properties":{"subject":{"type":"string"}}}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := &platform{t: t, log: m, documents: scheduletest.NewMemory[schedule.Schedule]()}
	p.tasks, err = task.NewService(task.Config{
		Log: m, Queue: m, Progress: m, Archive: tasktest.Archive{Memory: m}, Catalog: catalog, Patience: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.submit = submitter{Service: p.tasks, p: p}
	p.service, err = schedule.NewService(schedule.ServiceConfig{Documents: p.documents, Tasks: p.submit, Checker: p.tasks})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// start runs a ticker and returns what stops it and waits for it.
func (p *platform) start(change func(*schedule.TickerConfig)) (stop func()) {
	p.t.Helper()
	cfg := schedule.TickerConfig{Documents: p.documents, Tasks: p.submit}
	if change != nil {
		change(&cfg)
	}
	ticker, err := schedule.NewTicker(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ticker.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Errorf("ticker: %v", err)
		}
	}
}

func definition(change func(*schedule.Definition)) schedule.Definition {
	d := schedule.Definition{Name: "Weekly quiz", Kind: "quiz", Input: json.RawMessage(`{"subject":"Art"}`), Cron: "0 * * * *"}
	if change != nil {
		change(&d)
	}
	return d
}

func (p *platform) create(change func(*schedule.Definition)) schedule.Schedule {
	p.t.Helper()
	s, fresh, err := p.service.Create(context.Background(), "school", "ada", "", definition(change))
	if err != nil || !fresh {
		p.t.Fatalf("create: fresh %v: %v", fresh, err)
	}
	return s
}

func (p *platform) get(id string) schedule.Schedule {
	p.t.Helper()
	s, err := p.service.Get(context.Background(), "school", id)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// made returns all tasks in order of their submission.
func (p *platform) made() []task.Task {
	p.t.Helper()
	p.mu.Lock()
	ids := slices.Clone(p.runs)
	p.mu.Unlock()
	all := make([]task.Task, len(ids))
	for i, id := range ids {
		var err error
		if all[i], err = p.tasks.Get(context.Background(), "school", id); err != nil {
			p.t.Fatal(err)
		}
	}
	return all
}

// ticks returns for which tick each task was made, as the time since began.
func (p *platform) ticks(began time.Time) []time.Duration {
	var since []time.Duration
	for _, run := range p.made() {
		since = append(since, run.Origin.Tick.Sub(began))
	}
	return since
}

// finish ends an open task, as a worker would: what is cancelled meanwhile stays so, for the fence refuses the worker's writes.
func (p *platform) finish(id string, fail bool) {
	p.t.Helper()
	run, err := p.tasks.Get(context.Background(), "school", id)
	if err != nil {
		p.t.Fatal(err)
	}
	if run.State.Terminal() {
		return
	}
	var end events.Payload = events.Completed{Attempt: 1, Result: json.RawMessage(`{}`)}
	if fail {
		end = events.Failed{Attempts: 1, Cause: events.CauseBug, Error: "it broke"}
	}
	seq := run.Seq
	for _, payload := range []events.Payload{events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"}, end} {
		seq, err = p.log.Append(context.Background(), tasktest.Event(p.t, "school", id, payload), seq)
		if stale := new(task.StaleError); errors.As(err, &stale) {
			return
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// outcomes returns the history of a schedule as outcome by the time since began.
func outcomes(s schedule.Schedule, began time.Time) map[time.Duration]schedule.Outcome {
	all := map[time.Duration]schedule.Outcome{}
	for _, tick := range s.State.Ticks {
		all[tick.At.Sub(began)] = tick.Outcome
	}
	return all
}
