package nats

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/task"
)

// gateKey is the one document of BucketGate.
const gateKey = "gate"

// GateWriter publishes what the dispatcher holds back. It is safe for concurrent use.
type GateWriter struct{ docs *Documents[dispatch.Gate] }

// NewGateWriter returns a writer on the broker that js speaks to. It sends nothing yet.
func NewGateWriter(js jetstream.JetStream) (*GateWriter, error) {
	docs, err := NewDocuments[dispatch.Gate](js, BucketGate, nil)
	if err != nil {
		return nil, err
	}
	return &GateWriter{docs}, nil
}

// PublishGate makes gate the newest one. The broker keeps it in memory: whoever publishes repeats it every few seconds although
// nothing changed, for processes that start after a broker lost it.
func (w *GateWriter) PublishGate(ctx context.Context, gate dispatch.Gate) error {
	_, err := w.docs.overwrite(ctx, gateKey, gate.Sorted())
	return err
}

// GateConfig sets a Gate's bounds. Zero fields take the defaults.
type GateConfig struct {
	Burst  int // tasks of one tenant that go straight to the queue at once, and then in each second; 4
	Logger *slog.Logger
}

// Gate knows what the dispatcher holds back, from memory, as long as Run runs. It implements task.Gate and is safe for concurrent
// use; a call takes no lock and does not wait.
//
// Before it has heard of the broker for the first time it lets nothing through: the dispatcher queues all of it. When there is no
// gate on the broker, everything goes straight to the queue: no dispatcher ever held something back. While the broker is away
// the last known gate counts, for as long as it says itself.
//
// The newest gate is always a little old, so a tenant's burst would outrun it. Hence each tenant has Burst permits, which come back
// one by one, Burst of them a second: in any d seconds at most Burst·(1+d) of its tasks go straight to the queue from this
// process, and who submits no more than Burst tasks a second always does. Tenants share 4,096 counters by hash; that two
// meet costs the quieter one a detour by the dispatcher, and nothing else.
type Gate struct {
	docs   *Documents[dispatch.Gate]
	ready  chan struct{}
	synced sync.Once
	gate   atomic.Pointer[dispatch.Gate] // nil: not known yet

	began time.Time
	every int64 // nanoseconds in which one permit comes back
	burst int64
	seed  maphash.Seed
	// used holds, for each counter, the time since began at which all its permits are back.
	used [4096]atomic.Int64
}

var _ task.Gate = (*Gate)(nil)

// NewGate returns a gate that lets nothing through until Run runs. It sends nothing yet.
func NewGate(js jetstream.JetStream, cfg GateConfig) (*Gate, error) {
	setDefault(&cfg.Burst, 4)
	if cfg.Burst < 1 || cfg.Burst > 1_000_000 {
		return nil, fmt.Errorf("gate: Burst is %d, must be 1 to 1,000,000", cfg.Burst)
	}
	docs, err := NewDocuments[dispatch.Gate](js, BucketGate, cfg.Logger)
	if err != nil {
		return nil, err
	}
	return &Gate{
		docs: docs, ready: make(chan struct{}), began: time.Now(),
		every: int64(time.Second) / int64(cfg.Burst), burst: int64(cfg.Burst), seed: maphash.MakeSeed(),
	}, nil
}

// Run keeps the gate up to date until ctx ends; then it returns nil. It returns an error when the bucket does not exist and when
// the connection is closed for good.
func (g *Gate) Run(ctx context.Context) error {
	show := func(doc Document[dispatch.Gate]) {
		if doc.Key == gateKey && !doc.Deleted { // a bucket that lost it does not open it
			doc.Value.At = time.Now() // by our clock: the dispatcher's may be another one
			g.gate.Store(&doc.Value)
		}
	}
	return g.docs.watch(ctx, show, func() {
		g.synced.Do(func() {
			g.gate.CompareAndSwap(nil, &dispatch.Gate{})
			close(g.ready)
		})
	})
}

// Ready is closed once the gate is what the broker has, for the first time.
func (g *Gate) Ready() <-chan struct{} { return g.ready }

// Direct implements task.Gate. Where it says yes, it takes one of the tenant's permits. While no dispatcher is there to queue what is held, bursts
// are not held either: that work begins matters more then than whose.
func (g *Gate) Direct(tenant, kind string, labels map[string]string) bool {
	gate := g.gate.Load()
	return gate != nil && gate.Direct(tenant, kind, labels) && (gate.Aged() || g.permit(tenant, int64(time.Since(g.began))))
}

// Full reports whether the dispatcher has so much work that no more is to be taken in.
func (g *Gate) Full() bool {
	gate := g.gate.Load()
	return gate != nil && gate.Refuses()
}

// permit takes one of a tenant's permits and reports whether there was one.
func (g *Gate) permit(tenant string, now int64) bool {
	used := &g.used[maphash.String(g.seed, tenant)%uint64(len(g.used))]
	for {
		was := used.Load()
		next := max(was, now) + g.every
		if next-now > g.burst*g.every {
			return false
		}
		if used.CompareAndSwap(was, next) {
			return true
		}
	}
}
