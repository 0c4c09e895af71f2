package workers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// outcome is what came of an attempt: a result, or an error.
type outcome struct {
	result json.RawMessage
	err    error
	ended  error // why the attempt's context was done, nil when it was not
}

// work lets the agent do the task within the attempt's time, and ends it when somebody else decides on the task.
func (r *Runner) work(ctx context.Context, run *Run) outcome {
	t := run.Task()
	limit, cause := time.Now().Add(r.Timeout), errAttempt
	if t.TimeoutMS > 0 {
		limit = time.Now().Add(time.Duration(t.TimeoutMS) * time.Millisecond)
	}
	if deadline := t.Deadline; deadline != nil && deadline.Before(limit) {
		limit, cause = *deadline, errDeadline
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, stop := context.WithDeadlineCause(ctx, limit, cause)
	defer stop()
	watched := make(chan struct{})
	watch := time.AfterFunc(r.CancelCheck, func() {
		defer close(watched)
		r.watch(ctx, run, cancel)
	})
	result, err := r.call(ctx, run)
	why := ended(ctx)
	cancel(nil)
	if !watch.Stop() {
		<-watched
	}
	return outcome{result, err, why}
}

// call runs the agent and holds its result against its kind's schema. A panic is an error.
func (r *Runner) call(ctx context.Context, run *Run) (result json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			run.logger.ErrorContext(ctx, "agent panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("the agent panicked: %v", p)
		}
	}()
	kind := run.Task().Kind
	agent, ok := r.agents[kind]
	if !ok {
		return nil, fmt.Errorf("this worker serves no kind %q", kind)
	}
	if result, err = agent.Work(ctx, run); err != nil {
		return nil, err
	}
	if limit := run.limit(); len(result) > limit {
		return nil, fault.New(fault.TooLarge, "the result has %d bytes, at most %d are kept", len(result), limit)
	}
	if err := r.catalog.CheckResult(kind, result); err != nil {
		return nil, InvalidOutput(err)
	}
	return result, nil
}

// watch ends the attempt when the log shows that somebody else decided on the task. Short attempts are not watched: their
// writes are fenced anyway.
func (r *Runner) watch(ctx context.Context, run *Run, cancel context.CancelCauseFunc) {
	t := run.Task()
	history, err := r.Log.Follow(ctx, t.Tenant, t.ID, t.Seq)
	if err != nil {
		run.logger.DebugContext(ctx, "the attempt is not watched", "error", err)
		return
	}
	for e := range history {
		if e.Seq > 0 && (e.Type.Terminal() || e.Type == events.TypeStarted) && !run.wrote(e.Seq) {
			cancel(errSuperseded)
			return
		}
	}
}

// wrote reports whether the event with the given sequence is one that the run wrote, or knew when it began. The fence makes
// sure of it: the run's last event is the history's last, or somebody else wrote behind it.
func (r *Run) wrote(seq uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return seq <= r.task.Seq
}

// settle writes what came of the attempt and settles the message. It does so on a context of its own: a worker that is being
// stopped still has to say what became of its tasks. It reports false, and settles nothing, when the agent is to begin again because
// what it wanted to wait for has come.
func (r *Runner) settle(ctx context.Context, msg *message.Message, run *Run, out outcome) bool {
	ctx = context.WithoutCancel(ctx)
	run.reclaim(ctx)
	payload, delay := r.decide(ctx, run, out)
	if payload == nil {
		r.yield(ctx, msg, run)
		return true
	}
	_, err := run.append(ctx, payload)
	switch {
	case errors.Is(err, errSignalled):
		return false
	case isStale(err):
		r.yield(ctx, msg, run)
		return true
	case err != nil:
		run.logger.ErrorContext(ctx, "outcome not on record, the task comes again", "event", payload.EventType(), "error", err)
		letGo(msg)
		return true
	}
	r.stats.settled(run.Task().Kind, payload)
	if payload.EventType() == events.TypeRetrying {
		handBack(msg, delay)
	} else {
		msg.Ack()
	}
	return true
}

// yield settles the message of an attempt whose task is somebody else's by now. The broker settles messages, not deliveries: an ack
// is right only when the dispatch has nothing left to do. While another worker holds it, the message is that worker's to settle.
func (r *Runner) yield(ctx context.Context, msg *message.Message, run *Run) {
	t := run.Task()
	behind, err := r.Log.History(ctx, t.Tenant, t.ID, t.Seq, 0)
	over := err == nil && slices.ContainsFunc(behind, func(e events.Event) bool {
		return e.Type.Terminal() || e.Type == events.TypeWaiting
	})
	run.logger.InfoContext(ctx, "attempt dropped: another writer decided on the task", "dispatch_is_over", over)
	if over {
		msg.Ack()
		return
	}
	letGo(msg)
}

// decide turns an outcome into the event that tells it, and the wait before the next attempt. A nil event says that the task
// is somebody else's by now.
func (r *Runner) decide(ctx context.Context, run *Run, out outcome) (events.Payload, time.Duration) {
	if isStale(out.err) || out.err != nil && errors.Is(out.ended, errSuperseded) {
		return nil, 0
	}
	if bug := run.misuse(out); bug != nil {
		out.err = &OutcomeError{Cause: events.CauseBug, Err: bug}
	}
	usage, provenance, open := run.spent()
	var by *events.Provenance // of open
	if open != nil {
		by = &provenance
	}
	t := run.Task()
	if out.err == nil {
		result, ref, err := run.store(ctx, "result", out.result)
		if err == nil {
			return events.Completed{Attempt: t.Attempt, Result: result, ResultRef: ref, Usage: usage, Provenance: provenance, Tools: run.calls()}, 0
		}
		out.err, out.ended = err, nil
	}
	fail := func(c events.Cause) events.Payload {
		failed := events.Failed{Attempts: t.Attempt, Cause: c, Error: text(out.err), Provenance: by, Refused: run.refusals(), Tools: run.calls()}
		if usage.Calls > 0 {
			failed.Usage = &usage
		}
		return failed
	}
	failure, wait := classify(out.err), asWait(out.err)
	switch {
	case errors.Is(out.ended, errDeadline):
		return fail(events.CauseDeadline), 0
	case wait != nil && run.waits() >= MaxWaits:
		out.err = fmt.Errorf("the task gave its slot back %d times, no more is allowed (MaxWaits): wait longer each time, or make a workflow of several tasks", MaxWaits)
		return fail(events.CausePolicy), 0
	case wait != nil:
		return wait.event(t.Attempt, run, open, by), 0
	case out.ended == nil:
	case errors.Is(out.ended, errAttempt):
		failure = &OutcomeError{Cause: events.CauseTimeout, Err: errAttempt}
	default:
		failure = &OutcomeError{Cause: events.CauseDrain, Err: out.ended}
	}
	count := t.Failures[failure.Cause] + 1
	if failure.Terminal || !r.Budgets.allows(failure.Cause, count) {
		return fail(failure.Cause), 0
	}
	delay := r.Budgets.wait(failure.Cause, count, fault.RetryAfter(out.err))
	return events.Retrying{
		Attempt: t.Attempt, Cause: failure.Cause, Error: text(failure.Err), NextAt: time.Now().UTC().Add(delay), Usage: open, Provenance: by,
		Refused: run.refusals(), Tools: run.calls(),
	}, delay
}

// maxErrorText bounds an error on the log, in bytes.
const maxErrorText = 2 << 10

func text(err error) string {
	s := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", ""), "\uFFFD")
	if len(s) > maxErrorText {
		s = strings.ToValidUTF8(s[:maxErrorText], "") + "…"
	}
	return s
}

// bury turns a dispatch that nobody can read, or whose task is not on the log, into a dead letter that keeps its bytes. Its id follows from the bytes and the
// subject, so that the same message is buried once.
func (r *Runner) bury(ctx context.Context, msg *message.Message, reason error) {
	subject := msg.Metadata.Get(events.HeaderQueueSubject)
	tenant := task.UnknownKind
	if d, err := events.ParseDispatch(subject); err == nil {
		tenant = d.Tenant
	}
	id := uuid.NewSHA1(uuid.NameSpaceOID, append([]byte(subject+"\x00"), msg.Payload...)).String()
	raw := msg.Payload[:min(len(msg.Payload), events.MaxData/2)]
	e, err := events.New(tenant, id, r.source, events.Failed{Cause: events.CauseUndecodable, Error: text(reason), Raw: raw})
	if err == nil {
		err = task.Patiently(ctx, r.Patience, func(ctx context.Context) error {
			_, err := r.Log.Append(ctx, e, 0)
			return err
		})
	}
	if err != nil && !isStale(err) {
		r.Logger.ErrorContext(ctx, "undecodable dispatch could not be buried yet", "subject", subject, "error", err)
		handBack(msg, 5*time.Second)
		return
	}
	r.Logger.WarnContext(ctx, "undecodable dispatch buried as a dead letter", "subject", subject, "task_id", id, "tenant", tenant, "error", reason)
	msg.Ack()
}
