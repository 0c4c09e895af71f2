package callback_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

// A process dies by kill -9 while a receiver has its message: another one delivers it under the same id.
func TestRunner_DeliversWhatAKilledProcessHad(t *testing.T) {
	t.Parallel()
	arrived, hold := make(chan struct{}, 1), make(chan struct{})
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-hold
		w.WriteHeader(http.StatusNoContent)
	})
	defer close(hold)
	url := pgtest.New(t)
	k := kitOn(t, url, r)
	_, secret := k.endpoint(r.url("/"), events.TypeCompleted)
	k.finish("task-1", "")

	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), envDatabase+"="+url, envAllow+"="+host+":"+r.port())
	stdin, err := victim.StdinPipe()
	must(t, err)
	defer stdin.Close()
	must(t, victim.Start())
	select {
	case <-arrived:
	case <-time.After(patience):
		t.Error("the other process delivers nothing")
	}
	must(t, victim.Process.Kill())
	_ = victim.Wait()

	r.answerWith(nil)
	if n := k.round(); n != 0 {
		t.Error("taken while the lease of the killed process holds")
	}
	k.clock.move(k.clock.Now().Add(10 * time.Minute))
	if n := k.round(); n != 1 || k.only().State != callback.Delivered || k.only().Attempt != 2 {
		t.Errorf("%d tries, %+v", n, k.only())
	}
	got := r.requests()
	if len(got) != 2 || got[0].id != got[1].id || got[0].body != got[1].body || got[0].id != k.only().ID {
		t.Fatalf("got %+v", got)
	}
	for _, one := range got {
		if err := verify(secret, one); err != nil {
			t.Error(err)
		}
	}
}

// gauge measures how many requests are under way at once.
type gauge struct {
	mu     sync.Mutex
	now    map[string]int
	most   map[string]int
	hold   chan struct{}
	status int
}

func (g *gauge) serve(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	if g.now == nil {
		g.now, g.most = map[string]int{}, map[string]int{}
	}
	g.now[r.URL.Path]++
	g.most[r.URL.Path] = max(g.most[r.URL.Path], g.now[r.URL.Path])
	g.mu.Unlock()
	if g.hold != nil {
		<-g.hold
	}
	g.mu.Lock()
	g.now[r.URL.Path]--
	g.mu.Unlock()
	w.WriteHeader(max(g.status, 204))
}

func (g *gauge) peak(path string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most[path]
}

func (g *gauge) total() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, one := range g.now {
		n += one
	}
	return n
}

// Two processes share what there is: each message goes out once, and never more than four to one endpoint at once.
func TestRunner_SharesWithoutDoubles(t *testing.T) {
	t.Parallel()
	var g gauge
	r := receive(t, g.serve)
	k := newKit(t, r)
	const tasks = 150
	for i := range 3 {
		k.endpoint(r.url(fmt.Sprint("/e", i)), events.TypeCompleted)
	}
	for i := range tasks {
		k.finish(fmt.Sprint("task-", i), "")
	}
	var runners []*callback.Runner
	for range 2 {
		other := kitOn(t, k.url, r)
		runners = append(runners, other.newRunner(callback.RunnerConfig{Poll: 5 * time.Millisecond, Senders: 8, PerTenant: 8, Sweep: 10 * time.Millisecond, Now: time.Now}))
	}
	stops := []func(){start(t, runners[0]), start(t, runners[1])}
	until(t, "all are delivered", func() bool { return runners[0].Stats().Delivered+runners[1].Stats().Delivered >= 3*tasks })
	until(t, "nothing is left", func() bool { s := runners[0].Stats(); return s.Pending == 0 })
	for _, stop := range stops {
		stop()
	}
	ids := map[string]int{}
	for _, got := range r.requests() {
		ids[got.id]++
	}
	if n := len(r.requests()); n != 3*tasks || len(ids) != n {
		t.Errorf("%d requests with %d ids, want %d", n, len(ids), 3*tasks)
	}
	for i := range 3 {
		if n := g.peak(fmt.Sprint("/e", i)); n > 4 {
			t.Errorf("%d at once to endpoint %d", n, i)
		}
	}
	for i, r := range runners {
		if r.Stats().Delivered == 0 {
			t.Errorf("runner %d did nothing", i)
		}
	}
}

// The bound for an endpoint and the circuit hold over all processes.
func TestRunner_BoundsWhatOneTargetGets(t *testing.T) {
	t.Parallel()
	g := gauge{hold: make(chan struct{}), status: 500}
	r := receive(t, g.serve)
	k := newKit(t, r)
	k.endpoint(r.url("/"), events.TypeCompleted)
	for i := range 30 {
		k.finish(fmt.Sprint("task-", i), "")
	}
	if first, second := k.claim(time.Minute), k.claim(time.Minute); first != 4 || second != 0 {
		t.Errorf("claimed %d and %d", first, second)
	}
	k.clock.move(k.clock.Now().Add(2 * time.Minute)) // both are dead
	close(g.hold)
	for range 3 { // 12 failures
		if n := k.round(); n != 4 {
			t.Fatalf("%d tries", n)
		}
		k.clock.move(k.clock.Now().Add(time.Millisecond))
	}
	for range 2 {
		if n := k.round(); n != 1 {
			t.Errorf("%d tries at once of what is broken", n)
		}
	}
	r.answerWith(nil)
	if n := k.round(); n != 1 {
		t.Errorf("%d tries at once of what is broken", n)
	}
	if n := k.round(); n != 4 {
		t.Errorf("%d tries at once after a success", n)
	}
}

// A tenant whose receivers hang, however many it has, does not hold up another one.
func TestRunner_IsFairToTenants(t *testing.T) {
	t.Parallel()
	hang := gauge{hold: make(chan struct{})}
	slow, fast := receive(t, hang.serve), receive(t, nil)
	defer close(hang.hold)
	k := newKit(t, slow, fast)
	for i := range callback.MaxEndpoints {
		k.endpointOf("hostile", slow.url(fmt.Sprint("/", i)), events.TypeCompleted)
	}
	for i := range 20 {
		k.finishOf("hostile", fmt.Sprint("slow-", i), "")
	}
	k.endpointOf("victim", fast.url("/"), events.TypeCompleted)
	runner := k.newRunner(callback.RunnerConfig{Poll: 5 * time.Millisecond, Senders: 8, Grace: time.Millisecond})
	start(t, runner)
	until(t, "the slow tenant has its share", func() bool { return hang.total() == 4 })
	for i := range 40 {
		k.finishOf("victim", fmt.Sprint("fast-", i), "")
	}
	until(t, "the other tenant is served", func() bool { return len(fast.requests()) == 40 })
	if n := hang.total(); n != 4 {
		t.Errorf("%d of the slow tenant are under way", n)
	}
}
