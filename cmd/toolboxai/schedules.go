package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/toolboxai/orchestrator/internal/schedule"
)

type schedulesCommand struct {
	Create  scheduleCreateCommand  `cmd:"" help:"Submit a task again and again, by cron or at an interval."`
	List    scheduleListCommand    `cmd:"" help:"List schedules by name."`
	Show    scheduleShowCommand    `cmd:"" help:"Show a schedule, its next ticks, and what became of the last ones."`
	Preview schedulePreviewCommand `cmd:"" help:"Say when a schedule would tick, and make none."`
	Pause   schedulePauseCommand   `cmd:"" help:"Make no runs until it is resumed; what runs goes on."`
	Resume  scheduleResumeCommand  `cmd:"" help:"Let a paused schedule tick again."`
	Trigger scheduleTriggerCommand `cmd:"" help:"Run a schedule's task now, beside its ticks."`
	Delete  scheduleDeleteCommand  `cmd:"" help:"Delete a schedule; what runs goes on."`
}

type scheduleCreateCommand struct {
	remote
	definition
	Key string `help:"Idempotency-Key: repeating the command with it makes nothing new."`
}

func (c *scheduleCreateCommand) Run(ctx context.Context) error {
	d, err := c.read(ctx, c.remote)
	if err != nil {
		return err
	}
	header := map[string]string{}
	if c.Key != "" {
		header["Idempotency-Key"] = c.Key
	}
	var made schedule.Schedule
	if err := c.call(ctx, "POST", "/schedules", header, d, &made); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(made)
	}
	fmt.Printf("schedule %s makes a %s next at %s\nfollow it:  toolboxai schedules show %s\n", made.ID, made.Kind, moment(made.State.NextTick), made.ID)
	return nil
}

type scheduleListCommand struct{ remote }

func (c *scheduleListCommand) Run(ctx context.Context) error {
	var page struct {
		Schedules []schedule.Schedule `json:"schedules"`
	}
	if err := c.call(ctx, "GET", "/schedules", nil, nil, &page); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(page)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCHEDULE\tNAME\tKIND\tWHEN\tNEXT\tLAST\tMISSED\tNOTE")
	for _, s := range page.Schedules {
		last := "-"
		if n := len(s.State.Ticks); n > 0 {
			last = string(s.State.Ticks[n-1].Outcome)
		}
		note := firstLine(s.State.LastError)
		if s.Paused != nil {
			note = "paused by " + s.Paused.By + " " + s.Paused.Reason
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", s.ID, firstLine(s.Name), s.Kind, timing(s.Definition), moment(s.State.NextTick), last, s.State.Missed, note)
	}
	return w.Flush()
}

type scheduleShowCommand struct {
	remote
	ID    string `arg:"" help:"The schedule's id."`
	Ticks int    `help:"How many of the next ticks." default:"3"`
}

// shownSchedule is a schedule with its next ticks.
type shownSchedule struct {
	schedule.Schedule
	Next []time.Time `json:"next_ticks"`
}

func (c *scheduleShowCommand) Run(ctx context.Context) error {
	var s shownSchedule
	if err := c.call(ctx, "GET", "/schedules/"+url.PathEscape(c.ID), nil, nil, &s.Schedule); err != nil {
		return err
	}
	var ahead ticks
	if err := c.call(ctx, "GET", "/schedules/"+url.PathEscape(c.ID)+"/ticks?count="+strconv.Itoa(c.Ticks), nil, nil, &ahead); err != nil {
		return err
	}
	s.Next = ahead.Ticks
	if c.JSON {
		return printJSON(s)
	}
	return s.print()
}

func (s shownSchedule) print() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("schedule", s.ID)
	row("name", s.Name)
	row("kind", s.Kind)
	row("when", timing(s.Definition))
	row("overlap", string(s.Overlap))
	if s.Paused != nil {
		row("paused", fmt.Sprintf("by %s since %s %s", s.Paused.By, moment(&s.Paused.Since), s.Paused.Reason))
	}
	for _, tick := range s.Next {
		row("next", moment(&tick))
	}
	if s.State.Missed > 0 {
		row("missed", fmt.Sprintf("%d ticks that nobody could serve", s.State.Missed))
	}
	if s.State.LastError != "" {
		row("last error", fmt.Sprintf("%s: %s", moment(&s.State.LastErrorAt), s.State.LastError))
	}
	if err := w.Flush(); err != nil || len(s.State.Ticks) == 0 {
		return err
	}
	fmt.Fprintln(w, "\nTICK\tOUTCOME\tTASK\tNOTE")
	for _, t := range s.State.Ticks {
		note := t.Detail
		switch {
		case t.By != "":
			note = "triggered by " + t.By + " " + note
		case t.Count > 1:
			note = fmt.Sprintf("%d in a row %s", t.Count, note)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", moment(&t.At), t.Outcome, t.TaskID, firstLine(strings.TrimSpace(note)))
	}
	return w.Flush()
}

type schedulePreviewCommand struct {
	remote
	definition
	Ticks int `help:"How many ticks." default:"10"`
}

// ticks is when a schedule ticks.
type ticks struct {
	Ticks []time.Time `json:"ticks"`
}

func (c *schedulePreviewCommand) Run(ctx context.Context) error {
	d, err := c.read(ctx, c.remote)
	if err != nil {
		return err
	}
	var ahead ticks
	if err := c.call(ctx, "POST", "/schedules/preview?count="+strconv.Itoa(c.Ticks), nil, d, &ahead); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(ahead)
	}
	zone, err := time.LoadLocation(d.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	for _, tick := range ahead.Ticks {
		fmt.Println(tick.In(zone).Format("Mon 2006-01-02 15:04:05 MST"))
	}
	return nil
}

type schedulePauseCommand struct {
	remote
	ID     string `arg:"" help:"The schedule's id."`
	Reason string `help:"Why; 'schedules show' tells."`
}

func (c *schedulePauseCommand) Run(ctx context.Context) error {
	body := map[string]string{}
	if c.Reason != "" {
		body["reason"] = c.Reason
	}
	return c.changeSchedule(ctx, "POST", c.ID, "/pause", body, "makes no runs until it is resumed")
}

type scheduleResumeCommand struct {
	remote
	ID string `arg:"" help:"The schedule's id."`
}

func (c *scheduleResumeCommand) Run(ctx context.Context) error {
	return c.changeSchedule(ctx, "POST", c.ID, "/resume", nil, "ticks again")
}

type scheduleDeleteCommand struct {
	remote
	ID string `arg:"" help:"The schedule's id."`
}

func (c *scheduleDeleteCommand) Run(ctx context.Context) error {
	return c.changeSchedule(ctx, "DELETE", c.ID, "", nil, "is deleted")
}

// changeSchedule sends a change and says what it means, or prints the schedule as JSON.
func (r remote) changeSchedule(ctx context.Context, method, id, path string, body any, means string) error {
	var s schedule.Schedule
	if err := r.call(ctx, method, "/schedules/"+url.PathEscape(id)+path, nil, body, &s); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(s)
	}
	fmt.Printf("schedule %s (%s) %s\n", s.ID, firstLine(s.Name), means)
	return nil
}

type scheduleTriggerCommand struct {
	remote
	ID   string `arg:"" help:"The schedule's id."`
	Key  string `help:"Idempotency-Key: repeating the command with it runs nothing new."`
	Wait bool   `help:"Follow the task; exit with 1 when it does not complete." short:"w"`
}

func (c *scheduleTriggerCommand) Run(ctx context.Context) error {
	header := map[string]string{}
	if c.Key != "" {
		header["Idempotency-Key"] = c.Key
	}
	var run struct {
		TaskID string `json:"task_id"`
		URL    string `json:"url"`
	}
	if err := c.call(ctx, "POST", "/schedules/"+url.PathEscape(c.ID)+"/trigger", header, nil, &run); err != nil {
		return err
	}
	if c.Wait {
		return watch(ctx, c.remote, run.TaskID)
	}
	if c.JSON {
		return printJSON(run)
	}
	fmt.Printf("task %s is queued\nfollow it:  toolboxai tasks watch %s\n", run.TaskID, run.TaskID)
	return nil
}

// timing says when a schedule ticks, in a few words.
func timing(d schedule.Definition) string {
	if d.Cron == "" {
		return "every " + time.Duration(d.Every).String()
	}
	if d.TimeZone != "" {
		return d.Cron + " " + d.TimeZone
	}
	return d.Cron + " UTC"
}

// moment prints a time as the clocks here show it.
func moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}
