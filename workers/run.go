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

// MaxSteps bounds the journal of one task: steps on record over all its attempts.
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
	memo       map[string]events.Step
	open       events.Usage // recorded since the last step ended
	provenance events.Provenance
}

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
	data, err := json.Marshal(out)
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
	return nil
}

// take moves what was recorded since the last step into step.
func (r *Run) take(step *events.Step) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.memo) >= MaxSteps {
		return fault.New(fault.TooLarge, "the task has %d steps on record, at most %d are kept", len(r.memo), MaxSteps)
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
	r.task = t
	for _, e := range history {
		if e.Type != events.TypeStep {
			continue
		}
		s, err := events.DataAs[events.Step](e)
		if err != nil {
			return err
		}
		r.remember(s)
	}
	return nil
}

// spent returns what the task has cost in all its attempts, this one included.
func (r *Run) spent() (events.Usage, events.Provenance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := r.open
	if r.task.Usage != nil {
		sum = sum.Add(*r.task.Usage)
	}
	return sum, r.provenance
}

// append writes the next event of the task and advances the task by it, waiting out a broker that is away.
func (r *Run) append(ctx context.Context, p events.Payload) error {
	t := r.Task()
	e, err := events.New(t.Tenant, t.ID, r.source, p)
	if err != nil {
		return err
	}
	err = task.Patiently(ctx, r.patience, func(ctx context.Context) (err error) {
		e.Seq, err = r.log.Append(ctx, e, t.Seq)
		return err
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.task.Advance(e, p)
}

func inputHash(input any) (string, error) {
	data, err := json.Marshal(input)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}
