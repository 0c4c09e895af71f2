package eval

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/toolboxai/orchestrator/internal/task"
)

// WriteTable writes a report for people: a row for each case, one for all, and why cases failed.
func (r Report) WriteTable(out io.Writer) error {
	fmt.Fprintf(out, "%s by %s, prompts %s\n\n", r.Kind, r.Model, r.Prompt)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CASE\tPASSED\tSCHEMA\tRULES\tREPAIRED\tSCORE\tCALLS\tTOKENS\tCOST\tLATENCY")
	for _, row := range append(r.Rows, r.Total) {
		fmt.Fprintln(w, strings.Join(row.cells(), "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, f := range r.Total.Failures {
		if f.State != Skipped {
			fmt.Fprintf(out, "\n%s is %s (%s): %s\n", f.Case, f.State, or(string(f.Cause), "no cause"), clip(f.Error))
		}
	}
	_, err := fmt.Fprintln(out)
	return err
}

func (r Row) cells() []string {
	name := r.Case
	if name == "" {
		name = "all"
	}
	if r.Skipped == r.Runs {
		return []string{name, string(Skipped), "", "", "", "", "", "", "", ""}
	}
	return []string{
		name, count(r.Passed, r.Runs), count(r.Schema, r.Runs), count(r.Rules, r.Runs), fmt.Sprint(r.Repaired), score(r.Score), fmt.Sprint(r.Calls),
		fmt.Sprintf("%d+%d", r.InputTokens, r.OutputTokens), cost(r), latency(r.Latency),
	}
}

// count says yes or no of one run, and how many of several.
func count(n, of int) string {
	switch {
	case of > 1:
		return fmt.Sprintf("%d/%d", n, of)
	case n == 1:
		return "yes"
	}
	return "no"
}

func score(s *float64) string {
	if s == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", *s)
}

func cost(r Row) string {
	if !r.CostKnown {
		return "unknown"
	}
	return fmt.Sprintf("$%.4f", r.CostUSD)
}

func latency(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// Line says in one line what came of a run, for progress.
func (o Outcome) Line() string {
	line := fmt.Sprintf("%s: %s in %s", o.Case, o.State, latency(o.Latency))
	if o.State == task.Completed {
		return line + ", score " + score(o.Score)
	}
	return line + ": " + clip(o.Error)
}

// clip keeps a text to one line of at most 300 characters.
func clip(s string) string {
	text := []rune(strings.Join(strings.Fields(s), " "))
	if len(text) > 300 {
		return string(text[:299]) + "…"
	}
	return string(text)
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
