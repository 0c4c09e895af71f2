package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Config of a Notifier. Feed, Progress, Lookup and Sender are required.
type Config struct {
	Feed     Feed
	Progress Progress
	Lookup   Lookup
	Sender   Sender
	Log      *slog.Logger // default: discards

	Senders  int           // requests under way at once; default 8, 1 to 256
	Tasks    int           // tasks whose facts are kept in memory; default 32,768 (about 12 MB)
	Waiting  int           // tasks whose progress, and tasks whose text, may wait at once; default 4,096, each up to MaxData and 12 KiB
	RetryMin time.Duration // ceiling of the first wait after a failure; default 250 ms
	RetryMax time.Duration // ceiling of every wait after a failure; default 30 s
	// MaxAge is how old a log event may be to be worth telling; default 24 h. A notifier that is switched on later, or was off for
	// long, does not repeat history: subscribers fetch what they miss from the API.
	MaxAge time.Duration
}

// Notifier sends what the log and the progress reports say to subscribers. The package's doc says what it guarantees.
type Notifier struct {
	cfg     Config
	log     *slog.Logger
	shards  []shard
	tasks   *tasks
	pending *pending
	texts   *texts
	stats   *counters

	open    func(progress events.Event) bool // may this report be sent now?
	shardOf func(channel string) int
}

// New returns a Notifier, or an Invalid fault that names the wrong fields.
func New(cfg Config) (*Notifier, error) {
	def(&cfg.Senders, 8)
	def(&cfg.Tasks, 1<<15)
	def(&cfg.Waiting, 1<<12)
	def(&cfg.RetryMin, 250*time.Millisecond)
	def(&cfg.RetryMax, 30*time.Second)
	def(&cfg.MaxAge, 24*time.Hour)
	def(&cfg.Log, slog.New(slog.DiscardHandler))

	var bad []fault.Detail
	check := func(ok bool, field, reason string) {
		if !ok {
			bad = append(bad, fault.Detail{Field: field, Reason: reason})
		}
	}
	check(cfg.Feed != nil, "Feed", "is missing")
	check(cfg.Progress != nil, "Progress", "is missing")
	check(cfg.Lookup != nil, "Lookup", "is missing")
	check(cfg.Sender != nil, "Sender", "is missing")
	check(cfg.Senders >= 1 && cfg.Senders <= 256, "Senders", "must be 1 to 256")
	check(cfg.Tasks >= 1, "Tasks", "must be at least 1")
	check(cfg.Waiting >= 1, "Waiting", "must be at least 1")
	check(cfg.MaxAge > 0, "MaxAge", "must be above 0")
	check(cfg.RetryMin > 0 && cfg.RetryMin <= cfg.RetryMax, "RetryMin", "must be above 0 and not above RetryMax")
	if bad != nil {
		return nil, fault.InvalidFields(bad)
	}

	n := &Notifier{cfg: cfg, log: cfg.Log, shards: make([]shard, cfg.Senders), tasks: newTasks(cfg.Tasks), stats: &counters{}}
	for i := range n.shards {
		n.shards[i] = make(shard, 1)
	}
	n.pending, n.texts = newPending(cfg.Waiting, n.stats), newTexts(cfg.Waiting, n.stats)
	n.open, n.shardOf = n.tasks.open, func(channel string) int { return hash(channel) % cfg.Senders }
	return n, nil
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Run sends until ctx ends, and then returns nil as soon as the Sender, the Feed and Progress have let go; a batch that is
// not wholly sent is left to the Feed to deliver again. It returns an error when the Feed breaks. A broken progress
// subscription is made again. Call it once.
func (n *Notifier) Run(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := n.cfg.Feed.Consume(running, n.handle)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // being stopped is how a run ends
		}
		if err == nil {
			return errors.New("the feed of events ended by itself")
		}
		return fmt.Errorf("consume events: %w", err)
	})
	g.Go(func() error { n.listen(running); return nil })
	g.Go(func() error { n.flushAll(running); return nil })
	return g.Wait()
}

// Stats returns the counters as they are now. Safe for concurrent use.
func (n *Notifier) Stats() Stats { return n.stats.read() }

// handle sends one batch of log events. It fails only when ctx ends.
func (n *Notifier) handle(ctx context.Context, batch []events.Event) error {
	if len(batch) == 0 {
		return nil
	}
	n.stats.oldest.Store(batch[0].Time.UnixNano())
	defer n.stats.oldest.Store(0)

	queues := make([][]Message, len(n.shards))
	for _, e := range batch {
		facts, err := n.facts(ctx, e)
		if err != nil {
			return err
		}
		// Before the end of a task is sent anywhere, its progress is held back everywhere.
		if e.Type.Terminal() {
			n.tasks.close(keyOf(e), facts, e.Seq)
		}
		if time.Since(e.Time) > n.cfg.MaxAge {
			n.stats.stale.Add(1)
			continue
		}
		for _, m := range Route(e, facts) {
			i := n.shardOf(m.Channel)
			queues[i] = append(queues[i], m)
		}
	}
	if err := n.sendQueues(ctx, queues); err != nil {
		return err
	}
	for _, e := range batch {
		if e.Type == events.TypeQueued {
			n.tasks.reopen(e)
		}
	}
	return nil
}

// facts returns what is known of e's task: from e itself, from memory, or from the log, which is asked until it answers.
func (n *Notifier) facts(ctx context.Context, e events.Event) (Snapshot, error) {
	if own, ok := snapshotOf(e); ok {
		n.tasks.learn(keyOf(e), own)
		return own, nil
	}
	if known, ok := n.tasks.facts(keyOf(e)); ok {
		return known, nil
	}
	for failures := 1; ; failures++ {
		found, err := n.first(ctx, e)
		if err == nil || unknowable(err) {
			n.tasks.learn(keyOf(e), found)
			return found, nil
		}
		if err := n.retryIn(ctx, failures, err, "the task of an event could not be looked up", slog.String("task_id", e.Task)); err != nil {
			return Snapshot{}, err
		}
	}
}

// unknowable reports whether no later try will bring a task's facts: its beginning is gone, or was never one of ours.
func unknowable(err error) bool {
	return fault.Is(err, fault.NotFound) || errors.Is(err, events.ErrMalformed)
}

// first reads the facts of e's task from the beginning of its history. They are empty when that has aged out.
func (n *Notifier) first(ctx context.Context, e events.Event) (Snapshot, error) {
	history, err := n.cfg.Lookup.History(ctx, e.Tenant, e.Task, 0, 1)
	if err != nil || len(history) == 0 {
		return Snapshot{}, err
	}
	s, _ := snapshotOf(history[0])
	return s, nil
}

// retryIn logs a failure, waits as long as the backoff says and returns nil, or why ctx ended.
func (n *Notifier) retryIn(ctx context.Context, failures int, err error, what string, attrs ...slog.Attr) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	wait := backoff(n.cfg.RetryMin, n.cfg.RetryMax, failures, err)
	n.stats.retried.Add(1)
	level := slog.LevelWarn
	if !fault.KindOf(err).Retryable() {
		level = slog.LevelError // time alone will not mend it
	}
	n.log.LogAttrs(ctx, level, "sending waits", append(attrs, slog.String("why", what),
		slog.Int("failures", failures), slog.Duration("retry_in", wait), slog.Any("error", err))...)
	return sleep(ctx, wait)
}
