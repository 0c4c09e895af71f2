package workers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// MaxOutput is the largest output of a step, and the largest result, that stands on the log itself, in bytes. Larger ones, up to
// task.MaxBlob, are kept in the object store, where there is one.
const MaxOutput = 256 << 10

// Step runs fn, unless the step is on record: then its output is returned. What fn returned is on record when Step returns; Step
// returns it as it stands there, decoded anew. The input itself is not kept, only its hash; name it by everything that fn's work
// depends on. The name may not begin with "sleep:" or "signal:".
//
// Errors, each to be returned by the agent as it is: what fn returned; a StaleError when another writer decided on the task
// meanwhile; a terminal outcome when the journal is full, see MaxSteps and MaxJournal; TooLarge for an output above MaxOutput or,
// with an object store, task.MaxBlob. Once the log refused a step, or could not be reached, the ones behind it return the same error.
func Step[T any](ctx context.Context, r *Run, name string, input any, fn func(context.Context) (T, error)) (T, error) {
	var out T
	if strings.HasPrefix(name, prefixSleep) || strings.HasPrefix(name, prefixSignal) {
		return out, fmt.Errorf("step %q: names with this prefix stand for sleeps and signals", name)
	}
	data, err := json.Marshal(input)
	if err != nil {
		return out, fmt.Errorf("step %s: input: %w", name, err)
	}
	sum := sha256.Sum256(data)
	key, found, err := r.recall(ctx, name, hex.EncodeToString(sum[:]))
	if err != nil {
		return out, fmt.Errorf("step %s: %w", name, err)
	}
	if found == nil {
		if found, err = do(ctx, r, name, key, fn); err != nil {
			return out, fmt.Errorf("step %s: %w", name, err)
		}
	}
	if err := json.Unmarshal(found, &out); err != nil {
		return out, fmt.Errorf("step %s: output on record: %w", name, err)
	}
	return out, nil
}

// do runs fn and puts what it returns on record.
func do[T any](ctx context.Context, r *Run, name, key string, fn func(context.Context) (T, error)) (json.RawMessage, error) {
	began := time.Now()
	out, err := fn(ctx)
	text := r.endText()
	if err != nil {
		return nil, err
	}
	data, err := events.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode the output: %w", err)
	}
	return data, r.enter(ctx, events.Step{Name: name, InputHash: key, DurationMS: time.Since(began).Milliseconds(), Text: text}, data)
}

// recall returns the key of the entry of the given name and input that would be next, and its output when it is on record. The agent is behind it
// then. What the object store has lost is not on record any more.
func (r *Run) recall(ctx context.Context, name, inputHash string) (key string, output json.RawMessage, err error) {
	if err := r.ready(name); err != nil {
		return "", nil, err
	}
	key, e, found := r.find(name, inputHash)
	if !found {
		return key, nil, r.room()
	}
	output, err = r.load(ctx, e.step.Output, e.step.OutputRef)
	if err != nil || output == nil {
		return key, nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.step.Provenance != nil {
		r.provenance = *e.step.Provenance
	}
	r.journal.pass(e)
	return key, output, nil
}

func (r *Run) find(name, inputHash string) (string, entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := r.journal.key(name, inputHash)
	e, found := r.journal.entries[key]
	return key, e, found
}

func (r *Run) room() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.journal.room(0)
}

// ready reports whether the agent may go on: it may not when it was told to wait, or when it lost the log.
func (r *Run) ready(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting != nil {
		r.ignored = "went on to " + name
		return fmt.Errorf("the task waits: %w", r.waiting)
	}
	return r.stopped
}

// misuse reports what an agent did instead of returning the wait that it was told to return.
func (r *Run) misuse(out outcome) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	instead := r.ignored
	switch {
	case r.waiting == nil:
		return nil
	case instead != "":
	case out.err == nil:
		instead = "finished"
	case out.ended == nil && !errors.Is(out.err, r.waiting):
		instead = "returned another error: " + out.err.Error()
	default:
		return nil
	}
	return fmt.Errorf("the agent was told to wait (%s) and %s: it must return the error of Sleep or WaitFor as it is", r.waiting.Message, instead)
}

// enter puts an entry on record and moves the agent behind it. It does so also when ctx has ended: what was paid for is kept.
func (r *Run) enter(ctx context.Context, s events.Step, output json.RawMessage) error {
	ctx = context.WithoutCancel(ctx)
	err := r.record(ctx, s, output)
	var lost *brokerError
	if isStale(err) || errors.As(err, &lost) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stopped = err
	}
	return err
}

func (r *Run) record(ctx context.Context, s events.Step, output json.RawMessage) error {
	var err error
	if s.Output, s.OutputRef, err = r.store(ctx, "output", output); err != nil {
		return err
	}
	if err := r.take(&s); err != nil {
		return err
	}
	written, err := r.append(ctx, s)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.journal.add(s, written.Time)
	r.journal.pass(entry{s, written.Time})
	return nil
}

// take moves what was recorded since the last step into s.
func (r *Run) take(s *events.Step) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.journal.room(size(*s)); err != nil {
		return err
	}
	s.Attempt = r.task.Attempt
	if r.open.Calls > 0 {
		usage, provenance := r.open, r.provenance
		s.Usage, s.Provenance = &usage, &provenance
		r.open = events.Usage{}
	}
	s.Tools, r.called = r.called, nil
	return nil
}
