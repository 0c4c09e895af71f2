package workers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// MaxOutput is the largest output of a step, and the largest result, in bytes.
const MaxOutput = 256 << 10

// MaxSteps bounds the journal of one dispatch of a task: steps on record over all its attempts.
const MaxSteps = 64

// Run is one attempt at a task as its agent sees it. Its steps run one after another; Progress and Record may be called
// from any goroutine.
type Run struct {
	log      task.Log
	board    task.ProgressBoard
	source   string
	patience time.Duration
	logger   *slog.Logger

	mu         sync.Mutex
	task       task.Task
	memo       map[string]events.Step // finished steps of all dispatches
	steps      int                    // of this dispatch
	open       events.Usage           // recorded since the last step ended
	provenance events.Provenance
	unsure     *written // the last write, when its answer was lost: it may be on the log
}

// written is an event as it was, or may have been, put on the log.
type written struct {
	event   events.Event
	payload events.Payload
}

// writeError is a failure to write to the log that says nothing about the task.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// Task returns the task as it stood when the attempt began or, after a step, when that ended.
func (r *Run) Task() task.Task {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.task
}

// Progress tells readers how far the attempt has come: percent from 0 to 100 and a few words. It never fails and never
// waits: a report may be lost.
func (r *Run) Progress(ctx context.Context, percent float64, message string) {
	r.report(ctx, events.Progress{Percent: min(max(percent, 0), 100), Message: message})
}

func (r *Run) report(ctx context.Context, p events.Progress) {
	t := r.Task()
	p.Attempt = t.Attempt
	e, err := events.New(t.Tenant, t.ID, r.source, p)
	if err == nil {
		err = r.board.Report(ctx, e)
	}
	if err != nil {
		r.logger.DebugContext(ctx, "progress report lost", "task_id", t.ID, "error", err)
	}
}

// Record adds what a model call cost to the task, and says who answered. Inside a step it goes on record with the step.
func (r *Run) Record(u events.Usage, p events.Provenance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = r.open.Add(u)
	r.provenance = p
}

// Step runs fn, unless an earlier attempt finished the step of this name with the same input: then that output is returned.
// What fn returns is on the log when Step returns. The input itself is not kept, only its hash; name it by everything that
// fn's work depends on. Names are unique within an agent.
//
// Errors: what fn returned; a StaleError when another writer decided on the task meanwhile (return it as it is); TooLarge for
// an output above MaxOutput or a task with more than MaxSteps on record.
func Step[T any](ctx context.Context, r *Run, name string, input any, fn func(context.Context) (T, error)) (T, error) {
	var out T
	hash, err := inputHash(input)
	if err != nil {
		return out, fmt.Errorf("step %s: input: %w", name, err)
	}
	if found, ok := r.recall(name, hash); ok {
		if err := json.Unmarshal(found, &out); err != nil {
			return out, fmt.Errorf("step %s: output on record: %w", name, err)
		}
		return out, nil
	}
	began := time.Now()
	out, err = fn(ctx)
	if err != nil {
		return out, fmt.Errorf("step %s: %w", name, err)
	}
	if err := r.journal(ctx, name, hash, out, time.Since(began)); err != nil {
		return out, fmt.Errorf("step %s: %w", name, err)
	}
	return out, nil
}

func (r *Run) recall(name, hash string) (json.RawMessage, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.memo[name+" "+hash]
	if ok && s.Provenance != nil {
		r.provenance = *s.Provenance
	}
	return s.Output, ok
}

func (r *Run) journal(ctx context.Context, name, hash string, out any, took time.Duration) error {
	data, err := events.Marshal(out)
	if err != nil {
		return fmt.Errorf("encode the output: %w", err)
	}
	if len(data) > MaxOutput {
		return fault.New(fault.TooLarge, "the output has %d bytes, at most %d are kept", len(data), MaxOutput)
	}
	step := events.Step{Name: name, InputHash: hash, Output: data, DurationMS: took.Milliseconds()}
	if err := r.take(&step); err != nil {
		return err
	}
	if err := r.append(ctx, step); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remember(step)
	r.steps++
	return nil
}

// take moves what was recorded since the last step into step.
func (r *Run) take(step *events.Step) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.steps >= MaxSteps {
		return fault.New(fault.TooLarge, "the task has %d steps on record, at most %d are kept", r.steps, MaxSteps)
	}
	step.Attempt = r.task.Attempt
	if r.open.Calls > 0 {
		usage, provenance := r.open, r.provenance
		step.Usage, step.Provenance = &usage, &provenance
		r.open = events.Usage{}
	}
	return nil
}

func (r *Run) remember(s events.Step) {
	if r.memo == nil {
		r.memo = map[string]events.Step{}
	}
	r.memo[s.Name+" "+s.InputHash] = s
}

// restore makes the run continue from a history: t is its fold.
func (r *Run) restore(t task.Task, history []events.Event) error {
	r.task, r.steps, r.unsure = t, 0, nil
	for _, e := range history {
		if e.Type == events.TypeQueued {
			r.steps = 0
		}
		if e.Type != events.TypeStep {
			continue
		}
		r.steps++
		s, err := events.DataAs[events.Step](e)
		if err != nil {
			return err
		}
		r.remember(s)
	}
	return nil
}

// spent returns what the task has cost in all its attempts, this one included, who answered last, and which part of the cost is
// not on record yet, nil when none is.
func (r *Run) spent() (sum events.Usage, by events.Provenance, open *events.Usage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum = r.open
	if r.task.Usage != nil {
		sum = sum.Add(*r.task.Usage)
	}
	if r.open.Calls > 0 {
		own := r.open
		open = &own
	}
	return sum, r.provenance, open
}

// append writes the next event of the task and advances the task by it, waiting out a broker that is away. When the write
// before it went unanswered and is on the log after all, the task is advanced by that one first.
//
// Errors: a StaleError when another writer decided on the task; a writeError when the log could not be written to.
func (r *Run) append(ctx context.Context, p events.Payload) error {
	err := r.write(ctx, p)
	if stale := task.Stale(err); stale != nil && r.adopt(stale.Last) {
		err = r.write(ctx, p)
	}
	return err
}

// adopt advances the task by the unanswered write when last is that one, and reports whether it did.
func (r *Run) adopt(last events.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.unsure
	if w == nil || w.event.ID != last.ID {
		return false
	}
	r.unsure = nil
	return r.task.Advance(last, w.payload) == nil
}

func (r *Run) write(ctx context.Context, p events.Payload) error {
	t := r.Task()
	e, err := events.New(t.Tenant, t.ID, r.source, p)
	if err != nil {
		return err
	}
	err = task.Patiently(ctx, r.patience, func(ctx context.Context) error {
		seq, err := r.log.Append(ctx, e, t.Seq)
		if err == nil {
			e.Seq = seq
		}
		return err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.unsure = nil
		return r.task.Advance(e, p)
	case isStale(err), fault.Is(err, fault.TooLarge):
		return err
	}
	r.unsure = &written{e, p}
	return &writeError{err}
}

func inputHash(input any) (string, error) {
	data, err := json.Marshal(input)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}
