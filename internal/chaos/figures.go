package chaos

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// Figures sums up a run.
type Figures struct {
	Scenario    string        `json:"scenario"`
	Submissions int           `json:"submissions"` // tasks acknowledged
	Faults      int           `json:"faults"`
	Executions  int           `json:"executions"` // attempts begun
	Repeats     int           `json:"repeats"`    // whole answers that were paid for and are not on record
	Failures    int           `json:"failures"`   // tasks that failed, as the plan allows
	Duplicates  int           `json:"duplicates"` // endings told again
	Recovery    time.Duration `json:"recovery_ns"`
	Slowest     string        `json:"slowest,omitempty"` // the task that Recovery is of
	Violations  []Violation   `json:"violations,omitempty"`
}

// Sum returns the figures of r under a name. Recovery is the longest time that any task still took after the last of the faults that it
// lived through was over.
func Sum(name string, r Run) Figures {
	f := Figures{Scenario: name, Faults: len(r.Faults), Violations: Check(r)}
	accepted := map[string]time.Time{}
	for _, a := range r.Accepted {
		if at, ok := accepted[a.Task]; !ok || a.At.Before(at) {
			accepted[a.Task] = a.At
		}
	}
	f.Submissions = len(accepted)
	ended := map[string]time.Time{}
	steps := 0
	for _, e := range r.Log {
		switch {
		case e.Type == events.TypeStarted:
			f.Executions++
		case e.Type == events.TypeStep:
			steps++
		case e.Type.Terminal():
			ended[e.Task] = e.Time
			if e.Type == events.TypeFailed {
				f.Failures++
			}
		}
	}
	for _, c := range r.Calls {
		if c.Whole {
			f.Repeats++
		}
	}
	f.Repeats -= steps
	for _, n := range r.Told {
		f.Duplicates += max(n-1, 0)
	}
	for id, at := range accepted {
		if end, ok := ended[id]; ok {
			if rest := afterLast(r.Faults, at, end); rest > f.Recovery {
				f.Recovery, f.Slowest = rest, id
			}
		}
	}
	return f
}

// afterLast returns how long before to the last of the faults was over that ended after from; 0 when none did.
func afterLast(faults []Fault, from, to time.Time) time.Duration {
	var last time.Time
	for _, f := range faults {
		if !f.To.Before(from) && !f.To.After(to) && f.To.After(last) {
			last = f.To
		}
	}
	if last.IsZero() {
		return 0
	}
	return to.Sub(last)
}

// Story shows what became of a task: its acknowledgement, events, calls and the faults meanwhile, each with its time.
func Story(r Run, task string) string {
	type line struct {
		at   time.Time
		text string
	}
	var lines []line
	for _, a := range r.Accepted {
		if a.Task == task {
			lines = append(lines, line{a.At, "acknowledged"})
		}
	}
	for _, e := range r.Log {
		if e.Task == task {
			text := fmt.Sprintf("%s by %s at %d", e.Type, e.Source, e.Seq)
			if q, err := events.DataAs[events.Queued](e); err == nil {
				text += fmt.Sprintf(" (direct: %v)", q.Direct)
			}
			lines = append(lines, line{e.Time, text})
		}
	}
	for _, c := range r.Calls {
		if c.Task == task {
			lines = append(lines, line{c.At, fmt.Sprintf("%s asks for %s (good answer: %v)", c.Worker, c.Step, c.Whole)})
		}
	}
	for _, f := range r.Faults {
		lines = append(lines, line{f.From, fmt.Sprintf("    %s %s until %s", f.What, f.Target, f.To.Format(clock))})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	var out strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&out, "%s %s\n", l.at.Format(clock), l.text)
	}
	return out.String()
}

// Print writes all as a table.
func Print(w io.Writer, all []Figures) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "scenario\tsubmissions\tfaults\texecutions\trepeats\tfailed\tduplicates told\tslowest recovery\tviolations\t")
	for _, f := range all {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%d\t\n", f.Scenario, f.Submissions, f.Faults, f.Executions, f.Repeats, f.Failures,
			f.Duplicates, f.Recovery.Round(10*time.Millisecond), len(f.Violations))
	}
	return t.Flush()
}
