package nats

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
)

// Why a reader of a Newsfeed ended. Each is in the chain of a fault, whose kind is given here.
var (
	// ErrHistoryGone says that events which the reader asked for are not on the log any more, or that the log is another one. The reader
	// must begin anew. NotFound.
	ErrHistoryGone = errors.New("the log does not hold all events after that place any more")
	// ErrReaderTooSlow says that more events came than wait for a reader. It may come back with the last sequence that it has. Unavailable.
	ErrReaderTooSlow = errors.New("the reader is too slow")
)

// NewsfeedConfig sets a Newsfeed's bounds. Zero fields take the defaults.
type NewsfeedConfig struct {
	Recheck    time.Duration // how often a feed that hears nothing compares itself with the log; 1 s
	MaxReaders int           // at the same time; 20,000
	Queue      int           // events that wait for one reader; 1,024
	QueueBytes int           // the same in bytes of their bodies, which readers share; 4 MiB
	Logger     *slog.Logger
}

const (
	newsPending      = 16384    // live events that wait for the feed; what comes on top is read from the log
	newsPendingBytes = 32 << 20 // the same in bytes
	newsPage         = 64       // events of a page that one reader reads of the log
	newsBatch        = 128      // the same, of one that the feed reads for all
	newsReads        = 16       // readers that read the log at the same time
	// newsGap is how many missing events the feed reads for all. Where more are missing, each reader reads its own.
	newsGap = 8192
)

// Newsfeed is the one live view of the log in a process: it hears everything that is stored over one subscription, and hands it to any
// number of readers, each with the events of one tenant or one task. It is safe for concurrent use.
//
// Live messages may be lost. Sequences of the log have no holes while it grows, so the feed knows what it missed when the next message
// comes, and asks the log when none comes; it reads what is missing once for all readers and passes everything on in log order. A
// reader begins with what the log holds, read for it alone, and goes on with what the feed passes on, spliced by sequence.
type Newsfeed struct {
	nc     *natsgo.Conn
	cfg    NewsfeedConfig
	reads  chan struct{}
	lossy  func(seq uint64) bool // drops live messages; set by tests only
	blind  bool                  // what is missing goes unnoticed; set by negative controls only
	sloppy bool                  // readers read the log before they are attached; set by negative controls only

	mu       sync.Mutex
	running  bool
	ready    chan struct{} // closed once running
	position uint64        // every event up to here was passed on
	made     time.Time     // when the log was made
	shrunk   int           // how often in a row the log ended before position
	count    int
	readers  map[string][]*newsReader // those that are attached, by "<tenant>" or "<tenant>.<task>"
	taps     map[string][]*textTap    // readers of a text, by "<tenant>.<task>"
	texts    *natsgo.Subscription     // what fills them; nil before Run
}

// NewNewsfeed returns a feed of the log on the broker that nc speaks to. It sends nothing yet: Run does.
func NewNewsfeed(nc *natsgo.Conn, cfg NewsfeedConfig) *Newsfeed {
	setDefault(&cfg.Recheck, time.Second)
	setDefault(&cfg.MaxReaders, 20_000)
	setDefault(&cfg.Queue, 1024)
	setDefault(&cfg.QueueBytes, 4<<20)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Newsfeed{nc: nc, cfg: cfg, reads: make(chan struct{}, newsReads), ready: make(chan struct{}), readers: map[string][]*newsReader{}, taps: map[string][]*textTap{}}
}

// Run feeds the readers until ctx ends; then it returns nil, and readers that are left end with an Unavailable fault. While the broker
// is away readers wait. It returns an error when the connection is closed for good. It may be called again when it has returned.
func (f *Newsfeed) Run(ctx context.Context) error {
	const op = "feed the readers of the log"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	live, reports := make(chan *natsgo.Msg), make(chan *natsgo.Msg)
	for _, s := range []struct {
		subject string
		to      chan *natsgo.Msg
	}{{events.Live(events.AllEvents), live}, {events.Live(events.AllProgress), reports}} {
		sub, err := f.nc.Subscribe(s.subject, func(msg *natsgo.Msg) {
			select {
			case s.to <- msg:
			case <-ctx.Done():
			}
		})
		if err != nil {
			return broken(ctx, op, err)
		}
		defer func() { _ = sub.Unsubscribe() }()
		if err := sub.SetPendingLimits(newsPending, newsPendingBytes); err != nil {
			return broken(ctx, op, err)
		}
	}
	if err := f.hearTexts(); err != nil {
		return broken(ctx, op, err)
	}
	status := f.nc.StatusChanged(natsgo.CONNECTED, natsgo.CLOSED)
	defer f.nc.RemoveStatusListener(status)
	defer f.stop()
	return f.run(ctx, live, reports, status)
}

func (f *Newsfeed) run(ctx context.Context, live, reports <-chan *natsgo.Msg, status <-chan natsgo.Status) error {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		behind := true
		select {
		case msg := <-live:
			behind = !f.hear(msg)
		case msg := <-reports:
			f.report(msg)
			continue
		case s := <-status:
			if s == natsgo.CLOSED {
				return broken(ctx, "feed the readers of the log", natsgo.ErrConnectionClosed)
			}
		case <-wait.C:
		case <-ctx.Done():
			return nil
		}
		if !behind {
			wait.Reset(f.cfg.Recheck)
			continue
		}
		again := f.cfg.Recheck
		if err := f.catchUp(ctx); err != nil && ctx.Err() == nil {
			f.cfg.Logger.DebugContext(ctx, "log cannot be read yet", "error", err)
			again = min(again, followBackoff)
		}
		wait.Reset(again)
	}
}

// hear passes a live message on when it is the next one. It reports false when some before it are missing.
func (f *Newsfeed) hear(msg *natsgo.Msg) bool {
	seq := sequence(msg.Header, natsgo.JSSequence)
	if f.lossy != nil && f.lossy(seq) {
		return true
	}
	f.mu.Lock()
	next := f.running && (seq == f.position+1 || f.blind && seq > f.position)
	late := seq <= f.position
	f.mu.Unlock()
	if next {
		f.pass(stored{Subject: msg.Subject, Seq: seq, Header: msg.Header, Data: msg.Data})
	}
	return next || late
}
