package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// site is a platform on a real broker.
type site struct {
	t      testing.TB
	broker *natstest.Broker
	log    *nats.Log
	queue  *nats.Queue
	fleet  *fleet
	policy *policies
}

func newSite(t testing.TB) *site {
	broker := natstest.Start(t)
	queue, err := nats.NewQueue(broker.JS, nats.QueueConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return &site{t: t, broker: broker, log: nats.NewLog(broker.JS, nats.LogConfig{}), queue: queue, fleet: &fleet{}, policy: &policies{changed: make(chan struct{})}}
}

// submit puts a task on the log that is not direct.
func (s *site) submit(tenant string) (events.Event, error) {
	e := tasktest.QueuedEvent(s.t, tenant)
	seq, err := s.log.Append(s.t.Context(), e, 0)
	e.Seq = seq
	return e, err
}

// run starts a dispatcher with a lease of its own and returns what ends it.
func (s *site) run(name string, cfg dispatch.Config) (*dispatch.Dispatcher, func()) {
	s.t.Helper()
	lease, err := nats.NewLease(s.broker.JS, "dispatcher", name, nats.LeaseConfig{})
	if err != nil {
		s.t.Fatal(err)
	}
	gate, err := nats.NewGateWriter(s.broker.JS)
	if err != nil {
		s.t.Fatal(err)
	}
	cfg.Log, cfg.Queue, cfg.Tasks, cfg.Watcher, cfg.Fleet, cfg.Lease, cfg.Policies, cfg.Gate = s.log, s.queue, noTasks{}, s.log, s.fleet, lease, s.policy, gate
	d, err := dispatch.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(stop)
	return d, stop
}

// noTasks is for what neither waits nor expires.
type noTasks struct{}

func (noTasks) Resume(context.Context, string, string, uint64, string) (task.Task, error) {
	panic("nothing waits")
}
func (noTasks) Expire(context.Context, string, string) (task.Task, error) { panic("nothing expires") }

// work does what is in the queue until ctx ends: each slot one at a time.
func (s *site) work(ctx context.Context, slots int, done func(d events.Dispatch)) func() {
	s.fleet.add(task.Worker{Name: "w1", Slots: slots, Kinds: []task.WorkerKind{{Kind: "quiz", Versions: []string{"1"}}}})
	consumer, err := s.broker.JS.Consumer(ctx, events.StreamTasks, nats.WorkConsumer("quiz", events.Normal))
	if err != nil {
		s.t.Fatal(err)
	}
	var group sync.WaitGroup
	for range slots {
		group.Go(func() {
			for ctx.Err() == nil {
				batch, err := consumer.Fetch(1, jetstream.FetchMaxWait(200*time.Millisecond))
				if err != nil {
					continue
				}
				for msg := range batch.Messages() {
					s.attempt(msg, done)
				}
			}
		})
	}
	return group.Wait
}

func (s *site) attempt(msg jetstream.Msg, done func(d events.Dispatch)) {
	d, err := events.ParseDispatch(msg.Subject())
	if err != nil {
		s.t.Error(err)
		return
	}
	seq, err := strconv.ParseUint(msg.Headers().Get(events.HeaderSeq), 10, 64)
	if err != nil {
		s.t.Error(err)
		return
	}
	ctx := context.Background()
	seq, err = s.log.Append(ctx, tasktest.Event(s.t, d.Tenant, d.Task, events.Started{Attempt: 1, Dispatch: d.N, Worker: "w1"}), seq)
	if err == nil {
		done(d)
		_, err = s.log.Append(ctx, tasktest.Event(s.t, d.Tenant, d.Task, events.Completed{Attempt: 1, Result: json.RawMessage(`{}`)}), seq)
	}
	if err != nil && task.Stale(err) == nil {
		s.t.Error(err)
	}
	if err := msg.DoubleAck(ctx); err != nil {
		s.t.Error(err)
	}
}

// until waits for a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	limit := time.After(60 * time.Second)
	for !holds() {
		select {
		case <-limit:
			t.Fatalf("not within a minute: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// On JetStream, with a leader that goes away in the middle: every task runs once, and never more of them than the limit allows.
func TestDispatcher_WorksOnABroker(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const limit, tasks = 3, 400
	s.policy.set(policy.Policy{Limits: []policy.Limit{{Name: "three", Max: limit}}})
	ctx, cancel := context.WithCancel(t.Context())
	var inside, most atomic.Int32
	var mu sync.Mutex
	ran := map[string]int{}
	wait := s.work(ctx, 8, func(d events.Dispatch) {
		now := inside.Add(1)
		for was := most.Load(); now > was && !most.CompareAndSwap(was, now); was = most.Load() {
		}
		mu.Lock()
		ran[d.Task]++
		mu.Unlock()
		runtime.Gosched()
		inside.Add(-1)
	})
	defer wait()
	defer cancel()
	first, stopFirst := s.run("d1", dispatch.Config{})
	until(t, "d1 leads", first.Leading)
	second, _ := s.run("d2", dispatch.Config{})
	for i := range tasks {
		if _, err := s.submit(tenantName(i % 9)); err != nil {
			t.Fatal(err)
		}
		if i == tasks/2 {
			until(t, "d1 has released something", func() bool { return first.Stats().Released > 0 })
			stopFirst()
		}
	}
	until(t, "d2 leads", second.Leading)
	until(t, "all is done", func() bool { return second.Stats().Open == 0 })
	if n := most.Load(); n > limit {
		t.Errorf("%d tasks ran at once, the limit is %d", n, limit)
	}
	if len(ran) != tasks {
		t.Errorf("%d of %d tasks ran", len(ran), tasks)
	}
	for id, n := range ran {
		if n != 1 {
			t.Errorf("task %s ran %d times", id, n)
		}
	}
	if a, b := first.Stats().Released, second.Stats().Released; a == 0 || b == 0 {
		t.Errorf("d1 released %d and d2 %d: one of them did nothing", a, b)
	}
}

// BenchmarkDispatcher_Releases tells how fast a dispatcher fills the queue on a broker in the same process, once it has read the log: with the
// events that it kept, and with each of them read again.
func BenchmarkDispatcher_Releases(b *testing.B) {
	for name, cache := range map[string]int64{"kept": 0, "read": 1} {
		b.Run(name, func(b *testing.B) {
			s := newSite(b)
			const tasks = 20_000
			var group sync.WaitGroup
			for w := range 64 {
				group.Go(func() {
					for i := w; i < tasks; i += 64 {
						if _, err := s.submit(fmt.Sprintf("school%d", i%1000)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			s.policy.set(policy.Policy{Paused: map[string]policy.Pause{"quiz": {}}})
			s.fleet.add(task.Worker{Name: "w1", Slots: 1_000_000, Kinds: []task.WorkerKind{{Kind: "quiz"}}})
			d, stop := s.run("d1", dispatch.Config{Board: dispatch.BoardConfig{Cache: cache}})
			until(b, "it leads and knows the workers", func() bool {
				alive := 0
				d.Board(func(board *dispatch.Board) {
					for _, k := range board.Backlog(time.Now()) {
						alive += k.Workers
					}
				})
				return d.Leading() && alive > 0
			})
			for b.Loop() {
				began := time.Now()
				s.policy.set(policy.Policy{})
				until(b, "all is released", func() bool { return d.Stats().Released >= tasks })
				b.ReportMetric(tasks/time.Since(began).Seconds(), "releases/s")
				stop()
			}
		})
	}
}
