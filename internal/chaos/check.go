package chaos

import (
	"fmt"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/events"
)

// Invariant names what a run must show.
type Invariant string

// The invariants, as in the package's doc.
const (
	NothingLost  Invariant = "I1"
	EndsOnce     Invariant = "I2"
	PaidOnce     Invariant = "I3"
	EndingsTold  Invariant = "I4"
	KeyIsOneTask Invariant = "I5"
)

// Violation is one way in which a run broke an invariant.
type Violation struct {
	Invariant Invariant `json:"invariant"`
	Task      string    `json:"task"`
	Text      string    `json:"text"`
}

func (v Violation) String() string { return fmt.Sprintf("%s: task %s %s", v.Invariant, v.Task, v.Text) }

// Check returns every violation of r, in the order of the invariants.
func Check(r Run) []Violation {
	c := checker{run: r, histories: map[string][]events.Event{}}
	for _, e := range r.Log {
		c.histories[e.Task] = append(c.histories[e.Task], e)
	}
	seen := map[string]bool{}
	for _, a := range r.Accepted {
		if !seen[a.Task] {
			seen[a.Task] = true
			c.tasks = append(c.tasks, a.Task)
		}
	}
	for _, check := range []func(){c.nothingLost, c.endsOnce, c.paidOnce, c.endingsTold, c.keyIsOneTask} {
		check()
	}
	return c.found
}

// checker collects the violations of one run.
type checker struct {
	run       Run
	tasks     []string // accepted, each once
	histories map[string][]events.Event
	found     []Violation
}

func (c *checker) report(i Invariant, task, format string, args ...any) {
	c.found = append(c.found, Violation{i, task, fmt.Sprintf(format, args...)})
}

// ending returns the event that ended the task, or false while none has.
func (c *checker) ending(task string) (events.Event, bool) {
	h := c.histories[task]
	for i := len(h) - 1; i >= 0; i-- {
		switch {
		case h[i].Type == events.TypeQueued:
			return events.Event{}, false
		case h[i].Type.Terminal():
			return h[i], true
		}
	}
	return events.Event{}, false
}

func (c *checker) nothingLost() {
	for _, id := range c.tasks {
		end, over := c.ending(id)
		must, doomed := c.run.Plan.MustFail[id]
		failed, err := events.DataAs[events.Failed](end)
		switch {
		case len(c.histories[id]) == 0:
			c.report(NothingLost, id, "was acknowledged and is not on the log")
		case !over:
			c.report(NothingLost, id, "was acknowledged and has not ended: %s", tell(c.histories[id]))
		case doomed && (err != nil || failed.Cause != must):
			c.report(NothingLost, id, "was to fail for %s and ended with %s %s", must, end.Type, failed.Cause)
		case !doomed && end.Type == events.TypeFailed && !slices.Contains(c.run.Plan.MayFail, failed.Cause):
			c.report(NothingLost, id, "failed for %s: %s", failed.Cause, failed.Error)
		case !doomed && end.Type != events.TypeFailed && end.Type != events.TypeCompleted:
			c.report(NothingLost, id, "ended with %s, which nobody asked for", end.Type)
		}
	}
}

// endsOnce looks at every history that is there, acknowledged or not.
func (c *checker) endsOnce() {
	for _, id := range c.recorded() {
		h := c.histories[id]
		dispatch, ends := 0, 0
		for i, e := range h {
			switch {
			case e.Type == events.TypeQueued:
				if dispatch > 0 && ends == 0 {
					c.report(EndsOnce, id, "was dispatched anew while dispatch %d was open: %s", dispatch, tell(h))
				}
				dispatch, ends = dispatch+1, 0
			case e.Type.Terminal() && e.Type != events.TypeDiscarded, e.Type == events.TypeWaiting:
				if ends++; ends == 2 {
					c.report(EndsOnce, id, "ended dispatch %d a second time: %s", dispatch, tell(h))
				}
			case ends > 0 && e.Type != events.TypeSignalled && e.Type != events.TypeDiscarded:
				c.report(EndsOnce, id, "has %s behind the end of dispatch %d, at place %d: %s", e.Type, dispatch, i, tell(h))
			}
		}
	}
}

func (c *checker) endingsTold() {
	for _, id := range c.tasks {
		end, over := c.ending(id)
		if !over {
			continue // I1 has it
		}
		if c.run.Told[id] == 0 {
			c.report(EndingsTold, id, "ended with %s and no subscriber was told", end.Type)
		}
		if got, want := c.run.Listed[id], strings.TrimPrefix(string(end.Type), "task."); got != want {
			c.report(EndingsTold, id, "is listed as %q and is %s on the log", got, want)
		}
	}
	for _, f := range c.run.Followed {
		var want []uint64
		for _, e := range c.histories[f.Task] {
			want = append(want, e.Seq)
		}
		if !slices.Equal(f.Seqs, want) {
			c.report(EndingsTold, f.Task, "was followed as %v, the log has %v", f.Seqs, want)
		}
	}
}

func (c *checker) keyIsOneTask() {
	type key struct{ tenant, key string }
	known := map[key]string{}
	for _, a := range c.run.Accepted {
		k := key{a.Tenant, a.Key}
		if first, ok := known[k]; ok && first != a.Task {
			c.report(KeyIsOneTask, a.Task, "was answered to key %s of %s, which is task %s", a.Key, a.Tenant, first)
		} else if !ok {
			known[k] = a.Task
		}
	}
}

// recorded returns the tasks of the log in the order of their first events.
func (c *checker) recorded() []string {
	var ids []string
	seen := map[string]bool{}
	for _, e := range c.run.Log {
		if !seen[e.Task] {
			seen[e.Task] = true
			ids = append(ids, e.Task)
		}
	}
	return ids
}

// tell shows a history in one line.
func tell(h []events.Event) string {
	var parts []string
	for _, e := range h {
		parts = append(parts, strings.TrimPrefix(string(e.Type), "task."))
	}
	return strings.Join(parts, " ")
}
