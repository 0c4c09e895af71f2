//go:build chaos && linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/chaos"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

// TestChaos runs sites of real processes under faults. See the package's doc for what must hold.
func TestChaos(t *testing.T) {
	s := newSuite(t)
	t.Run("Site", func(t *testing.T) {
		t.Parallel()
		s.singleNode(t)
	})
	t.Run("Cluster", func(t *testing.T) {
		t.Parallel()
		s.cluster(t)
	})
	t.Run("Controls", func(t *testing.T) {
		t.Parallel()
		t.Run("AnEmptiedQueueWithoutDispatcherLosesTasks", s.emptiedQueue)
		t.Run("WithoutFencesAStalledWorkerEndsATaskTwice", s.unfencedWorker)
	})
}

// singleNode plays on one node with a file store.
func (s *suite) singleNode(t *testing.T) {
	site := newSite(t, s, "site", 1, wholeFleet())
	site.startFleet(s.ctx)
	all := append(site.members(""), "broker-1")
	for _, sc := range []scenario{
		{name: "kill", share: 0.14, rate: 12, faults: site.kills(all...)},
		{name: "stall", share: 0.18, rate: 10, faults: site.stalls("api-1", "worker-1", "worker-2", "dispatcher-1", "dispatcher-2", "recorder-1", "notifier-1", "broker-1")},
		{name: "model", share: 0.12, rate: 6, faults: site.badAnswers(), plan: chaos.Plan{
			MayFail: []events.Cause{events.CauseProvider, events.CauseTimeout, events.CauseInvalidOutput},
		}},
		{name: "network", share: 0.22, rate: 8, faults: site.network()},
		{name: "rolling restart", rate: 8, script: site.rolling, exact: true},
		{name: "poison", rate: 6, script: site.poison},
	} {
		t.Run(strings.ReplaceAll(sc.name, " ", "_"), func(t *testing.T) { site.play(t, sc) })
	}
}

// network makes every link ill that is not the broker's, and starts a worker while there is no Redis.
func (s *site) network() []injection {
	var out []injection
	for _, name := range []string{"postgres", "redis", "pusher", chaos.Model} {
		out = append(out, s.ills(name)...)
	}
	return append(out, injection{what: "restart worker-1 without", target: "redis", hold: [2]time.Duration{0, time.Second}, do: func(ctx context.Context) (func() error, error) {
		up, err := s.links["redis"].down()
		if err != nil {
			return nil, err
		}
		return up, s.restart(ctx, "worker-1")
	}})
}

// badAnswers has the model answer in every way in which a model should not.
func (s *site) badAnswers() []injection {
	answer := func(what string, bad func(call, llmtest.Reply) llmtest.Reply) injection {
		return injection{what: what, target: "the model's answers", hold: [2]time.Duration{time.Second, 2 * time.Second}, do: func(context.Context) (func() error, error) {
			s.model.set(func(c call, good llmtest.Reply) (llmtest.Reply, bool) { return bad(c, good), false })
			return func() error {
				s.model.set(nil)
				return nil
			}, nil
		}}
	}
	status := func(code int, header http.Header) func(call, llmtest.Reply) llmtest.Reply {
		return func(_ call, good llmtest.Reply) llmtest.Reply {
			return llmtest.Reply{Status: code, Header: header, Raw: `{"error":{"message":"told to fail"}}`, Hold: good.Hold}
		}
	}
	return []injection{
		answer("429 for", status(http.StatusTooManyRequests, http.Header{"Retry-After": {"1"}})),
		answer("500 for", status(http.StatusInternalServerError, nil)),
		answer("garbage for", func(_ call, good llmtest.Reply) llmtest.Reply {
			good.Text = "\x00\uFFFD Sorry, I only speak in riddles. </request>"
			return good
		}),
		answer("truncated JSON for", func(_ call, good llmtest.Reply) llmtest.Reply {
			good.Text = good.Text[:len(good.Text)/2]
			return good
		}),
		answer("broken off in the middle:", func(_ call, good llmtest.Reply) llmtest.Reply {
			good.End, good.Delta = llmtest.Cut, 32
			return good
		}),
		answer("10 MB for", func(c call, good llmtest.Reply) llmtest.Reply {
			if c.At.UnixNano()%4 != 0 { // a few are enough for two cores
				return llmtest.Reply{Status: http.StatusBadGateway, Raw: `{"error":{"message":"told to fail"}}`, Hold: good.Hold}
			}
			return llmtest.Reply{Text: strings.Repeat("all work and no play ", 10<<20/21), Delta: 1 << 16, Hold: good.Hold}
		}),
		{what: "a few bytes at a time over", target: chaos.Model, hold: [2]time.Duration{time.Second, 2 * time.Second}, do: func(context.Context) (func() error, error) {
			return s.links[chaos.Model].toxic("slicer", map[string]int{"average_size": 16, "size_variation": 8, "delay": 20_000})
		}},
	}
}

// rolling restarts every worker in turn, ten times.
func (s *site) rolling(ctx context.Context, _ *load) (chaos.Plan, error) {
	for round := range 10 {
		for _, name := range s.members("worker") {
			from := time.Now()
			if err := s.restart(ctx, name); err != nil {
				return chaos.Plan{}, fmt.Errorf("round %d: %w", round+1, err)
			}
			s.done(chaos.Fault{What: "restart", Target: "workers in turn", From: from, To: time.Now()})
		}
		s.suite.say(s.name+"/rolling restart", "round %d of all workers", round+1)
	}
	return chaos.Plan{}, nil
}

// poison kills whichever worker asks the model about one task.
func (s *site) poison(ctx context.Context, l *load) (chaos.Plan, error) {
	o := order{tenant: tenants()[0], user: "poisoner", key: s.name + "-poison", mark: fmt.Sprintf("chaos%08x", s.rng.Uint32())}
	victims := make(chan string, 16)
	s.model.set(func(c call, good llmtest.Reply) (llmtest.Reply, bool) {
		if c.mark != o.mark {
			return good, true
		}
		victims <- c.Worker
		return llmtest.Reply{Status: http.StatusBadGateway, Hold: after(ackWait)}, false
	})
	defer s.model.set(nil)
	l.ledger.add(o)
	id, err := l.ledger.submit(ctx, newClient(s.base), o)
	if err != nil {
		return chaos.Plan{}, err
	}
	plan := chaos.Plan{MustFail: map[string]events.Cause{id: events.CauseCrash}}
	before := map[string]*process{}
	for _, name := range s.members("") {
		before[name] = s.proc(name)
	}
	deaths := map[string]int{}
	err = eventually(ctx, "the task that kills its workers is given up", func() error {
		select {
		case name := <-victims:
			if !slices.Contains(s.members("worker"), name) {
				return fmt.Errorf("%s called the model", name)
			}
			from := time.Now()
			s.suite.say(s.name+"/poison", "kill %s, which works on the poisonous task", name)
			again := s.kill(name)
			deaths[name]++
			if err := again(); err != nil {
				return err
			}
			s.done(chaos.Fault{What: "kill", Target: name, From: from, To: time.Now()})
		default:
		}
		if err := s.log.catchUp(ctx, s.js); err != nil {
			return err
		}
		return first(chaos.Run{Accepted: []chaos.Acceptance{{Task: id}}, Log: s.log.of(map[string]bool{id: true}), Plan: plan}, chaos.NothingLost)
	})
	total := 0
	for _, n := range deaths {
		total += n
	}
	if err == nil && total != 3 {
		err = fmt.Errorf("%d workers died of the task, want 3", total)
	}
	for name, p := range before {
		if deaths[name] == 0 && !p.alive() {
			err = errors.Join(err, fmt.Errorf("%s died, too", name))
		}
	}
	return plan, err
}
