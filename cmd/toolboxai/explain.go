package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/toolboxai/orchestrator/internal/task"
)

type explainCommand struct {
	remote
	ID string `arg:"" help:"The task's id."`
}

// Run prints why a task is where it is, in one sentence.
func (c *explainCommand) Run(ctx context.Context) error {
	var x task.Explanation
	if err := c.call(ctx, "GET", "/tasks/"+url.PathEscape(c.ID)+"/explain", nil, nil, &x); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(x)
	}
	fmt.Printf("%s: %s\n", x.State, x.Message)
	return nil
}

type signalCommand struct {
	remote
	ID   string `arg:"" help:"The task's id."`
	Name string `arg:"" help:"What happened, as the task's agent knows it."`
	Data string `help:"Any JSON value that goes with it." short:"d"`
}

func (c *signalCommand) Run(ctx context.Context) error {
	body := map[string]json.RawMessage{}
	if c.Data != "" {
		if !json.Valid([]byte(c.Data)) {
			return &usageError{errors.New("--data: is not valid JSON")}
		}
		body["data"] = json.RawMessage(c.Data)
	}
	var t task.Task
	if err := c.call(ctx, "POST", "/tasks/"+url.PathEscape(c.ID)+"/signals/"+url.PathEscape(c.Name), nil, body, &t); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t)
	}
	fmt.Printf("task %s has the signal %s\n", t.ID, c.Name)
	return nil
}

type cancelCommand struct {
	remote
	ID     string            `arg:"" optional:"" help:"The task's id; leave it out to cancel by filter."`
	Reason string            `help:"Why; it goes on record."`
	Kind   []string          `help:"Filter: of this kind; repeatable."`
	State  []string          `help:"Filter: in this state: queued, running, retrying or waiting; repeatable."`
	Label  map[string]string `help:"Filter: with this label, as name=value; repeatable."`
	User   string            `help:"Filter: of this user."`
	Since  time.Duration     `help:"Filter: submitted within this long."`
	All    bool              `help:"Filter: every one that is not finished."`
	Max    int               `help:"By filter: at most this many." default:"200"`
	DryRun bool              `help:"By filter: say what would be cancelled and change nothing."`
}

// cancelReport is the answer to a cancellation by filter.
type cancelReport struct {
	DryRun    bool     `json:"dry_run"`
	Matched   int      `json:"matched"`
	Cancelled int      `json:"cancelled"`
	Skipped   int      `json:"skipped"`
	Failed    int      `json:"failed"`
	More      bool     `json:"more"`
	TaskIDs   []string `json:"task_ids"`
}

func (c *cancelCommand) Run(ctx context.Context) error {
	filtered := len(c.Kind) > 0 || len(c.State) > 0 || len(c.Label) > 0 || c.User != "" || c.Since > 0
	switch {
	case c.ID != "" && (filtered || c.All || c.DryRun):
		return &usageError{errors.New("give an id or a filter, not both")}
	case c.ID != "":
		return c.one(ctx)
	case !filtered && !c.All:
		return &usageError{errors.New("give an id, a filter, or --all")}
	}
	body := map[string]any{"kinds": c.Kind, "states": c.State, "labels": c.Label, "max": c.Max, "dry_run": c.DryRun}
	if c.User != "" {
		body["user"] = c.User
	}
	if c.Reason != "" {
		body["reason"] = c.Reason
	}
	if c.Since > 0 {
		body["created_after"] = time.Now().Add(-c.Since).UTC()
	}
	for name, value := range body {
		switch v := value.(type) {
		case []string:
			if len(v) == 0 {
				delete(body, name)
			}
		case map[string]string:
			if len(v) == 0 {
				delete(body, name)
			}
		}
	}
	var report cancelReport
	if err := c.call(ctx, "POST", "/tasks/cancel", nil, body, &report); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(report)
	}
	if c.DryRun {
		fmt.Printf("%d tasks would be cancelled%s\n", report.Matched, andMore(report.More))
		return nil
	}
	fmt.Printf("%d cancelled, %d ended meanwhile, %d could not be decided on%s\n", report.Cancelled, report.Skipped, report.Failed, andMore(report.More))
	if report.Failed > 0 {
		return errNotCompleted
	}
	return nil
}

func andMore(more bool) string {
	if more {
		return "; more match: repeat the command"
	}
	return ""
}

func (c *cancelCommand) one(ctx context.Context) error {
	q := url.Values{}
	setIf(q, "reason", c.Reason)
	var t task.Task
	if err := c.call(ctx, "DELETE", "/tasks/"+url.PathEscape(c.ID)+"?"+q.Encode(), nil, nil, &t); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t)
	}
	fmt.Printf("task %s is %s\n", t.ID, t.State)
	return nil
}
