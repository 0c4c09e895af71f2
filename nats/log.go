package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// LogConfig sets a Log's bounds. Zero fields take the defaults.
type LogConfig struct {
	// Recheck is how often a reader that follows a task compares itself with the log although nothing hints at a loss; 30 s.
	Recheck time.Duration
	// GroupCommit lets appends that come together share a sync of the disk; see Log.GroupCommit.
	GroupCommit bool
	Logger      *slog.Logger
}

// Log is the log of all tasks: the stream EVENTS, with PROGRESS beside it. It is safe for concurrent use and has nothing to
// close.
type Log struct {
	js       jetstream.JetStream
	nc       *natsgo.Conn
	recheck  time.Duration
	logger   *slog.Logger
	commits  *committer
	unfenced bool // appends follow anything; set by negative controls only

	textPending int  // live pieces that wait for a slow reader
	textBlind   bool // readers of a text do not read the stream; set by negative controls only
}

var (
	_ task.Log           = (*Log)(nil)
	_ task.ProgressBoard = (*Log)(nil)
)

// NewLog returns the log on the broker that js speaks to. It sends nothing yet.
func NewLog(js jetstream.JetStream, cfg LogConfig) *Log {
	setDefault(&cfg.Recheck, 30*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Log{
		js: js, nc: js.Conn(), recheck: cfg.Recheck, logger: cfg.Logger, textPending: textPending,
		commits: newCommitter(js.Conn(), events.StreamEvents, cfg.GroupCommit, cfg.Logger),
	}
}

// GroupCommit says from now on whether appends to different tasks that come together share one atomic batch. It is worth it on
// a broker that writes each message through to disk (LevelFsync), by an order of magnitude, and costs time on any other. What
// Append promises is the same. On a stream that takes no batches it turns itself off, and logs that.
func (l *Log) GroupCommit(on bool) { l.commits.on.Store(on) }

// maxBusy bounds how often an append is repeated because the broker still has another one to the task under way, with waits
// that double from busyWait: half a second altogether. A stream with replicas acknowledges an append a moment before it
// takes the next one to the same subject, so even a lone writer that is quick meets this.
const (
	maxBusy  = 10
	busyWait = 500 * time.Microsecond
)

// Append implements task.Log. The broker compares e's predecessor with the last message of the subject and stores e in one
// step; a refusal costs one leader read more, which tells whether e itself is there already, somebody else was faster, or
// nothing has come of another append yet.
func (l *Log) Append(ctx context.Context, e events.Event, after uint64) (uint64, error) {
	op := "append " + string(e.Type)
	subject := events.Subject(e.Tenant, e.Task)
	for wait, try := busyWait, 1; ; wait, try = 2*wait, try+1 {
		msg, err := encode(subject, e, 1)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", op, err)
		}
		if !l.unfenced {
			msg.Header[natsgo.ExpectedLastSubjSeqHdr] = []string{strconv.FormatUint(after, 10)}
		}
		seq, err := l.commits.store(ctx, msg)
		if err == nil {
			return seq, nil
		}
		if !isConflict(err) {
			return 0, broken(ctx, op, err)
		}
		last, err := l.leaderRead(ctx, getRequest{LastFor: subject})
		switch {
		case err != nil && !errors.Is(err, errNoMessage):
			return 0, broken(ctx, op, err)
		case last.ID == e.ID && e.ID != "":
			return last.Seq, nil
		case last.Seq != after:
			return 0, &task.StaleError{Last: last}
		case try == maxBusy:
			return 0, fault.After(comeBack, "%s: another append to the task is under way", op)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, broken(ctx, op, ctx.Err())
		}
	}
}

// Last implements task.Log.
func (l *Log) Last(ctx context.Context, tenant, id string) (events.Event, error) {
	e, err := l.leaderRead(ctx, getRequest{LastFor: events.Subject(tenant, id)})
	if err != nil {
		return events.Event{}, readFault(ctx, id, err)
	}
	return e, nil
}

// History implements task.Log; see readSubject.
func (l *Log) History(ctx context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error) {
	found, malformed, err := l.history(ctx, events.Subject(tenant, id), after, limit)
	if err = errors.Join(err, malformed); err != nil {
		return nil, readFault(ctx, id, err)
	}
	return found, nil
}

// history returns what is on a subject. A message that cannot be decoded is an event of nothing but its sequence, and the
// first such error is returned apart.
func (l *Log) history(ctx context.Context, subject string, after uint64, limit int) (found []events.Event, malformed, err error) {
	err = readSubject(ctx, l.nc, events.StreamEvents, subject, after, limit, func(m stored) {
		e, err := decode(m.Header, m.Data, m.Seq)
		if malformed == nil {
			malformed = err
		}
		found = append(found, e)
	})
	if err != nil {
		return nil, nil, err
	}
	return found, malformed, nil
}

func readFault(ctx context.Context, id string, err error) error {
	if errors.Is(err, errNoMessage) {
		return fault.New(fault.NotFound, "task %s has no history", id)
	}
	return broken(ctx, "read task "+id, err)
}

// Report implements task.ProgressBoard. The report is sent and not acknowledged.
func (l *Log) Report(ctx context.Context, e events.Event) error {
	subject, err := progressSubject(e)
	if err != nil {
		return fmt.Errorf("report progress: %w", err)
	}
	msg, err := encode(subject, e, 0)
	if err != nil {
		return fmt.Errorf("report progress: %w", err)
	}
	return broken(ctx, "report progress", l.nc.PublishMsg(msg))
}

// Latest implements task.ProgressBoard.
func (l *Log) Latest(ctx context.Context, tenant, id string) (events.Event, error) {
	msg, err := directLast(ctx, l.nc, events.StreamProgress, events.ProgressSubject(tenant, id))
	if errors.Is(err, errNoMessage) {
		return events.Event{}, fault.New(fault.NotFound, "task %s has no progress", id)
	}
	if err != nil {
		return events.Event{}, broken(ctx, "read progress of task "+id, err)
	}
	return decode(msg.Header, msg.Data, 0)
}
