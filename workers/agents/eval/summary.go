package eval

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteSummary writes a line for each report, and what all of them cost.
func WriteSummary(out io.Writer, reports []Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tMODEL\tPROMPTS\tPASSED\tSCHEMA\tRULES\tREPAIRED\tSCORE\tCALLS\tTOKENS\tCOST\tLATENCY")
	sum := Row{CostKnown: true}
	for _, r := range reports {
		fmt.Fprintln(w, strings.Join(append([]string{r.Kind, r.Model, r.Prompt}, r.Total.cells()[1:]...), "\t"))
		sum.CostUSD += r.Total.CostUSD
		sum.CostKnown = sum.CostKnown && r.Total.CostKnown
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nThe cost in all: %s.\n", cost(sum))
	return err
}

// Verdict says in a few words how many cases passed, and the score.
func (r Report) Verdict() string {
	return fmt.Sprintf("%d of %d passed, the mean score is %s", r.Total.Passed, r.Total.Runs, score(r.Total.Score))
}
