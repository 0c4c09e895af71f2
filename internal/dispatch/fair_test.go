package dispatch_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

// A burst of one tenant does not keep another one's single task waiting: it begins within one and a half lengths of a task.
func TestBoard_KeepsABurstFromHoldingOthersUp(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{1, 4, 16} {
		for _, seed := range []uint64{1, 2, 3, 4, 5} {
			if waited := burst(t, slots, seed, false); waited > 15*time.Second {
				t.Errorf("%d slots, seed %d: a single task waited %s beside tasks of 10s", slots, seed, waited)
			}
		}
		if waited := burst(t, slots, 1, true); waited < 60*time.Second {
			t.Errorf("%d slots, first come, first served: a single task waited only %s: the test shows nothing", slots, waited)
		}
	}
}

// burst returns how long the unluckiest of twenty tenants with a single task waited.
func burst(t *testing.T, slots int, seed uint64, unfair bool) time.Duration {
	w := newWorld(t, crewOf(slots))
	if unfair {
		w.b.Unfair()
	}
	rng := rand.New(rand.NewPCG(seed, 7))
	for range 1000 {
		w.submit(job{tenant: "burst", length: 10 * time.Second})
	}
	var singles []*job
	for i := range 20 {
		w.after(time.Duration(i)*20*time.Second+time.Duration(rng.Int64N(int64(20*time.Second))), func() {
			singles = append(singles, w.submit(job{tenant: fmt.Sprintf("single%d", i), length: 10 * time.Second}))
		})
	}
	w.runFor(10_100 * time.Second / time.Duration(slots) * 11 / 10)
	worst := time.Duration(0)
	for _, j := range singles {
		if j.state != task.Completed {
			return time.Hour
		}
		worst = max(worst, j.waited())
	}
	return worst
}

// Tenants that always have work get slot time in proportion to their weights, whatever their tasks cost and whatever is thought of that.
func TestBoard_SharesByWeight(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		slots := rapid.SampledFrom([]int{1, 3, 8}).Draw(rt, "slots")
		told, limited := rapid.Bool().Draw(rt, "told"), rapid.Bool().Draw(rt, "limited")
		if err := share(t, slots, told, limited, rapid.Uint64().Draw(rt, "seed"), false); err != nil {
			rt.Fatal(err)
		}
	})
	for seed := range uint64(20) {
		if share(t, 3, false, false, seed, true) != nil {
			return
		}
	}
	t.Error("first come, first served shares as fairly: the test shows nothing")
}

// share lets tenants of random weights, whose tasks are of random length, compete, and reports when one got too much. told: their
// submitters estimate, and badly; limited: a limit, and not the slots, is what they compete for.
func share(t *testing.T, slots int, told, limited bool, seed uint64, unfair bool) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	kinds := []string{"quiz", "content"}
	w := newWorld(t, crewOf(slots, kinds...))
	if unfair {
		w.b.Unfair()
	}
	p := policy.Policy{Fairness: policy.Fairness{Tenants: map[string]policy.Fraction{}}}
	if limited {
		p.Limits = []policy.Limit{{Name: "narrow", Max: max(1, slots/2)}}
	}
	const longest = 20.0
	tenants := 2 + rng.IntN(4)
	names, weights, mean := make([]string, tenants), make([]float64, tenants), make([]float64, tenants)
	for i := range tenants {
		names[i], weights[i], mean[i] = fmt.Sprintf("t%d", i), []float64{0.5, 1, 2, 4}[rng.IntN(4)], 1+rng.Float64()*(longest/2-1)
		p.Fairness.Tenants[names[i]] = policy.Fraction{Weight: weights[i]}
	}
	w.setPolicy(p)
	more := func(i int) {
		length := mean[i] * (0.5 + rng.Float64())
		j := job{tenant: names[i], kind: kinds[rng.IntN(2)], length: time.Duration(length * float64(time.Second))}
		if told {
			j.cost = longest * rng.Float64()
		}
		w.submit(j)
	}
	for i := range names {
		for range 40 {
			more(i)
		}
	}
	w.onStart = func(j *job) { more(slices.Index(names, j.tenant)) }
	w.runFor(600 * time.Second)
	served := map[string]float64{}
	for _, j := range w.order {
		switch j.state {
		case task.Completed:
			served[j.tenant] += j.length.Seconds()
		case task.Running:
			served[j.tenant] += w.now.Sub(j.started).Seconds()
		}
	}
	for i := range names {
		for k := range i {
			a, b := served[names[i]]/weights[i], served[names[k]]/weights[k]
			bound := float64(slots+2) * longest * (1/weights[i] + 1/weights[k])
			if math.Abs(a-b) > bound {
				return fmt.Errorf("%s got %.0f s per weight %.1f, %s got %.0f s per weight %.1f: they may differ by %.0f", names[i], a, weights[i], names[k], b, weights[k], bound)
			}
		}
	}
	return nil
}

// A tenant with two kinds gets no more than one that has one, where the same workers serve both.
func TestBoard_SharesOverKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(4, "quiz", "content", "terrain"))
	for range 600 {
		for _, kind := range []string{"quiz", "content", "terrain"} {
			w.submit(job{tenant: "broad", kind: kind, length: 10 * time.Second})
		}
		w.submit(job{tenant: "narrow", kind: "content", length: 10 * time.Second})
	}
	w.runFor(1000 * time.Second)
	done := map[string]int{}
	for _, j := range w.order {
		if j.state == task.Completed {
			done[j.tenant]++
		}
	}
	if n := done["narrow"]; n < 180 || n > 220 {
		t.Errorf("narrow finished %d tasks and broad %d, want about 200 each", n, done["broad"])
	}
}

// Whoever could not use its share does not come back with a claim to all that it missed.
func TestBoard_SavesNoUnusedShare(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(4, "quiz", "terrain"))
	w.setPolicy(policy.Policy{Limits: []policy.Limit{{Name: "terrain", Kind: "terrain", Max: 1}}})
	for range 2000 {
		w.submit(job{tenant: "busy", length: time.Second})
		w.submit(job{tenant: "slow", kind: "terrain", length: time.Second})
	}
	w.runFor(300 * time.Second)
	before := finished(w, "busy")
	for range 200 { // slow has got a third of what busy has
		w.submit(job{tenant: "slow", kind: "quiz", lane: events.High, length: time.Second})
		w.submit(job{tenant: "busy", lane: events.High, length: time.Second})
	}
	w.runFor(40 * time.Second)
	if n := finished(w, "busy") - before; n < 40 {
		t.Errorf("busy finished %d tasks in 40 s of four slots, want a fair part", n)
	}
}

func finished(w *world, tenant string) int {
	n := 0
	for _, j := range w.order {
		if j.tenant == tenant && j.state == task.Completed {
			n++
		}
	}
	return n
}

// However much that is more urgent comes, each task begins.
func TestBoard_StarvesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crewOf(4, "quiz", "terrain"))
	w.setPolicy(policy.Policy{Limits: []policy.Limit{{Name: "none", Kind: "terrain", Max: 0}}})
	var patient []*job
	for range 60 { // a third of them in lane rest
		patient = append(patient, w.submit(job{tenant: "patient", lane: events.Low, length: time.Second}))
	}
	// What may not begin at all takes up a tenant's places, and its other tasks wait in lane rest for ever.
	for range 30 {
		w.submit(job{tenant: "stuck", kind: "terrain", length: time.Second})
	}
	for range 10 {
		patient = append(patient, w.submit(job{tenant: "stuck", lane: events.Low, length: time.Second}))
	}
	var flood func()
	flood = func() {
		for i := range 3 {
			for range 2 {
				w.submit(job{tenant: fmt.Sprintf("flood%d", i), lane: []events.Lane{events.High, events.Normal, events.High}[i], length: time.Second})
			}
		}
		w.after(time.Second, flood)
	}
	flood()
	w.runFor(400 * time.Second)
	for i, j := range patient {
		if j.state != task.Completed {
			t.Fatalf("task %d of %s in lane %s has not begun after %s", i, j.tenant, j.lane, w.now.Sub(w.begin))
		}
	}
}
