//go:build chaos && linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/chaos"
)

// injection is one fault that a scenario may bring about.
type injection struct {
	what, target string
	hold         [2]time.Duration // how long it lasts, at least and at most
	do           func(ctx context.Context) (undo func() error, err error)
	broker       bool // the target is a node of the broker, whatever its name
}

// scenario is a site under load and faults.
type scenario struct {
	name   string
	share  float64 // of the suite's duration: faults go on for so long, and until each was there once
	rate   float64 // submissions a second
	faults []injection
	script func(ctx context.Context, l *load) (chaos.Plan, error) // instead of faults
	plan   chaos.Plan
	exact  bool // not one repeat is allowed
}

// slow is a recovery that is worth a look.
const slow = 20 * time.Second

// most is how many complaints of a kind are told.
const most = 12

// play runs a scenario, heals everything, and holds what was seen against the invariants.
func (s *site) play(t *testing.T, sc scenario) {
	t.Helper()
	ctx, since := s.suite.ctx, time.Now()
	who := s.name + "/" + sc.name
	l := s.startLoad(ctx, sc.name, sc.rate)
	var err error
	plan := sc.plan
	if sc.script != nil {
		plan, err = sc.script(ctx, l)
	} else {
		err = s.inject(ctx, who, sc, since)
	}
	if err != nil {
		t.Errorf("%s: %v", who, err)
	}
	healed := time.Now()
	l.end()
	l.again(ctx, 20)
	listed, complaints := s.settle(ctx, l, plan)
	for i, c := range complaints {
		if i == most {
			t.Errorf("%s: and %d more", who, len(complaints)-i)
			break
		}
		t.Errorf("%s: %s", who, c)
	}
	run := s.collect(l, since, plan, listed)
	var stuck []string
	run.Followed, stuck = l.follow.end()
	for _, text := range stuck {
		t.Errorf("%s: a reader was not served to the end: %s", who, text)
	}
	f := chaos.Sum(sc.name, run)
	if s.name != "site" {
		f.Scenario = s.name + "/" + sc.name
	}
	s.suite.add(f)
	for i, v := range f.Violations {
		if i == most {
			t.Errorf("%s: and %d more", who, len(f.Violations)-i)
			break
		}
		t.Errorf("%s: %s", who, v)
		if i < 2 {
			t.Logf("%s: what became of it:\n%s", who, chaos.Story(run, v.Task))
		}
	}
	if f.Recovery > slow {
		s.suite.say(who, "slow: what became of task %s:\n%s", f.Slowest, chaos.Story(run, f.Slowest))
		for _, name := range s.members("dispatcher") {
			s.suite.say(who, "%s says:\n%s", name, s.proc(name).output)
		}
	}
	if sc.exact && f.Repeats != 0 {
		t.Errorf("%s: %d steps were paid for again, nothing excuses one here", who, f.Repeats)
	}
	if dead := s.dead(); len(dead) > 0 {
		t.Errorf("%s: nobody ended %v", who, dead)
	}
	if f.Submissions == 0 {
		t.Errorf("%s: nothing was acknowledged, so nothing was shown", who)
	}
	s.suite.say(who, "judged: %d submissions, %d faults, %d violations; settled %.1fs after the last fault",
		f.Submissions, f.Faults, len(f.Violations), time.Since(healed).Seconds())
}

// inject brings about every fault of the scenario once, in a random order, and again until its time is over.
func (s *site) inject(ctx context.Context, who string, sc scenario, since time.Time) error {
	window := time.Duration(sc.share * float64(s.suite.duration))
	var errs []error
	for first := true; first || time.Since(since) < window; first = false {
		for _, i := range s.rng.Perm(len(sc.faults)) {
			if !first && time.Since(since) > window {
				break
			}
			if !pause(ctx, s.between(300*time.Millisecond, 1200*time.Millisecond)) {
				return errors.Join(append(errs, context.Cause(ctx))...)
			}
			if err := s.apply(ctx, who, sc.faults[i]); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func (s *site) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.rng.Int64N(int64(most-least)+1))
}

// apply brings about one fault and heals it.
func (s *site) apply(ctx context.Context, who string, in injection) error {
	hold := s.between(in.hold[0], in.hold[1])
	from := time.Now()
	undo, err := in.do(ctx)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", in.what, in.target, err)
	}
	s.suite.say(who, "%s %s for %.1fs", in.what, in.target, hold.Seconds())
	pause(ctx, hold)
	err = undo()
	target := in.target
	if in.broker || strings.HasPrefix(target, "broker-") {
		target = chaos.Broker // the checker knows no nodes
	}
	s.done(chaos.Fault{What: in.what, Target: target, From: from, To: time.Now()})
	return err
}

// settle waits until everything has come to rest: the log, what was told, the lists. What does not is left to the checker.
func (s *site) settle(ctx context.Context, l *load, plan chaos.Plan) (listed map[string]string, complaints []string) {
	_, accepted, refused := l.ledger.read()
	for _, r := range refused {
		complaints = append(complaints, "not acknowledged for "+grace.String()+": "+r)
	}
	if unknown := s.model.strange(); unknown != "" {
		complaints = append(complaints, "the model was asked what the suite does not know: "+unknown)
	}
	ids := map[string]bool{}
	for _, a := range accepted {
		ids[a.Task] = true
	}
	c := newClient(s.base)
	defer c.http.CloseIdleConnections()
	want := func() chaos.Run { return s.collect(l, time.Time{}, plan, listed) }
	err := eventually(ctx, "all tasks ended", func() error {
		if err := s.log.catchUp(ctx, s.js); err != nil {
			return err
		}
		return first(want(), chaos.NothingLost)
	})
	if err == nil {
		err = eventually(ctx, "all endings are told and listed", func() (err error) {
			if listed, err = s.lists(ctx, c, ids); err != nil {
				return err
			}
			return first(want(), chaos.EndingsTold)
		})
	}
	if err != nil {
		complaints = append(complaints, err.Error())
	}
	if listed == nil {
		listed = map[string]string{}
	}
	if err := s.log.catchUp(ctx, s.js); err != nil {
		complaints = append(complaints, err.Error())
	}
	return listed, complaints
}

// first returns the first violation of an invariant.
func first(r chaos.Run, of chaos.Invariant) error {
	all := chaos.Check(r)
	if i := slices.IndexFunc(all, func(v chaos.Violation) bool { return v.Invariant == of }); i >= 0 {
		return errors.New(all[i].String())
	}
	return nil
}

// kills brings about the end of each process, which is started again after a while.
func (s *site) kills(names ...string) []injection {
	var out []injection
	for _, name := range names {
		out = append(out, injection{what: "kill", target: name, hold: [2]time.Duration{0, 1500 * time.Millisecond}, do: func(context.Context) (func() error, error) {
			return s.kill(name), nil
		}})
	}
	return out
}

// stalls stops each process for longer than a worker may be silent.
func (s *site) stalls(names ...string) []injection {
	var out []injection
	for _, name := range names {
		out = append(out, injection{what: "stall", target: name, hold: [2]time.Duration{ackWait + 500*time.Millisecond, ackWait + 2*time.Second}, do: func(context.Context) (func() error, error) {
			return s.stall(name), nil
		}})
	}
	return out
}

// ills brings about everything that a network does to a link.
func (s *site) ills(name string) []injection {
	l := s.links[name]
	ill := func(what, kind string, attributes map[string]int) injection {
		return injection{what: what, target: name, hold: [2]time.Duration{1500 * time.Millisecond, 3 * time.Second}, do: func(context.Context) (func() error, error) {
			return l.toxic(kind, attributes)
		}}
	}
	return []injection{
		{what: "down", target: name, hold: [2]time.Duration{1500 * time.Millisecond, 3 * time.Second}, do: func(context.Context) (func() error, error) { return l.down() }},
		ill("slow", "latency", map[string]int{"latency": 700, "jitter": 300}),
		ill("reset", "reset_peer", map[string]int{"timeout": 50}),
		ill("silent", "timeout", map[string]int{"timeout": 0}),
	}
}
