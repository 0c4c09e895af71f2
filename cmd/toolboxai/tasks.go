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
	Submit submitCommand `cmd:"" help:"Submit a task."`
	Get    getCommand    `cmd:"" help:"Show a task with its result."`
	List   listCommand   `cmd:"" help:"List tasks, newest first."`
	Watch  watchCommand  `cmd:"" help:"Follow a task until it ends."`
	Cancel cancelCommand `cmd:"" help:"Withdraw a task that is not finished."`
}

// submitted is the answer to a submission.
type submitted struct {
	Task     task.Task `json:"task"`
	URL      string    `json:"url"`
	Channels []string  `json:"channels"`
}

type submitCommand struct {
	remote
	Kind     string            `arg:"" help:"Kind of the task: content, quiz, terrain, script."`
	Input    string            `help:"Input as JSON, @FILE, or - for standard input; the kind's example when left out." short:"i"`
	Priority string            `help:"low, normal or high." default:"normal"`
	Key      string            `help:"Idempotency-Key: repeating the command with it submits nothing new."`
	Label    map[string]string `help:"Label, as name=value; repeatable."`
	Deadline time.Duration     `help:"The task fails when it is not finished after this long."`
	Wait     bool              `help:"Follow the task; exit with 1 when it does not complete." short:"w"`
}

func (c *submitCommand) Run(ctx context.Context) error {
	if c.Key != "" && c.Deadline != 0 {
		return &usageError{errors.New("--key and --deadline exclude each other: the deadline counts from now, so that repeating the command would ask for something else under the same key")}
	}
	input, err := c.input(ctx)
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

func (c *submitCommand) input(ctx context.Context) (json.RawMessage, error) {
	var data []byte
	var err error
	switch {
	case c.Input == "":
		var kind struct {
			Example json.RawMessage `json:"example"`
		}
		err = c.call(ctx, "GET", "/agents/"+url.PathEscape(c.Kind), nil, nil, &kind)
		data = kind.Example
	case c.Input == "-":
		data, err = io.ReadAll(io.LimitReader(os.Stdin, task.MaxInput+1))
	case strings.HasPrefix(c.Input, "@"):
		data, err = os.ReadFile(c.Input[1:])
	default:
		data = []byte(c.Input)
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
		if t.Failure != nil {
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

type cancelCommand struct {
	remote
	ID     string `arg:"" help:"The task's id."`
	Reason string `help:"Why; it goes on record."`
}

func (c *cancelCommand) Run(ctx context.Context) error {
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
	row("attempt", fmt.Sprintf("%d of dispatch %d", t.Attempt, t.Dispatch))
	row("created", t.CreatedAt.Local().Format(time.DateTime))
	if t.FinishedAt != nil {
		row("finished", fmt.Sprintf("%s (after %s)", t.FinishedAt.Local().Format(time.DateTime), t.FinishedAt.Sub(t.CreatedAt).Round(time.Millisecond)))
	}
	if t.Provenance != nil {
		row("by", t.Provenance.GeneratedBy)
	}
	if t.Usage != nil {
		row("usage", fmt.Sprintf("%d calls, %d + %d tokens%s", t.Usage.Calls, t.Usage.InputTokens, t.Usage.OutputTokens, cost(t)))
	}
	if t.Failure != nil {
		row("why", string(t.Failure.Cause)+": "+t.Failure.Error)
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

func cost(t task.Task) string {
	if !t.Usage.CostKnown {
		return ""
	}
	return fmt.Sprintf(", %.4f USD", t.Usage.CostUSD)
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
