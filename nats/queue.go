package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// QueueConfig sets a Queue's bounds. Zero fields take the defaults.
type QueueConfig struct {
	FullAt float64 // the share of the stream's limits at which Admit refuses, above 0 and up to 1; 1
	// GroupCommit lets dispatches that come together share a sync of the disk; see Queue.GroupCommit.
	GroupCommit bool
	Logger      *slog.Logger
}

// Queue is the work queue: the stream TASKS. It is safe for concurrent use and has nothing to close.
type Queue struct {
	nc      *natsgo.Conn
	fullAt  float64
	commits *committer

	mu    sync.Mutex
	fill  fill
	asked chan struct{} // closed when the request that is under way has ended; nil when none is
}

var _ task.Queue = (*Queue)(nil)

// NewQueue returns the queue on the broker that js speaks to. It sends nothing yet.
func NewQueue(js jetstream.JetStream, cfg QueueConfig) (*Queue, error) {
	setDefault(&cfg.FullAt, 1)
	if cfg.FullAt < 0 || cfg.FullAt > 1 {
		return nil, fmt.Errorf("queue: FullAt is %v, must be above 0 and at most 1", cfg.FullAt)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Queue{nc: js.Conn(), fullAt: cfg.FullAt, commits: newCommitter(js.Conn(), "", cfg.GroupCommit, cfg.Logger)}, nil
}

// GroupCommit does for dispatches what Log.GroupCommit does for appends.
func (q *Queue) GroupCommit(on bool) { q.commits.on.Store(on) }

// Dispatch implements task.Queue. The subject names kind, lane, task and the number of the dispatch, and the stream holds one
// message of each: the broker itself refuses the second.
func (q *Queue) Dispatch(ctx context.Context, d events.Dispatch, e events.Event) error {
	if e.Type != events.TypeQueued || e.Task != d.Task || e.Tenant != d.Tenant {
		return fmt.Errorf("%w: %s of task %s does not ask for dispatch %s", events.ErrMalformed, e.Type, e.Task, d.Subject())
	}
	if _, err := events.ParseDispatch(d.Subject()); err != nil {
		return fmt.Errorf("dispatch task %s: %w", e.Task, err)
	}
	msg, err := encode(d.Subject(), e, 2)
	if err != nil {
		return fmt.Errorf("dispatch task %s: %w", e.Task, err)
	}
	msg.Header[events.HeaderSeq] = []string{strconv.FormatUint(e.Seq, 10)}
	msg.Header[events.HeaderDispatch] = []string{strconv.Itoa(d.N)}
	_, err = q.commits.store(ctx, msg)
	if isTaken(err) {
		return nil
	}
	return broken(ctx, "dispatch task "+e.Task, err)
}

// Has implements task.Queue. The leader answers, so that it sees every dispatch that was acknowledged before the call.
func (q *Queue) Has(ctx context.Context, d events.Dispatch) (bool, error) {
	_, err := leaderMessage(ctx, q.nc, events.StreamTasks, getRequest{LastFor: d.Subject()})
	switch {
	case err == nil, errors.Is(err, events.ErrMalformed):
		return true, nil
	case errors.Is(err, errNoMessage):
		return false, nil
	}
	return false, broken(ctx, "look up the dispatch of task "+d.Task, err)
}

// fill is how full the stream was. One without limits stands for not knowing.
type fill struct {
	at             time.Time
	msgs, maxMsgs  int64
	size, maxBytes int64
}

func (f fill) full(share float64) bool {
	over := func(n, limit int64) bool { return limit > 0 && float64(n) >= share*float64(limit) }
	return over(f.msgs, f.maxMsgs) || over(f.size, f.maxBytes)
}

// fillAge is how old an answer of Admit may be.
const fillAge = time.Second

// Admit implements task.Queue. The stream's state is asked for at most once a second, by one caller for all. While it
// cannot be had, work is admitted: the append that follows tells whether the broker is there, and waits out an election.
func (q *Queue) Admit(ctx context.Context) error {
	f, err := q.state(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("admit: %w", err)
	case f.full(q.fullAt):
		return fault.After(comeBack, "the queue is full: %d tasks wait or run", f.msgs)
	}
	return nil
}

// state returns how full the stream is, as far as that can be told. Its only error is ctx's.
func (q *Queue) state(ctx context.Context) (fill, error) {
	for {
		q.mu.Lock()
		if time.Since(q.fill.at) < fillAge {
			defer q.mu.Unlock()
			return q.fill, nil
		}
		asked := q.asked
		if asked == nil {
			q.asked = make(chan struct{})
		}
		q.mu.Unlock()
		if asked == nil {
			q.refresh(ctx)
		} else {
			select {
			case <-asked:
			case <-ctx.Done():
			}
		}
		if err := ctx.Err(); err != nil {
			return fill{}, err
		}
	}
}

// refresh asks the broker, on behalf of everybody who waits. Not to know is an answer as well, except to a caller who left.
func (q *Queue) refresh(ctx context.Context) {
	f := q.ask(ctx)
	q.mu.Lock()
	defer q.mu.Unlock()
	if ctx.Err() == nil {
		q.fill = f
	}
	close(q.asked)
	q.asked = nil
}

// streamState is what STREAM.INFO says.
type streamState struct {
	answer
	Config struct {
		MaxMsgs  int64 `json:"max_msgs"`
		MaxBytes int64 `json:"max_bytes"`
	} `json:"config"`
	State struct {
		Messages uint64         `json:"messages"`
		Bytes    uint64         `json:"bytes"`
		LastSeq  uint64         `json:"last_seq"`
		Subjects map[string]int `json:"subjects"`
	} `json:"state"`
}

const streamInfo = "$JS.API.STREAM.INFO."

func (q *Queue) ask(ctx context.Context) fill {
	bounded, cancel := context.WithTimeout(ctx, fillAge)
	defer cancel()
	var s streamState
	if err := ask(bounded, q.nc, streamInfo+events.StreamTasks, nil, &s); err != nil {
		return fill{at: time.Now()}
	}
	return fill{
		at: time.Now(), msgs: int64(s.State.Messages), maxMsgs: s.Config.MaxMsgs,
		size: int64(s.State.Bytes), maxBytes: s.Config.MaxBytes,
	}
}

// maxPages bounds Waiting: the broker gives 100,000 subjects a page.
const maxPages = 1000

// Waiting implements task.Queue. What is queued or acknowledged while it reads may be missing.
func (q *Queue) Waiting(ctx context.Context) ([]events.Dispatch, error) {
	var all []events.Dispatch
	offset := 0
	for range maxPages {
		var s streamState
		in := map[string]any{"subjects_filter": events.AllTasks, "offset": offset}
		if err := ask(ctx, q.nc, streamInfo+events.StreamTasks, in, &s); err != nil {
			return nil, broken(ctx, "list the queue", err)
		}
		for subject := range s.State.Subjects {
			if d, err := events.ParseDispatch(subject); err == nil {
				all = append(all, d)
			}
		}
		offset += len(s.State.Subjects)
		if len(s.State.Subjects) == 0 || uint64(offset) >= s.State.Messages {
			return all, nil
		}
	}
	return nil, broken(ctx, "list the queue", errors.New("it has more pages than can be read"))
}
