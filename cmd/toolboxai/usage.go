package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/toolboxai/orchestrator/internal/task"
)

type usageCommand struct {
	remote
	From     string   `help:"First day, as 2026-09-01, or a time as RFC 3339 (default: the first of this month); days are in UTC."`
	To       string   `help:"Day or time at which it ends, itself not in it (default: now)."`
	By       []string `help:"What to tell apart: user, workflow, kind, model, day; repeatable, or comma-separated. Everything is added up when left out." enum:"user,workflow,kind,model,day"`
	Kind     []string `help:"Only tasks of this kind; repeatable."`
	User     string   `help:"Only tasks of this user."`
	Workflow string   `help:"Only tasks of this workflow."`
}

// usageReport is the answer.
type usageReport struct {
	Rows []task.UsageRow `json:"rows"`
}

func (c *usageCommand) Run(ctx context.Context) error {
	now := time.Now().UTC()
	from, err := dayOr("--from", c.From, time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		return err
	}
	to, err := dayOr("--to", c.To, now)
	if err != nil {
		return err
	}
	if !to.After(from) {
		return &usageError{fmt.Errorf("--to %s is not after --from %s", to.Format(time.RFC3339), from.Format(time.RFC3339))}
	}
	q := url.Values{"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)}, "by": c.By, "kind": c.Kind}
	setIf(q, "user", c.User)
	setIf(q, "workflow", c.Workflow)
	var report usageReport
	if err := c.call(ctx, "GET", "/admin/usage?"+q.Encode(), nil, nil, &report); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(report)
	}
	return report.print(c.By)
}

// dayOr reads a day or a time; fallback when there is none.
func dayOr(flag, given string, fallback time.Time) (time.Time, error) {
	if given == "" {
		return fallback, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, given); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &usageError{fmt.Errorf("%s: %q is neither a day such as 2026-09-01 nor a time such as 2026-09-01T08:00:00Z", flag, given)}
}

func (r usageReport) print(by []string) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	columns := map[string]func(task.UsageRow) string{
		"day": func(u task.UsageRow) string {
			if u.Day == nil {
				return ""
			}
			return u.Day.UTC().Format(time.DateOnly)
		},
		"user":     func(u task.UsageRow) string { return u.UserID },
		"workflow": func(u task.UsageRow) string { return u.Workflow },
		"kind":     func(u task.UsageRow) string { return u.Kind },
		"model":    func(u task.UsageRow) string { return u.Provider + "/" + u.Model },
	}
	for _, unit := range by {
		fmt.Fprintf(w, "%s\t", strings.ToUpper(unit))
	}
	fmt.Fprintln(w, "CALLS\tINPUT TOKENS\tOUTPUT TOKENS\tUSD")
	var sum task.UsageRow
	sum.CostKnown = true
	for _, u := range r.Rows {
		for _, unit := range by {
			value := columns[unit](u)
			if value == "" {
				value = "-"
			}
			fmt.Fprintf(w, "%s\t", value)
		}
		figures(w, u)
		sum.Calls += u.Calls
		sum.InputTokens += u.InputTokens
		sum.OutputTokens += u.OutputTokens
		sum.MicroUSD += u.MicroUSD
		sum.CostKnown = sum.CostKnown && u.CostKnown
	}
	if len(by) > 0 {
		fmt.Fprint(w, "sum\t"+strings.Repeat("\t", len(by)-1))
		figures(w, sum)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !slices.ContainsFunc(r.Rows, func(u task.UsageRow) bool { return !u.CostKnown }) {
		return nil
	}
	fmt.Println("> the price of some calls is not known: it is this at least")
	return nil
}

func figures(w *tabwriter.Writer, u task.UsageRow) {
	more := ""
	if !u.CostKnown {
		more = "> "
	}
	fmt.Fprintf(w, "%d\t%d\t%d\t%s%.4f\n", u.Calls, u.InputTokens, u.OutputTokens, more, float64(u.MicroUSD)/1e6)
}
