package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// MaxWorkers is how many workers a Fleet tells of at the most.
const MaxWorkers = 10_000

// FleetConfig sets a Fleet's bounds. Zero fields take the defaults.
type FleetConfig struct {
	Wait   time.Duration // how long workers may take to answer, at the most; 300 ms
	Quiet  time.Duration // after which nobody else is expected to answer; 60 ms
	MaxAge time.Duration // how long an answer is good for; 500 ms
}

// Fleet knows which workers are alive: it asks them all, and takes those that answer. It is safe for concurrent use; the caller
// ends it with Close.
type Fleet struct {
	nc      *natsgo.Conn
	cfg     FleetConfig
	changes *natsgo.Subscription
	workers shared[[]task.Worker]
	usual   atomic.Int64 // how many answered last; 0: not known
}

// soon is how long a Fleet waits for more than the usual number of answers.
const soon = 5 * time.Millisecond

// NewFleet returns a fleet that nobody was asked about yet.
func NewFleet(nc *natsgo.Conn, cfg FleetConfig) (*Fleet, error) {
	setDefault(&cfg.Wait, 300*time.Millisecond)
	setDefault(&cfg.Quiet, 60*time.Millisecond)
	setDefault(&cfg.MaxAge, 500*time.Millisecond)
	if cfg.Wait < 0 || cfg.Quiet < 0 || cfg.MaxAge < 0 {
		return nil, fmt.Errorf("fleet: a duration is negative")
	}
	f := &Fleet{nc: nc, cfg: cfg}
	f.workers.maxAge = cfg.MaxAge
	var err error
	f.changes, err = nc.Subscribe(changeSubject, func(*natsgo.Msg) {
		f.usual.Store(0)
		f.workers.forget()
	})
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	return f, nil
}

// Close ends the fleet's listening for changes.
func (f *Fleet) Close() { _ = f.changes.Unsubscribe() }

// Workers returns the workers that are alive, sorted by name; none when there are none. It takes Wait at the most, less when as
// many answered as last time, and no time when somebody asked within MaxAge and no worker came or went since. Workers that are
// slower than that are missing. Unavailable while the broker is away. The slice is shared: do not change it.
func (f *Fleet) Workers(ctx context.Context) ([]task.Worker, error) { return f.workers.get(ctx, f.ask) }

func (f *Fleet) ask(ctx context.Context) ([]task.Worker, error) {
	replies := make(chan *natsgo.Msg, 1024)
	sub, err := f.nc.ChanSubscribe(f.nc.NewInbox(), replies)
	if err != nil {
		return nil, broken(ctx, "ask the workers", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	subject, err := micro.ControlSubject(micro.StatsVerb, workerService, "")
	if err != nil {
		return nil, fmt.Errorf("ask the workers: %w", err)
	}
	if !f.nc.IsConnected() {
		return nil, fault.After(comeBack, "ask the workers: the broker cannot be reached")
	}
	if err := f.nc.PublishRequest(subject, sub.Subject, nil); err != nil {
		return nil, broken(ctx, "ask the workers", err)
	}
	found, usual := []task.Worker{}, f.usual.Load()
	limit := time.NewTimer(f.cfg.Wait)
	defer limit.Stop()
	quiet := time.NewTimer(f.cfg.Wait)
	defer quiet.Stop()
	for len(found) < MaxWorkers {
		select {
		case msg := <-replies:
			if msg.Header.Get("Status") == noResponders {
				return found, nil
			}
			if w, ok := workerOf(msg.Data); ok {
				found = append(found, w)
			}
			wait := f.cfg.Quiet
			if usual > 0 && int64(len(found)) >= usual {
				wait = min(wait, soon)
			}
			quiet.Reset(wait)
			continue
		case <-limit.C:
		case <-quiet.C:
		case <-ctx.Done():
			return nil, broken(ctx, "ask the workers", ctx.Err())
		}
		break
	}
	f.usual.Store(int64(len(found)))
	slices.SortFunc(found, func(a, b task.Worker) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// noResponders is the status of a question that nobody listens to.
const noResponders = "503"

// workerOf reads what a worker answered.
func workerOf(data []byte) (w task.Worker, ok bool) {
	var stats micro.Stats
	if json.Unmarshal(data, &stats) != nil {
		return w, false
	}
	for _, e := range stats.Endpoints {
		if e != nil && e.Name == workerEndpoint {
			return w, json.Unmarshal(e.Data, &w) == nil
		}
	}
	return w, false
}
