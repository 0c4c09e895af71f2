package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/toolboxai/orchestrator/internal/task"
)

type tasksCommand struct {
	Submit  submitCommand  `cmd:"" help:"Submit a task."`
	Get     getCommand     `cmd:"" help:"Show a task with its result."`
	List    listCommand    `cmd:"" help:"List tasks, newest first."`
	Watch   watchCommand   `cmd:"" help:"Follow a task until it ends."`
	Explain explainCommand `cmd:"" help:"Say why a task is where it is."`
	Signal  signalCommand  `cmd:"" help:"Tell a task that something happened that it waits for."`
	Cancel  cancelCommand  `cmd:"" help:"Withdraw a task that is not finished, or all that match a filter."`
}

// submitted is the answer to a submission.
type submitted struct {
	Task     task.Task `json:"task"`
	URL      string    `json:"url"`
	Channels []string  `json:"channels"`
}

type submitCommand struct {
	remote
	Kind     string            `arg:"" help:"Kind of the task: content, quiz, terrain, script, code_review, roblox_asset, roblox_testing, roblox_analytics."`
	Input    string            `help:"Input as JSON, @FILE, or - for standard input; the kind's example when left out." short:"i"`
	Priority string            `help:"low, normal or high." default:"normal"`
	Key      string            `help:"Idempotency-Key: repeating the command with it submits nothing new."`
	Label    map[string]string `help:"Label, as name=value; repeatable."`
	Deadline time.Duration     `help:"The task fails when it is not finished after this long."`
	RunAt    string            `help:"No worker begins earlier: RFC 3339, such as 2026-09-01T08:00:00Z."`
	Delay    time.Duration     `help:"No worker begins before this long from now."`
	QueueTTL time.Duration     `name:"queue-ttl" help:"The task fails when no worker has begun it after this long."`
	Timeout  time.Duration     `help:"Of one attempt."`
	Cost     float64           `help:"Estimate, in seconds of work, for fairness between tenants."`
	NoCache  bool              `help:"Models answer for this task alone; nothing comes from a cache."`
	Wait     bool              `help:"Follow the task; exit with 1 when it does not complete." short:"w"`
}

func (c *submitCommand) Run(ctx context.Context) error {
	if c.Key != "" && (c.Deadline != 0 || c.Delay != 0 || c.QueueTTL != 0) {
		return &usageError{errors.New("--key excludes --deadline, --delay and --queue-ttl: they count from now, so that repeating the command would ask for something else under the same key")}
	}
	input, err := c.input(ctx, c.Kind, c.Input)
	if err != nil {
		return err
	}
	body := map[string]any{"kind": c.Kind, "input": input, "priority": c.Priority}
	if len(c.Label) > 0 {
		body["labels"] = c.Label
	}
	if c.Deadline > 0 {
		body["deadline"] = time.Now().Add(c.Deadline).UTC().Format(time.RFC3339Nano)
	}
	if c.RunAt != "" {
		body["run_at"] = c.RunAt
	}
	for name, d := range map[string]time.Duration{"delay_seconds": c.Delay, "queue_ttl_seconds": c.QueueTTL, "timeout_seconds": c.Timeout} {
		if d != 0 {
			body[name] = int(d.Round(time.Second).Seconds())
		}
	}
	if c.Cost != 0 {
		body["cost"] = c.Cost
	}
	if c.NoCache {
		body["cache"] = false
	}
	header := map[string]string{}
	if c.Key != "" {
		header["Idempotency-Key"] = c.Key
	}
	var answer submitted
	if err := c.call(ctx, "POST", "/tasks", header, body, &answer); err != nil {
		return err
	}
	if c.Wait {
		return watch(ctx, c.remote, answer.Task.ID)
	}
	if c.JSON {
		return printJSON(answer)
	}
	fmt.Printf("task %s is %s\nfollow it:  toolboxai tasks watch %s\n", answer.Task.ID, answer.Task.State, answer.Task.ID)
	return nil
}

// input reads a task's input as --input gives it: JSON, @FILE, - for standard input, or nothing for the example of the kind.
func (r remote) input(ctx context.Context, kind, given string) (json.RawMessage, error) {
	var data []byte
	var err error
	switch {
	case given == "":
		var described struct {
			Example json.RawMessage `json:"example"`
		}
		err = r.call(ctx, "GET", "/agents/"+url.PathEscape(kind), nil, nil, &described)
		data = described.Example
	case given == "-":
		data, err = io.ReadAll(io.LimitReader(os.Stdin, task.MaxInput+1))
	case strings.HasPrefix(given, "@"):
		data, err = os.ReadFile(given[1:])
	default:
		data = []byte(given)
	}
	if err != nil {
		return nil, err
	}
	if !json.Valid(data) {
		return nil, &usageError{errors.New("--input: is not valid JSON")}
	}
	return data, nil
}

type getCommand struct {
	remote
	ID string `arg:"" help:"The task's id."`
}

func (c *getCommand) Run(ctx context.Context) error {
	var t task.Task
	if err := c.call(ctx, "GET", "/tasks/"+url.PathEscape(c.ID), nil, nil, &t); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t)
	}
	return printTask(t)
}

type listCommand struct {
	remote
	State  []string `help:"Only tasks in this state; repeatable."`
	Kind   []string `help:"Only tasks of this kind; repeatable."`
	User   string   `help:"Only tasks of this user."`
	Label  []string `help:"Only tasks with this label, as name=value; repeatable."`
	Limit  int      `help:"How many." default:"20"`
	Cursor string   `help:"Where the page before ended."`
}

// taskPage is a page of a list.
type taskPage struct {
	Tasks []task.Task `json:"tasks"`
	Next  string      `json:"next,omitempty"`
	AsOf  time.Time   `json:"as_of"`
	Stale bool        `json:"stale"`
}

func (c *listCommand) Run(ctx context.Context) error {
	q := url.Values{"state": c.State, "kind": c.Kind, "limit": {strconv.Itoa(c.Limit)}}
	for _, label := range c.Label {
		q.Add("label", colonLabel(label))
	}
	setIf(q, "user", c.User)
	setIf(q, "cursor", c.Cursor)
	return list(ctx, c.remote, "/tasks?"+q.Encode())
}

// colonLabel returns a label, given as name=value or name:value, as the API reads it: name:value.
func colonLabel(label string) string {
	if i := strings.IndexAny(label, "=:"); i >= 0 {
		return label[:i] + ":" + label[i+1:]
	}
	return label
}

func setIf(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func list(ctx context.Context, r remote, path string) error {
	var page taskPage
	if err := r.call(ctx, "GET", path, nil, nil, &page); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(page)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TASK\tKIND\tSTATE\tATTEMPT\tCREATED\tWHY")
	for _, t := range page.Tasks {
		why := ""
		switch {
		case t.Wait != nil:
			why = firstLine(t.Wait.Message)
		case t.Failure != nil:
			why = string(t.Failure.Cause) + ": " + firstLine(t.Failure.Error)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", t.ID, t.Kind, t.State, t.Attempt, t.CreatedAt.Local().Format(time.DateTime), why)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if page.Stale {
		fmt.Printf("as of %s: newer events are not in the list yet\n", page.AsOf.Local().Format(time.DateTime))
	}
	if page.Next != "" {
		fmt.Printf("more with --cursor %s\n", page.Next)
	}
	return nil
}

func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	if len(line) > 80 {
		return strings.ToValidUTF8(line[:80], "") + "…"
	}
	return line
}
