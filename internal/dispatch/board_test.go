package dispatch_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

var (
	allKinds  = []string{"quiz", "content", "terrain"}
	someLimit = []policy.Limit{
		{Name: "all", Max: 5},
		{Name: "terrain", Kind: "terrain", Max: 2},
		{Name: "each", Per: []string{policy.PerTenant}, Max: 2},
		{Name: "users", Kind: "quiz", Per: []string{policy.PerUser}, Max: 1},
		{Name: "gpu", Labels: map[string]string{"gpu": "yes"}, Per: []string{policy.PerKind}, Max: 1},
		{Name: "class", Per: []string{"label:class"}, Max: 3},
		{Name: "closed", Tenant: "t0", Kind: "content", Max: 0},
	}
)

// Whatever is submitted, ends, is cancelled, waits and fails, and however the policy and the workers change: a limit is never exceeded by
// a release, nothing that could begin waits beside a free slot, every dispatch is released once, and the board's numbers are those
// of its tasks.
func TestBoard_KeepsToLimitsAndLeavesNoSlotIdle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		if err := muddle(t, rt, func(*world) {}); err != nil {
			rt.Fatal(err)
		}
	})
}

// A board that does not know the limits, or not all workers, must be found out.
func TestBoard_IsFoundOutWhenItKnowsTooLittle(t *testing.T) {
	t.Parallel()
	for name, sabotage := range map[string]func(*world){
		"limits":  func(w *world) { w.tellPolicy = func(policy.Policy) {} },
		"workers": func(w *world) { w.hidden = "b" },
	} {
		runs := rapid.Custom(func(rt *rapid.T) error { return muddle(t, rt, sabotage) })
		found := false
		for seed := 0; seed < 300 && !found; seed++ {
			found = runs.Example(seed) != nil
		}
		if !found {
			t.Errorf("no violation found without %s: the test shows nothing", name)
		}
	}
}

// muddle lets things happen at random, and returns the first thing that must not.
func muddle(t *testing.T, rt *rapid.T, prepare func(*world)) error {
	crews := []*crew{
		{name: "a", kinds: []string{"quiz", "content"}, slots: rapid.IntRange(0, 3).Draw(rt, "a")},
		{name: "b", kinds: []string{"content", "terrain"}, slots: rapid.IntRange(1, 3).Draw(rt, "b")},
		{name: "c", kinds: []string{"terrain"}, slots: rapid.IntRange(0, 2).Draw(rt, "c")},
	}
	w := newWorld(t, crews...)
	prepare(w)
	w.hire()
	m := &model{world: w, rt: rt}
	w.check = true
	w.onSend = m.sent
	for range rapid.IntRange(1, 60).Draw(rt, "steps") {
		m.step()
		w.pump()
		m.verify()
	}
	if m.err != nil {
		return m.err
	}
	for _, c := range crews {
		c.gone, c.slots = false, max(1, c.slots)
	}
	w.hire()
	w.setPolicy(policy.Policy{})
	w.runFor(24 * time.Hour)
	for _, j := range w.order {
		if !j.state.Terminal() {
			return fmt.Errorf("%s of %s in lane %s is %s in the end", j.id, j.tenant, j.lane, j.state)
		}
		for n := 1; n <= j.dispatch; n++ {
			if j.sends[n] > 1 || j.sends[n] == 0 && j.state == task.Completed && !j.direct {
				return fmt.Errorf("dispatch %d of %s was released %d times", n, j.id, j.sends[n])
			}
		}
	}
	if n := w.b.Open(); n != 0 {
		return fmt.Errorf("%d tasks are left on the board", n)
	}
	return nil
}

// model is a world that knows by itself what may be done in it.
type model struct {
	*world
	rt  *rapid.T
	err error // the first thing that must not be
}

func (m *model) found(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
	}
}

func (m *model) step() {
	switch rapid.IntRange(0, 11).Draw(m.rt, "step") {
	case 0, 1, 2, 3:
		for range rapid.IntRange(1, 6).Draw(m.rt, "n") {
			labels := map[string]string{}
			if rapid.Bool().Draw(m.rt, "gpu") {
				labels["gpu"] = "yes"
			}
			if rapid.Bool().Draw(m.rt, "class") {
				labels["class"] = rapid.SampledFrom([]string{"7a", "7b"}).Draw(m.rt, "which")
			}
			m.submit(job{
				tenant: fmt.Sprintf("t%d", rapid.IntRange(0, 3).Draw(m.rt, "tenant")), user: rapid.SampledFrom([]string{"u", "v"}).Draw(m.rt, "user"),
				kind: rapid.SampledFrom(allKinds).Draw(m.rt, "kind"), lane: rapid.SampledFrom(events.Lanes()).Draw(m.rt, "lane"), labels: labels,
				length: time.Duration(rapid.IntRange(1, 30).Draw(m.rt, "length")) * time.Second,
			})
		}
	case 4, 5, 6:
		m.runFor(time.Duration(rapid.IntRange(1, 20).Draw(m.rt, "seconds")) * time.Second)
	case 7:
		m.decide(task.Queued, func(j *job) {
			j.state = task.Cancelled
			m.append(j, events.Cancelled{By: "u"})
		})
	case 8:
		m.decide(task.Running, func(j *job) {
			j.state = task.Retrying
			next := m.now.Add(5 * time.Second)
			m.append(j, events.Retrying{Attempt: j.attempt, Cause: events.CauseBug, NextAt: next})
			m.at(next, func() {
				if j.state == task.Retrying {
					m.queue = append(m.queue, j.entry())
				}
			})
		})
	case 9:
		m.decide(task.Running, func(j *job) {
			j.state = task.Waiting
			until := m.now.Add(7 * time.Second)
			m.append(j, events.Waiting{Attempt: j.attempt, Wait: events.WaitTime, Until: &until})
		})
	case 10:
		c := m.workers[rapid.IntRange(0, len(m.workers)-1).Draw(m.rt, "worker")]
		c.gone = !c.gone
		m.hire()
	case 11:
		p := policy.Policy{Fairness: policy.Fairness{Outstanding: rapid.IntRange(1, 5).Draw(m.rt, "outstanding")}, Paused: map[string]policy.Pause{}}
		for _, l := range someLimit {
			if rapid.Bool().Draw(m.rt, "limit") {
				p.Limits = append(p.Limits, l)
			}
		}
		if rapid.Bool().Draw(m.rt, "pause") {
			p.Paused["quiz"] = policy.Pause{}
		}
		m.setPolicy(p)
	}
}

// decide lets something happen to one of the tasks in a state.
func (m *model) decide(s task.State, do func(*job)) {
	var some []*job
	for _, j := range m.order {
		if j.state == s {
			some = append(some, j)
		}
	}
	if len(some) > 0 {
		do(some[rapid.IntRange(0, len(some)-1).Draw(m.rt, "which")])
	}
}

// engaged reports whether a task counts against limits.
func (m *model) engaged(j *job) bool {
	return j.state == task.Running || j.state == task.Retrying || j.state == task.Queued && j.sends[j.dispatch] > 0
}

func (m *model) counts() map[string]int {
	n := map[string]int{}
	for _, j := range m.order {
		if m.engaged(j) {
			for _, l := range m.policy.Limits {
				if key, ok := l.Key(j.facts()); ok {
					n[key]++
				}
			}
		}
	}
	return n
}

func (j *job) facts() policy.Facts {
	return policy.Facts{Kind: j.kind, Tenant: j.tenant, User: j.user, Labels: j.labels}
}

// sent holds a release against the limits.
func (m *model) sent(j *job) {
	if _, paused := m.policy.Paused[j.kind]; paused {
		m.found("%s was released although its kind is paused", j.id)
	}
	counts := m.counts()
	for _, l := range m.policy.Limits {
		if key, ok := l.Key(j.facts()); ok && counts[key] > l.Max {
			m.found("limit %s of %d is exceeded: %d", l.Name, l.Max, counts[key])
		}
	}
}

// verify looks for a task that could begin and a slot that is free for it.
func (m *model) verify() {
	counts := m.counts()
	for _, j := range m.order {
		if j.state != task.Queued || j.sends[j.dispatch] > 0 {
			continue
		}
		if _, paused := m.policy.Paused[j.kind]; paused {
			continue
		}
		if slices.ContainsFunc(m.policy.Limits, func(l policy.Limit) bool {
			key, ok := l.Key(j.facts())
			return ok && counts[key] >= l.Max
		}) {
			continue
		}
		for _, c := range m.workers {
			if !c.gone && c.busy < c.slots && c.serves(j.kind) && m.busyBy(c) < c.slots {
				x, _ := m.b.Explain(j.tenant, j.id, m.now)
				m.found("%s of %s, kind %s, lane %s waits (%s) beside a free slot of %s", j.id, j.tenant, j.kind, j.lane, x.Message, c.name)
			}
		}
	}
}

// busyBy counts the tasks that a worker holds as the log tells: what was cut off may still take up its slot.
func (m *model) busyBy(c *crew) int {
	n := 0
	for _, j := range m.order {
		if j.state == task.Running && j.worker == c {
			n++
		}
	}
	return n
}
