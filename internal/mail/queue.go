package mail

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// QueueConfig says how a Queue works. Sender is required.
type QueueConfig struct {
	Sender  Sender
	Size    int           // mails that wait, those for another try among them; 1000
	Workers int           // mails that are sent side by side; 2
	Tries   int           // of each mail; 6, over about four minutes
	Backoff time.Duration // before the second try; it doubles with each, less up to a half by chance; 10 s
	Drain   time.Duration // for what is left when Run is to end; 10 s
	Logger  *slog.Logger  // nil discards
}

// Queue sends mails later, in about the order in which they came. It is safe for concurrent use; Run does its work.
type Queue struct {
	cfg  QueueConfig
	wake chan struct{} // holds one when a worker may have something to do

	mu      sync.Mutex
	waiting []*queued // by due
	busy    int       // mails that are being sent
	closed  bool
	dropped uint64
}

type queued struct {
	Message
	due   time.Time
	tries int
}

var _ Sender = (*Queue)(nil)

// NewQueue checks cfg and returns an empty queue.
func NewQueue(cfg QueueConfig) (*Queue, error) {
	if cfg.Sender == nil {
		return nil, errors.New("mail: QueueConfig.Sender is missing")
	}
	cfg.Size, cfg.Workers, cfg.Tries = orElse(cfg.Size, 1000), orElse(cfg.Workers, 2), orElse(cfg.Tries, 6)
	cfg.Backoff, cfg.Drain = orElse(cfg.Backoff, 10*time.Second), orElse(cfg.Drain, 10*time.Second)
	if min(cfg.Size, cfg.Workers, cfg.Tries) < 0 || min(cfg.Backoff, cfg.Drain) < 0 || cfg.Tries > 20 {
		return nil, errors.New("mail: QueueConfig has a negative limit, or more than 20 tries")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Queue{cfg: cfg, wake: make(chan struct{}, 1)}, nil
}

func orElse[T int | time.Duration](value, other T) T {
	if value == 0 {
		return other
	}
	return value
}

// Send takes a mail and returns at once. Errors: Invalid when it is none; Unavailable when the queue is full, or Run has ended.
func (q *Queue) Send(_ context.Context, m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	if !q.push(&queued{Message: m, due: time.Now()}) {
		return fault.After(tryLater, "no more mails are taken at the moment")
	}
	return nil
}

// Waiting returns how many mails wait: for their turn, or for another try.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// Dropped returns how many mails were given up since the start; those that Send refused are not among them.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Run sends mails until ctx ends. It then tries each that is left once more, for QueueConfig.Drain in all, gives up and logs the others, and
// returns nil. It is called once.
func (q *Queue) Run(ctx context.Context) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var workers sync.WaitGroup
	for range q.cfg.Workers {
		workers.Go(func() {
			for m := q.next(ctx); m != nil; m = q.next(ctx) {
				q.deliver(sending, m, ctx.Err() != nil)
			}
			for sending.Err() == nil {
				m := q.pop(false)
				if m == nil {
					break
				}
				q.deliver(sending, m, true)
			}
		})
	}
	<-ctx.Done()
	defer time.AfterFunc(q.cfg.Drain, cancel).Stop()
	workers.Wait()
	for m := q.shut(); m != nil; m = q.shut() {
		q.drop(m, errors.New("there was no time left"))
	}
	return nil
}

// next waits for a mail that is due. It returns nil once ctx has ended.
func (q *Queue) next(ctx context.Context) *queued {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		if m := q.pop(true); m != nil {
			return m
		}
		if wait, some := q.nextDue(); some {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-q.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return nil
}

func (q *Queue) deliver(ctx context.Context, m *queued, last bool) {
	err := q.cfg.Sender.Send(ctx, m.Message)
	m.tries++
	again := err != nil && !last && m.tries < q.cfg.Tries && fault.KindOf(err).Retryable()
	if again {
		wait := q.cfg.Backoff << (m.tries - 1)
		m.due = time.Now().Add(max(wait-rand.N(wait/2+1), fault.RetryAfter(err)))
	}
	q.mu.Lock()
	q.busy--
	if again { // it keeps its place, which nobody else gets in between
		q.insert(m)
	}
	q.mu.Unlock()
	if err != nil && !again {
		q.drop(m, err)
	}
}

func (q *Queue) drop(m *queued, err error) {
	q.mu.Lock()
	q.dropped++
	q.mu.Unlock()
	q.cfg.Logger.Error("a mail was given up", "subject", m.Subject, "tries", m.tries, "error", err)
}

// push takes m in, if there is room.
func (q *Queue) push(m *queued) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.waiting)+q.busy >= q.cfg.Size {
		return false
	}
	q.insert(m)
	return true
}

// insert puts m where it is due. The caller holds mu.
func (q *Queue) insert(m *queued) {
	at, _ := slices.BinarySearchFunc(q.waiting, m.due, func(other *queued, due time.Time) int {
		if other.due.After(due) {
			return 1
		}
		return -1 // behind those that are due at the same time
	})
	q.waiting = slices.Insert(q.waiting, at, m)
	q.signal()
}

// pop takes the first mail, unless only one that is due is wanted and it is not. It returns nil for none.
func (q *Queue) pop(due bool) *queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 || due && time.Until(q.waiting[0].due) > 0 {
		return nil
	}
	m := q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	q.busy++
	if len(q.waiting) > 0 {
		q.signal()
	}
	return m
}

// shut lets nobody in any more, and takes what is left.
func (q *Queue) shut() *queued {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	return q.pop(false)
}

func (q *Queue) nextDue() (wait time.Duration, some bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return 0, false
	}
	return time.Until(q.waiting[0].due), true
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
