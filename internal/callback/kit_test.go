package callback_test

import (
	"bufio"
	"context"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/secret"
)

const (
	tenant = "school"
	host   = "hooks.school.example" // of the receivers of these tests
	// patience bounds every wait; nothing is timed.
	patience = 30 * time.Second

	envDatabase = "CALLBACK_TEST_DATABASE" // tells the test binary to be a Runner on it, until it is killed
	envAllow    = "CALLBACK_TEST_ALLOW"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(envDatabase); url != "" {
		os.Exit(victim(url, os.Getenv(envAllow)))
	}
	goleak.VerifyTestMain(m, pgtest.LeakOptions()...)
}

// victim delivers until it is killed, or until its parent is gone.
func victim(url, allow string) int {
	db, err := postgres.Open(context.Background(), postgres.Config{URL: url})
	if err != nil {
		return 1
	}
	a, err := callback.ParseAllow(allow)
	if err != nil {
		return 1
	}
	box, err := secret.New(passphrase)
	if err != nil {
		return 1
	}
	store := postgres.NewCallbacks(db)
	r, err := callback.NewRunner(callback.RunnerConfig{Queue: store, Secrets: store, Sealer: box, Allow: a, Resolver: loopback{}, Timeout: time.Minute, Poll: 10 * time.Millisecond})
	if err != nil {
		return 1
	}
	go func() { _ = r.Run(context.Background()) }()
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
	return 0
}

const passphrase = "a passphrase of more than thirty-two characters"

// loopback resolves every name to this machine.
type loopback struct{}

func (loopback) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// clock stands until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = to
}

// kit is what a test works with: a database, and a service, a planner and a runner on it.
type kit struct {
	t       testing.TB
	url     string
	store   *postgres.Callbacks
	allow   *callback.Allow
	clock   *clock
	service *callback.Service
	planner *callback.Planner
	runner  *callback.Runner
	history history
	seq     uint64
}

// history is the log: the first event of each task.
type history map[string]events.Event

func (h history) History(_ context.Context, _, task string, _ uint64, _ int) ([]events.Event, error) {
	e, ok := h[task]
	if !ok {
		return nil, fault.New(fault.NotFound, "no task %s", task)
	}
	return []events.Event{e}, nil
}

// noFeed hands out nothing.
type noFeed struct{}

func (noFeed) Consume(ctx context.Context, _ func(context.Context, []events.Event) error) error {
	<-ctx.Done()
	return nil
}

// newKit allows the receivers under the name of these tests.
func newKit(t testing.TB, receivers ...*receiver) *kit {
	t.Helper()
	return kitOn(t, pgtest.New(t), receivers...)
}

func kitOn(t testing.TB, url string, receivers ...*receiver) *kit {
	t.Helper()
	k := &kit{t: t, url: url, clock: &clock{at: time.Now().Truncate(time.Microsecond)}, history: history{}}
	entries := []string{}
	for _, r := range receivers {
		entries = append(entries, host+":"+r.port())
	}
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	must(t, err)
	t.Cleanup(db.Close)
	k.store = postgres.NewCallbacks(db)
	k.allow, err = callback.ParseAllow(strings.Join(entries, ","))
	must(t, err)
	k.service, err = callback.NewService(callback.ServiceConfig{Endpoints: k.store, Log: k.store, Sealer: box(t), Allow: k.allow, Now: k.clock.Now})
	must(t, err)
	k.planner, err = callback.NewPlanner(callback.PlannerConfig{
		Feed: noFeed{}, Lookup: k.history, Queue: k.store, Allow: k.allow, Base: "https://toolbox.example", Now: k.clock.Now,
	})
	must(t, err)
	k.runner = k.newRunner(callback.RunnerConfig{})
	return k
}

func (k *kit) newRunner(cfg callback.RunnerConfig) *callback.Runner {
	k.t.Helper()
	cfg.Queue, cfg.Secrets, cfg.Sealer, cfg.Allow = k.store, k.store, box(k.t), k.allow
	if cfg.Now == nil {
		cfg.Now = k.clock.Now
	}
	if cfg.Resolver == nil {
		cfg.Resolver = loopback{}
	}
	r, err := callback.NewRunner(cfg)
	must(k.t, err)
	k.t.Cleanup(r.Close)
	return r
}

func box(t testing.TB) *secret.Box {
	b, err := secret.New(passphrase)
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// endpoint registers a receiver and returns its id and secret.
func (k *kit) endpoint(url string, types ...events.Type) (id, secret string) {
	k.t.Helper()
	return k.endpointOf(tenant, url, types...)
}

func (k *kit) endpointOf(tenant, url string, types ...events.Type) (id, secret string) {
	k.t.Helper()
	e, secret, err := k.service.Create(k.t.Context(), tenant, callback.Spec{URL: url, Events: types})
	must(k.t, err)
	return e.ID, secret
}

// event is about a task, at the clock's time. The first of a task is kept as its history.
func (k *kit) event(tenant, task string, p events.Payload) events.Event {
	k.t.Helper()
	e, err := events.New(tenant, task, "/test", p)
	must(k.t, err)
	k.seq++
	e.Time, e.Seq = k.clock.Now(), k.seq
	if _, ok := k.history[task]; !ok {
		k.history[task] = e
	}
	return e
}

func queued(url string) events.Queued {
	return events.Queued{
		Kind: "quiz", Input: []byte(`{"subject":"History"}`), Priority: events.Normal, Dispatch: 1, UserID: "teacher-7",
		Labels: map[string]string{"class": "8b"}, CallbackURL: url,
	}
}

// finish plans the life of a task with a callback_url, which may be empty.
func (k *kit) finish(task, url string) events.Event {
	k.t.Helper()
	return k.finishOf(tenant, task, url)
}

func (k *kit) finishOf(tenant, task, url string) events.Event {
	k.t.Helper()
	end := k.event(tenant, task, queued(url))
	must(k.t, k.planner.Plan(k.t.Context(), end))
	end = k.event(tenant, task, events.Completed{Attempt: 1, Result: []byte(`{"secret":"the result"}`)})
	must(k.t, k.planner.Plan(k.t.Context(), end))
	return end
}

// round tries what is due and returns how much that was.
func (k *kit) round() int {
	k.t.Helper()
	n, err := k.runner.Round(k.t.Context())
	must(k.t, err)
	return n
}

// claim takes what is due, without trying it, and returns how much that was.
func (k *kit) claim(lease time.Duration) int {
	k.t.Helper()
	jobs, err := k.store.Claim(k.t.Context(), callback.Claim{Now: k.clock.Now(), Lease: lease, Limit: 20, PerTarget: 4, PerTenant: 16, Broken: 10})
	must(k.t, err)
	return len(jobs)
}

// only returns the one delivery of the log.
func (k *kit) only() callback.Delivery {
	k.t.Helper()
	all := k.log(callback.DeliveryFilter{})
	if len(all) != 1 {
		k.t.Fatalf("the log has %d deliveries: %+v", len(all), all)
	}
	return all[0]
}

func (k *kit) log(f callback.DeliveryFilter) []callback.Delivery {
	k.t.Helper()
	if f.Tenant == "" {
		f.Tenant = tenant
	}
	f.Limit = callback.MaxPage
	page, err := k.service.Deliveries(k.t.Context(), f)
	must(k.t, err)
	return page.Deliveries
}

// until waits for what a test expects.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// start runs a runner beside the test and returns what ends it.
func start(t testing.TB, r *callback.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}
