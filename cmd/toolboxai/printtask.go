package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/toolboxai/orchestrator/internal/task"
)

// printTask prints what a person wants to know of a task, and its result.
func printTask(t task.Task) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("task", t.ID)
	row("kind", t.Kind)
	row("state", string(t.State))
	if t.Wait != nil {
		row("waits", waits(*t.Wait))
	}
	attempt := fmt.Sprintf("%d of dispatch %d", t.Attempt, t.Dispatch)
	if t.Version != "" {
		attempt += ", agent " + t.Version
	}
	row("attempt", attempt)
	row("created", moment(&t.CreatedAt))
	row("made by", origin(t))
	if t.NotBefore != nil {
		row("not before", moment(t.NotBefore))
	}
	if t.ExpiresAt != nil && t.StartedAt == nil {
		row("expires", moment(t.ExpiresAt)+" unless it has begun")
	}
	if t.Deadline != nil {
		row("deadline", moment(t.Deadline))
	}
	if t.FinishedAt != nil {
		row("finished", fmt.Sprintf("%s (after %s)", t.FinishedAt.Local().Format(time.DateTime), t.FinishedAt.Sub(t.CreatedAt).Round(time.Millisecond)))
	}
	if t.Provenance != nil {
		by := t.Provenance.GeneratedBy
		if t.Provenance.CacheHit {
			by += ", from a cache (" + t.Provenance.Cache + ")"
		}
		row("by", by)
	}
	if t.Usage != nil {
		row("usage", fmt.Sprintf("%d calls, %d + %d tokens%s", t.Usage.Calls, t.Usage.InputTokens, t.Usage.OutputTokens, cost(t)))
	}
	if t.Failure != nil {
		row("why", string(t.Failure.Cause)+": "+t.Failure.Error)
	}
	if t.NoCache {
		row("cache", "off for this task")
	}
	if t.NextAt != nil {
		row("next attempt", t.NextAt.Local().Format(time.DateTime))
	}
	if t.Discard != nil {
		row("discarded", "by "+t.Discard.By+" "+t.Discard.Reason)
	}
	if err := w.Flush(); err != nil || t.Result == nil {
		return err
	}
	return printJSON(t.Result)
}

// waits says what a task waits for, and how that ends.
func waits(w task.Wait) string {
	until := ""
	if w.Until != nil {
		until = ", until " + moment(w.Until) + " at the latest"
	}
	return w.Message + until
}

// origin says what made a task, when that was no caller.
func origin(t task.Task) string {
	switch {
	case t.Origin == nil:
		return ""
	case t.Origin.Schedule != "" && t.Origin.Tick != nil:
		return "schedule " + t.Origin.Schedule + ", tick of " + moment(t.Origin.Tick)
	case t.Origin.Schedule != "":
		return "schedule " + t.Origin.Schedule
	case t.Origin.Workflow != "":
		return "workflow " + t.Origin.Workflow + ", step " + t.Origin.Step
	}
	return ""
}

func cost(t task.Task) string {
	if !t.Usage.CostKnown {
		return ""
	}
	return fmt.Sprintf(", %.4f USD", t.Usage.CostUSD)
}
