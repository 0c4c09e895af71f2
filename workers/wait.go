package workers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

const (
	// MaxWait is the longest sleep, and the longest wait for a signal: the log must still know the task when it ends.
	MaxWait = task.MaxDelay

	// shortWait is what a sleep keeps its slot for: giving it back costs more.
	shortWait = time.Second

	// longWait is the longest that a wait for a budget or a model is made to last.
	longWait = 5 * time.Minute
)

// ErrNoSignal is in the chain of WaitFor's error when the signal did not come in time.
var ErrNoSignal = errors.New("the signal did not come in time")

// WaitError says that a task gives its slot back until something happens. It is no failure and no attempt is counted: the Runner puts
// the wait on record, and the task goes on in a later dispatch. An agent returns it as it is, or wrapped.
type WaitError struct {
	Wait    events.Wait
	Name    string     // of the sleep, signal, budget or model
	Until   *time.Time // when the wait ends by itself; nil for a signal or budget without a bound
	Message string     // for people
}

func (e *WaitError) Error() string { return e.Message }

// Wait returns the outcome of an attempt that cannot go on for now: money or a provider is missing, or it is too early. until is when
// to try again; nil, for WaitBudget only, leaves that to whoever fills the budget, for MaxWait. The agent begins anew then, and what it has on
// record is not done again.
func Wait(wait events.Wait, name string, until *time.Time, message string) error {
	switch {
	case wait != events.WaitTime && wait != events.WaitBudget && wait != events.WaitProvider:
		return fmt.Errorf("the agent waits for %q, which is none of time, budget, provider (for a signal there is WaitFor)", wait)
	case until == nil && wait != events.WaitBudget:
		return fmt.Errorf("the agent waits for %s and does not say until when: %s", wait, message)
	}
	return &WaitError{wait, name, until, message}
}

// asWait returns the wait that err asks for, or nil.
func asWait(err error) *WaitError {
	var wait *WaitError
	var outcome *OutcomeError
	if errors.As(err, &outcome) || !errors.As(err, &wait) {
		return nil
	}
	return wait
}

// event returns what tells of the wait of a task that has waited before so often. It lasts a second at least, so that an agent that asks
// for less does not run in circles, and MaxWait at most: what waits for longer, as for the next month's budget, tries again meanwhile,
// before the log forgets it.
func (e *WaitError) event(attempt int, run *Run, open *events.Usage, by *events.Provenance) events.Waiting {
	w := events.Waiting{Attempt: attempt, Wait: e.Wait, Name: e.Name, Until: e.Until, Message: text(e), Usage: open, Provenance: by, Refused: run.refusals(), Tools: run.calls()}
	now := time.Now().UTC()
	soon, latest := now.Add(e.least(run.waits())), now.Add(MaxWait)
	switch {
	case e.Until == nil || e.Until.After(latest):
		w.Until = &latest
	case e.Until.Before(soon):
		w.Until = &soon
	}
	return w
}

// least is what a wait lasts at least. A budget or a model that many tasks wait for has room for some of them each time; for the others
// it is longer and longer, so that they do not fill the log, nor use up MaxWaits before a day and a half.
func (e *WaitError) least(before int) time.Duration {
	if e.Wait != events.WaitBudget && e.Wait != events.WaitProvider {
		return shortWait
	}
	return min(shortWait<<min(before/8, 16), longWait)
}

// sleepOutput is what the journal keeps of a sleep.
type sleepOutput struct {
	Until time.Time `json:"until"`
}

// signalOutput is what the journal keeps of a wait for a signal.
type signalOutput struct {
	Seq      uint64          `json:"signal,omitempty"` // log sequence of the task.signalled
	Data     json.RawMessage `json:"data,omitempty"`
	TimedOut bool            `json:"timed_out,omitempty"`
}

// Sleep returns once the task has slept for d, at most MaxWait. A sleep of a second or more gives the slot back: Sleep returns a
// *WaitError, which the agent returns as it is, and when the agent comes to the same place again, in a later attempt, Sleep
// returns nil. Whatever happens in between, the sleep ends d after it began; the d of later attempts does not count. The name is
// unique among the task's sleeps.
//
// Errors: a *WaitError, the cause of ctx's end, and those of Step.
func (r *Run) Sleep(ctx context.Context, name string, d time.Duration) error {
	if err := r.sleep(ctx, name, d); err != nil {
		return fmt.Errorf("sleep %s: %w", name, err)
	}
	return nil
}

func (r *Run) sleep(ctx context.Context, name string, d time.Duration) error {
	if err := r.reserve(prefixSleep + name); err != nil {
		return err
	}
	key, found, err := r.recall(ctx, prefixSleep+name, hash())
	if err != nil || found != nil {
		return err
	}
	if d > MaxWait {
		return Terminal(events.CausePolicy, fmt.Errorf("%s is longer than a task may wait, %s", d, MaxWait))
	}
	until := r.until(prefixSleep+name, d)
	if time.Until(until) >= shortWait {
		return r.giveBack(&WaitError{events.WaitTime, name, &until, "sleeps until " + until.Format(time.RFC3339)})
	}
	if err := pause(ctx, until); err != nil {
		return err
	}
	_, err = r.conclude(ctx, prefixSleep+name, key, sleepOutput{until})
	return err
}

// WaitFor returns the data of the first signal of the given name, a subject token, that the task was sent and has not consumed. One
// that is there already is returned at once. Otherwise WaitFor returns a *WaitError, which the agent returns as it is, and when
// the agent comes to the same place again, in a later attempt, WaitFor returns the signal, or ErrNoSignal once timeout is over.
// timeout is above 0 and at most MaxWait; that of later attempts does not count. The name is unique among the task's waits.
//
// What WaitFor returned is on record and is returned again by every later attempt, the data also by those of a replay. A replay
// that comes to another place, its input being edited, waits for another signal; one of a task that got none in time waits again.
//
// Errors: a *WaitError; ErrNoSignal, which fails the task when the agent returns it; Invalid for data that is no T; the cause of
// ctx's end; those of Step.
func WaitFor[T any](ctx context.Context, r *Run, name string, timeout time.Duration) (T, error) {
	var data T
	got, err := r.waitFor(ctx, name, timeout)
	switch {
	case err == nil && got.TimedOut:
		err = Terminal(events.CauseTimeout, ErrNoSignal)
	case err == nil && len(got.Data) > 0:
		if json.Unmarshal(got.Data, &data) != nil {
			err = fault.InvalidField("signals."+name, "does not fit what the agent waits for")
		}
	}
	if err != nil {
		return data, fmt.Errorf("signal %s: %w", name, err)
	}
	return data, nil
}

func (r *Run) waitFor(ctx context.Context, name string, timeout time.Duration) (got signalOutput, err error) {
	if err := events.CheckToken("signal", name); err != nil {
		return got, err
	}
	if timeout <= 0 || timeout > MaxWait {
		return got, fmt.Errorf("the timeout is %s, must be above 0 and at most %s", timeout, MaxWait)
	}
	if err := r.reserve(prefixSignal + name); err != nil {
		return got, err
	}
	came, found, err := r.recall(ctx, prefixSignal+name, hash())
	late := ""
	if err == nil && found == nil {
		late, found, err = r.recall(ctx, prefixSignal+name, r.lateness())
	}
	if err == nil && found == nil {
		found, err = r.receive(ctx, name, timeout, came, late)
	}
	if err != nil {
		return got, err
	}
	if err := json.Unmarshal(found, &got); err != nil {
		return got, fmt.Errorf("on record: %w", err)
	}
	return got, nil
}

// receive puts the signal on record under the key came, or, when its time is over, that there was none under the key late.
func (r *Run) receive(ctx context.Context, name string, timeout time.Duration, came, late string) (json.RawMessage, error) {
	until := r.until(prefixSignal+name, timeout)
	for {
		if _, err := r.catchUp(ctx, written{}); err != nil {
			return nil, err
		}
		if s, ok := r.next(name); ok {
			return r.conclude(ctx, prefixSignal+name, came, signalOutput{Seq: s.seq, Data: s.data})
		}
		switch left := time.Until(until); {
		case left <= 0:
			return r.conclude(ctx, prefixSignal+name, late, signalOutput{TimedOut: true})
		case left >= shortWait:
			return nil, r.giveBack(&WaitError{events.WaitSignal, name, &until, "waits for the signal " + name})
		}
		if err := pause(ctx, until); err != nil {
			return nil, err
		}
	}
}

// reserve takes the name of a sleep or signal, which may stand but once on the agent's way.
func (r *Run) reserve(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.journal.named[name] {
		return fmt.Errorf("the agent uses the name %q twice", name)
	}
	if r.journal.named == nil {
		r.journal.named = map[string]bool{}
	}
	r.journal.named[name] = true
	return nil
}

// until returns when the wait of the given name in the journal ends: as it was when the wait began, or d from now.
func (r *Run) until(name string, d time.Duration) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if begun := r.journal.waits[name]; begun != nil {
		return *begun
	}
	return time.Now().UTC().Add(d)
}

// lateness stands in the key of a signal that did not come in time: only this life knows of it.
func (r *Run) lateness() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return hash(strconv.Itoa(r.journal.life))
}

func (r *Run) next(name string) (signal, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.journal.pending(name)
}

// giveBack tells the agent to return e. From here on it can do nothing else.
func (r *Run) giveBack(e *WaitError) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = e
	return e
}

// conclude puts what came of a wait on record and returns it.
func (r *Run) conclude(ctx context.Context, name, key string, output any) (json.RawMessage, error) {
	data, err := events.Marshal(output)
	if err != nil {
		return nil, err
	}
	return data, r.enter(ctx, events.Step{Name: name, InputHash: key}, data)
}

func pause(ctx context.Context, until time.Time) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Until(until)):
		return nil
	}
}
