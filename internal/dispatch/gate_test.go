package dispatch_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/policy"
)

func TestGate_HoldsBackWhatItLists(t *testing.T) {
	t.Parallel()
	gate := dispatch.Gate{
		At: time.Now(), Kinds: []string{"terrain", "quiz"}, Tenants: []string{"z", "a", "z"}, Paused: []string{"script"},
		Limits: []dispatch.Match{{Labels: map[string]string{"universe": "1"}}, {Tenant: "school", Kind: "review"}},
	}.Sorted()
	for _, c := range []struct {
		tenant, kind string
		labels       map[string]string
		direct       bool
	}{
		{"school", "content", nil, true},
		{"school", "quiz", nil, false},
		{"school", "terrain", nil, false},
		{"a", "content", nil, false},
		{"z", "content", nil, false},
		{"school", "content", map[string]string{"class": "7b"}, true},
		{"school", "content", map[string]string{"class": "7b", "universe": "1"}, false},
		{"school", "content", map[string]string{"class": "7b", "universe": "2"}, true},
		{"school", "script", nil, false},
		{"school", "review", nil, false},
		{"b", "review", nil, true},
	} {
		if got := gate.Direct(c.tenant, c.kind, c.labels); got != c.direct {
			t.Errorf("%s of %s with %v: direct is %v", c.kind, c.tenant, c.labels, got)
		}
	}
	if !(dispatch.Gate{}).Direct("school", "quiz", map[string]string{"universe": "1"}) {
		t.Error("the zero gate holds something back")
	}
}

func TestGate_ClosesWhenItWouldListTooMuch(t *testing.T) {
	t.Parallel()
	gate := dispatch.Gate{At: time.Now()}
	for i := range dispatch.MaxGateNames {
		gate.Tenants = append(gate.Tenants, strconv.Itoa(i))
	}
	if !gate.Sorted().Direct("school", "quiz", nil) {
		t.Error("closed below its bound")
	}
	gate.Kinds = []string{"terrain"}
	if gate.Sorted().Direct("school", "quiz", nil) {
		t.Error("open above its bound")
	}
}

// What waits its turn is not in the queue, so that the queue's own bound never meets it.
func TestBoard_SaysWhenNoMoreMayBeTakenIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.b = dispatch.NewBoard(dispatch.BoardConfig{MaxOpen: 3})
	w.setPolicy(policy.Policy{Paused: map[string]policy.Pause{"quiz": {}}})
	for open := range 5 {
		if got := w.b.Gate(w.now).Full; got != (open >= 3) {
			t.Errorf("with %d open tasks of 3: full is %v", open, got)
		}
		w.submit(job{tenant: "a"})
	}
	now := time.Now()
	for refuses, gate := range map[bool]dispatch.Gate{true: {At: now, Full: true}, false: {At: now.Add(-2 * dispatch.GateAge), Full: true}} {
		if gate.Sorted().Refuses() != refuses {
			t.Errorf("a full gate of %s ago: %v", now.Sub(gate.At), !refuses)
		}
	}
	many := dispatch.Gate{At: now, Full: true, Tenants: make([]string, dispatch.MaxGateNames+1)}
	for i := range many.Tenants {
		many.Tenants[i] = strconv.Itoa(i)
	}
	if !many.Sorted().Refuses() {
		t.Error("a gate that lists too much forgets that it is full")
	}
}

func TestGate_ForgetsWhatADispatcherSaidThatIsAway(t *testing.T) {
	t.Parallel()
	gate := dispatch.Gate{
		At: time.Now().Add(-2 * dispatch.GateAge), Closed: true, Kinds: []string{"quiz"}, Tenants: []string{"a"}, Paused: []string{"script"},
		Limits: []dispatch.Match{{Kind: "terrain"}},
	}.Sorted()
	for kind, want := range map[string]bool{"quiz": true, "content": true, "script": false, "terrain": false} {
		if got := gate.Direct("a", kind, nil); got != want {
			t.Errorf("%s: direct is %v", kind, got)
		}
	}
}
