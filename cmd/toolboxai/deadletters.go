package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"text/tabwriter"

	"github.com/toolboxai/orchestrator/internal/task"
)

type deadLettersCommand struct {
	List    deadListCommand    `cmd:"" help:"List failed tasks on which nobody has decided, newest first."`
	Show    deadShowCommand    `cmd:"" help:"Show one with its input and why it failed."`
	Replay  deadReplayCommand  `cmd:"" help:"Send one to the queue again, or all that match a filter."`
	Discard deadDiscardCommand `cmd:"" help:"Close one for good."`
}

type deadListCommand struct {
	remote
	Kind        []string `help:"Only of this kind; repeatable."`
	Cause       []string `help:"Only failed by this cause; repeatable."`
	Fingerprint string   `help:"Only with this fingerprint of the error; 'show' prints it."`
	Limit       int      `help:"How many." default:"20"`
	Cursor      string   `help:"Where the page before ended."`
}

func (c *deadListCommand) Run(ctx context.Context) error {
	q := url.Values{"kind": c.Kind, "cause": c.Cause, "limit": {strconv.Itoa(c.Limit)}}
	setIf(q, "fingerprint", c.Fingerprint)
	setIf(q, "cursor", c.Cursor)
	return list(ctx, c.remote, "/admin/dead-letters?"+q.Encode())
}

type deadShowCommand struct {
	remote
	ID string `arg:"" help:"The task's id."`
}

func (c *deadShowCommand) Run(ctx context.Context) error {
	var t task.Task
	if err := c.call(ctx, "GET", "/admin/dead-letters/"+url.PathEscape(c.ID), nil, nil, &t); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t)
	}
	if err := printTask(t); err != nil {
		return err
	}
	if t.Failure != nil {
		fmt.Printf("fingerprint  %s (others alike: deadletters list --fingerprint)\n", task.Fingerprint(t.Failure.Cause, t.Failure.Error))
	}
	printRefused(os.Stdout, t.Refused)
	return printJSON(map[string]json.RawMessage{"input": t.Input})
}

type deadReplayCommand struct {
	remote
	ID          string   `arg:"" optional:"" help:"The task's id; leave it out to replay by filter."`
	Input       string   `help:"Another input, as JSON. Only with an id."`
	Reason      string   `help:"Why; it goes on record."`
	Kind        []string `help:"Filter: of this kind; repeatable."`
	Cause       []string `help:"Filter: failed by this cause; repeatable."`
	Fingerprint string   `help:"Filter: with this fingerprint of the error; 'show' prints it."`
	All         bool     `help:"Filter: every one."`
	Max         *int     `help:"By filter: at most this many (default: 100)."`
	Rate        *float64 `help:"By filter: this many a second (default: 10)."`
	DryRun      bool     `help:"By filter: say what would be replayed and change nothing."`
	Wait        bool     `help:"Follow the task; exit with 1 when it does not complete. Only with an id." short:"w"`
}

// check refuses flags that mean nothing beside the others, rather than doing more than was meant.
func (c *deadReplayCommand) check() error {
	refused, why := []given{
		{"--kind", len(c.Kind) > 0}, {"--cause", len(c.Cause) > 0}, {"--fingerprint", c.Fingerprint != ""}, {"--all", c.All},
		{"--max", c.Max != nil}, {"--rate", c.Rate != nil}, {"--dry-run", c.DryRun},
	}, "is for a replay by filter, without an id"
	if c.ID == "" {
		refused, why = []given{{"--input", c.Input != ""}, {"--wait", c.Wait}}, "is for the replay of one task: give its id"
	}
	for _, flag := range refused {
		if flag.set {
			return &usageError{fmt.Errorf("%s %s", flag.name, why)}
		}
	}
	filtered := len(c.Kind) > 0 || len(c.Cause) > 0 || c.Fingerprint != ""
	switch {
	case c.ID != "":
		return nil
	case c.All && filtered:
		return &usageError{errors.New("--all is every dead letter: leave it out, or the other filters")}
	case !c.All && !filtered:
		return &usageError{errors.New("which ones? Give an id, --kind, --cause or --fingerprint, or --all for every dead letter")}
	}
	return nil
}

// given is a flag and whether it was.
type given struct {
	name string
	set  bool
}

// replayReport is the answer to a replay by filter.
type replayReport struct {
	DryRun   bool `json:"dry_run"`
	Matched  int  `json:"matched"`
	Replayed int  `json:"replayed"`
	Skipped  int  `json:"skipped"`
	Failed   int  `json:"failed"`
	Complete bool `json:"complete"`
	More     bool `json:"more"`
	Items    []struct {
		ID      string `json:"task_id"`
		Kind    string `json:"kind"`
		Outcome string `json:"outcome"`
		Message string `json:"message,omitempty"`
	} `json:"items"`
}

func (c *deadReplayCommand) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.ID == "" {
		return c.byFilter(ctx)
	}
	body := map[string]any{"reason": c.Reason}
	if c.Input != "" {
		if !json.Valid([]byte(c.Input)) {
			return &usageError{errors.New("--input: is not valid JSON")}
		}
		body["input"] = json.RawMessage(c.Input)
	}
	var t task.Task
	if err := c.call(ctx, "POST", "/admin/dead-letters/"+url.PathEscape(c.ID)+"/replay", nil, body, &t); err != nil {
		return err
	}
	if c.Wait {
		return watch(ctx, c.remote, c.ID)
	}
	if c.JSON {
		return printJSON(t)
	}
	fmt.Printf("task %s is %s again (dispatch %d)\n", t.ID, t.State, t.Dispatch)
	return nil
}

func (c *deadReplayCommand) byFilter(ctx context.Context) error {
	body := map[string]any{"max": 100, "rate": 10.0, "dry_run": c.DryRun, "reason": c.Reason}
	if c.Max != nil {
		body["max"] = *c.Max
	}
	if c.Rate != nil {
		body["rate"] = *c.Rate
	}
	if c.Fingerprint != "" {
		body["fingerprint"] = c.Fingerprint
	}
	if len(c.Kind) > 0 {
		body["kinds"] = c.Kind
	}
	if len(c.Cause) > 0 {
		body["causes"] = c.Cause
	}
	var report replayReport
	if err := c.call(ctx, "POST", "/admin/dead-letters/replay", nil, body, &report); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(report)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, item := range report.Items {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", item.ID, item.Kind, item.Outcome, item.Message)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("%d matched, %d replayed, %d skipped, %d failed\n", report.Matched, report.Replayed, report.Skipped, report.Failed)
	if report.More {
		fmt.Println("more match: repeat the command")
	}
	if report.Failed > 0 || !report.Complete {
		return errNotCompleted
	}
	return nil
}

type deadDiscardCommand struct {
	remote
	ID     string `arg:"" help:"The task's id."`
	Reason string `help:"Why; it goes on record."`
}

func (c *deadDiscardCommand) Run(ctx context.Context) error {
	var t task.Task
	err := c.call(ctx, "POST", "/admin/dead-letters/"+url.PathEscape(c.ID)+"/discard", nil, map[string]any{"reason": c.Reason}, &t)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t)
	}
	fmt.Printf("task %s is discarded\n", t.ID)
	return nil
}
