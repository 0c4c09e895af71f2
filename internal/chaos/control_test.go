//go:build chaos && linux

package chaos_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/chaos"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

// emptiedQueue shows that I1 sees a loss: the queue is emptied and nobody fills it again. Then the dispatcher does.
func (s *suite) emptiedQueue(t *testing.T) {
	site := newSite(t, s, "emptied queue", 1, fleet{{"api", 1, "api listens"}, {"worker", 1, "worker pulls"}, {"dispatcher", 1, ""}})
	site.must(site.start(s.ctx, "api-1"))
	site.must(site.atWork(s.ctx, "api-1"))
	l := &load{site: site, ledger: &ledger{}, follow: newFollowers(site.base)}
	submit := func(tenant string) string { // one of each: without a dispatcher the API holds back what one tenant sends in a burst
		o := order{tenant, "teacher", "control", fmt.Sprintf("chaos%08x", site.rng.Uint32())}
		l.ledger.add(o)
		id, err := l.ledger.submit(s.ctx, newClient(site.base), o)
		site.must(err)
		return id
	}
	var lost []string
	for _, tenant := range tenants() {
		lost = append(lost, submit(tenant))
	}
	queue, err := site.js.Stream(s.ctx, events.StreamTasks)
	site.must(err)
	site.must(queue.Purge(s.ctx))
	site.must(site.start(s.ctx, "worker-1"))
	site.must(site.atWork(s.ctx, "worker-1"))
	canary := submit("canary")
	judge := func() []chaos.Violation {
		return chaos.Check(site.collect(l, time.Time{}, chaos.Plan{}, nil))
	}
	broken := func(task string) func() error {
		return func() error {
			if err := site.log.catchUp(s.ctx, site.js); err != nil {
				return err
			}
			for _, v := range judge() {
				if v.Invariant == chaos.NothingLost && v.Task == task {
					return fmt.Errorf("%s", v)
				}
			}
			return nil
		}
	}
	site.must(eventually(s.ctx, "the task behind the emptied queue ended", broken(canary)))
	for _, id := range lost {
		if broken(id)() == nil {
			t.Errorf("the checker does not miss task %s, whose dispatch was thrown away", id)
		}
	}
	s.say(site.name, "as it must, the checker misses %d tasks: %s", len(lost), judge()[0])
	site.must(site.start(s.ctx, "dispatcher-1"))
	began := time.Now()
	for _, id := range lost {
		site.must(eventually(s.ctx, "the dispatcher finds what was lost", broken(id)))
	}
	s.say(site.name, "the dispatcher found all of them within %.1fs", time.Since(began).Seconds())
}

// unfencedWorker shows that I2 sees a second ending: two workers without the log's fence, one of them stalled in mid-task until the
// other has taken over.
func (s *suite) unfencedWorker(t *testing.T) {
	site := newSite(t, s, "unfenced", 1, fleet{{"api", 1, "api listens"}, {"worker", 2, "worker pulls"}}, "TASK_ACK_WAIT=2s")
	site.program = func(role string) string {
		if role == "worker" {
			return s.unfenced
		}
		return s.binary
	}
	release, callers := make(chan struct{}), make(chan string, 16)
	site.model.set(func(c call, good llmtest.Reply) (llmtest.Reply, bool) {
		if c.Step == "outline" {
			callers <- c.Worker
			good.Hold = release
		}
		return good, true
	})
	for _, name := range []string{"api-1", "worker-1"} {
		site.must(site.start(s.ctx, name))
		site.must(site.atWork(s.ctx, name))
	}
	l := &load{site: site, ledger: &ledger{}, follow: newFollowers(site.base)}
	o := order{tenants()[0], "teacher", "control", fmt.Sprintf("chaos%08x", site.rng.Uint32())}
	l.ledger.add(o)
	id, err := l.ledger.submit(s.ctx, newClient(site.base), o)
	site.must(err)
	caller := func() string {
		ctx, cancel := context.WithTimeout(s.ctx, patience)
		defer cancel()
		select {
		case name := <-callers:
			return name
		case <-ctx.Done():
			t.Fatal("no worker called the model")
			return ""
		}
	}
	first := caller()
	goOn := site.stall(first)
	s.say(site.name, "stall %s for longer than it may be silent", first)
	site.must(site.start(s.ctx, "worker-2"))
	if second := caller(); second == first {
		t.Fatalf("%s took over from itself", second)
	}
	site.must(goOn())
	close(release)
	var found []chaos.Violation
	site.must(eventually(s.ctx, "the task has ended twice", func() error {
		if err := site.log.catchUp(s.ctx, site.js); err != nil {
			return err
		}
		found = chaos.Check(site.collect(l, time.Time{}, chaos.Plan{}, nil))
		if !slices.ContainsFunc(found, func(v chaos.Violation) bool { return v.Invariant == chaos.EndsOnce && v.Task == id }) {
			return fmt.Errorf("the checker sees %v", found)
		}
		return nil
	}))
	s.say(site.name, "as it must, the checker sees: %s", found[0])
}
