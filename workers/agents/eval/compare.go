package eval

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// Comparison is two reports on the same cases of one kind, side by side.
type Comparison struct {
	Kind  string `json:"kind"`
	A     string `json:"a"` // "openai/gpt-5-mini, quiz/1"
	B     string `json:"b"`
	Cases []Pair `json:"cases"`
	Total Pair   `json:"total"`
}

// Pair is a case in both.
type Pair struct {
	Case   string `json:"case,omitempty"`
	A      Row    `json:"a"`
	B      Row    `json:"b"`
	Better string `json:"better,omitempty"` // "a" or "b"; empty when neither is
}

// noise is the difference of scores that is none: scores have two digits.
const noise = 0.005

// Compare puts b beside a. Cases that only one of them has are left out.
func Compare(a, b Report) Comparison {
	c := Comparison{Kind: a.Kind, A: a.label(), B: b.label(), Total: pair(a.Total, b.Total)}
	rows := map[string]Row{}
	for _, row := range b.Rows {
		rows[row.Case] = row
	}
	for _, row := range a.Rows {
		if other, ok := rows[row.Case]; ok {
			c.Cases = append(c.Cases, pair(row, other))
		}
	}
	return c
}

func (r Report) label() string { return r.Model + ", " + r.Prompt }

// pair decides by the share of runs that passed, then of those that completed, then by the mean score.
func pair(a, b Row) Pair {
	p := Pair{Case: a.Case, A: a, B: b}
	if a.Skipped == a.Runs || b.Skipped == b.Runs {
		return p
	}
	for _, d := range []float64{b.PassedShare() - a.PassedShare(), share(b.Completed, b.Runs) - share(a.Completed, a.Runs), value(b.Score) - value(a.Score)} {
		if math.Abs(d) > noise {
			if p.Better = "a"; d > 0 {
				p.Better = "b"
			}
			return p
		}
	}
	return p
}

func share(n, of int) float64 { return float64(n) / float64(max(of, 1)) }

func value(s *float64) float64 {
	if s == nil {
		return 0
	}
	return *s
}

// WriteTable writes the comparison for people, and says which of the two is better at what.
func (c Comparison) WriteTable(out io.Writer) error {
	fmt.Fprintf(out, "%s\n  a: %s\n  b: %s\n\n", c.Kind, c.A, c.B)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CASE\tPASSED a\tb\tSCORE a\tb\tDIFF\tTOKENS a\tb\tCOST a\tb\tLATENCY a\tb\tBETTER")
	better := map[string][]string{}
	for _, p := range append(c.Cases, c.Total) {
		fmt.Fprintln(w, strings.Join(p.cells(), "\t"))
		if p.Case != "" {
			better[p.Better] = append(better[p.Better], p.Case)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\n%s\nEqual: %d.\n\n", verdict("a", better["a"]), verdict("b", better["b"]), len(better[""]))
	return err
}

func verdict(who string, cases []string) string {
	if len(cases) == 0 {
		return who + " is better at nothing."
	}
	return fmt.Sprintf("%s is better at %d: %s.", who, len(cases), strings.Join(cases, ", "))
}

func (p Pair) cells() []string {
	name, diff := p.Case, "–"
	if name == "" {
		name = "all"
	}
	if p.A.Score != nil && p.B.Score != nil {
		diff = fmt.Sprintf("%+.2f", *p.B.Score-*p.A.Score)
	}
	return []string{
		name, count(p.A.Passed, p.A.Runs), count(p.B.Passed, p.B.Runs), score(p.A.Score), score(p.B.Score), diff,
		fmt.Sprint(p.A.InputTokens + p.A.OutputTokens), fmt.Sprint(p.B.InputTokens + p.B.OutputTokens),
		cost(p.A), cost(p.B), latency(p.A.Latency), latency(p.B.Latency), p.Better,
	}
}
