package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/toolboxai/orchestrator/events"
)

// printRefused prints the answers of models that a task refused, each with what is wrong with it.
func printRefused(w io.Writer, list []events.Refusal) {
	for _, r := range list {
		by := ""
		if r.GeneratedBy != "" {
			by = " by " + r.GeneratedBy
		}
		fmt.Fprintf(w, "refused      attempt %d, step %s, round %d%s (prompt %s):\n", r.Attempt, shown(r.Step), r.Round, shown(by), shown(r.PromptVersion))
		for _, reason := range r.Reasons {
			fmt.Fprintf(w, "  - %s: %s\n", shown(reason.Field), shown(reason.Reason))
		}
		if r.More > 0 {
			fmt.Fprintf(w, "  - and %d more\n", r.More)
		}
		for line := range strings.SplitSeq(r.Text, "\n") {
			fmt.Fprintf(w, "  | %s\n", shown(line))
		}
		if left := r.Bytes - len(r.Text); left > 0 {
			fmt.Fprintf(w, "  | … %d more bytes\n", left)
		}
	}
}

// shown returns a model's words so that a terminal takes none of them for a command.
func shown(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t':
			b.WriteByte(' ')
		case unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
