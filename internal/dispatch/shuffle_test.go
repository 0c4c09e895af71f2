package dispatch_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

// A board that hears of things late, twice, out of order and again from the beginning, as a watch that was cut off repeats them, ends up
// as one that heard of everything as it happened, and releases every dispatch once.
func TestBoard_BearsRepeatedAndShuffledEvents(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, crewOf(3, "quiz", "content"))
		w.check = true
		var heard []events.Event
		hear := func(e events.Event) {
			heard = append(heard, e)
			w.hear(e)
		}
		w.late = func() bool { return true }
		flush := func() {
			for len(w.unheard) > 0 {
				i := rapid.IntRange(0, min(3, len(w.unheard)-1)).Draw(rt, "next")
				e := w.unheard[i]
				w.unheard = slices.Delete(w.unheard, i, i+1)
				hear(e)
			}
		}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0, 1:
				w.submit(job{
					tenant: fmt.Sprintf("t%d", rapid.IntRange(0, 2).Draw(rt, "tenant")), kind: rapid.SampledFrom([]string{"quiz", "content"}).Draw(rt, "kind"),
					length: time.Duration(rapid.IntRange(1, 10).Draw(rt, "length")) * time.Second, direct: rapid.Bool().Draw(rt, "direct"),
				})
			case 2:
				w.runFor(time.Duration(rapid.IntRange(1, 9).Draw(rt, "seconds")) * time.Second)
			case 3:
				flush()
			case 4: // the watch begins anew, with what it showed before
				from := rapid.IntRange(0, len(heard)).Draw(rt, "from")
				for _, e := range slices.Clone(heard[from:]) {
					w.hear(e)
				}
			}
			w.pump()
		}
		for range 100 {
			flush()
			w.runFor(20 * time.Second)
		}
		for _, j := range w.order {
			if j.state != task.Completed {
				rt.Fatalf("%s is %s in the end, sent %v", j.id, j.state, j.sends)
			}
			want := 1
			if j.direct {
				want = 0
			}
			if j.sends[1] != want {
				rt.Fatalf("%s was released %d times, want %d", j.id, j.sends[1], want)
			}
		}
		if n := w.b.Open(); n != 0 {
			rt.Fatalf("%d tasks are left on the board", n)
		}
	})
}
