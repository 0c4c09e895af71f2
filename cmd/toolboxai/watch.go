package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

type watchCommand struct {
	remote
	ID string `arg:"" help:"The task's id."`
}

func (c *watchCommand) Run(ctx context.Context) error { return watch(ctx, c.remote, c.ID) }

// errNotCompleted ends a command with status 1 after everything has been said.
var errNotCompleted = errors.New("the task did not complete")

// told is an event as the API tells it.
type told struct {
	Seq    uint64          `json:"seq"`
	Type   events.Type     `json:"type"`
	Source string          `json:"source"`
	Time   time.Time       `json:"time"`
	Data   json.RawMessage `json:"data"`
}

// watch prints a task's events as they come, and its result when it ends: a live line on a terminal, a line for each event
// elsewhere. It returns errNotCompleted when the task ends otherwise than completed.
func watch(ctx context.Context, r remote, id string) error {
	screen := newScreen(os.Stdout)
	err := r.follow(ctx, id, func(f frame) error {
		if r.JSON {
			fmt.Println(string(f.data))
			return nil
		}
		var e told
		if err := json.Unmarshal(f.data, &e); err != nil {
			return fmt.Errorf("an event that cannot be read: %w", err)
		}
		screen.show(e)
		return nil
	})
	screen.end()
	if err != nil {
		return err
	}
	var t task.Task
	if err := r.call(ctx, "GET", "/tasks/"+id, nil, nil, &t); err != nil {
		return err
	}
	if !r.JSON {
		if err := printTask(t); err != nil {
			return err
		}
	}
	if t.State != task.Completed {
		return errNotCompleted
	}
	return nil
}

// screen shows what a task is doing.
type screen struct {
	out      *os.File
	terminal bool
	open     bool // a live line stands without its end
}

func newScreen(out *os.File) *screen {
	return &screen{out: out, terminal: isTerminal(out)}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

const barWidth = 24

func (s *screen) show(e told) {
	if e.Type == events.TypeText { // the raw words of a model; --json has them
		return
	}
	if e.Type == events.TypeProgress {
		var p events.Progress
		if json.Unmarshal(e.Data, &p) != nil {
			return
		}
		s.bar(e.Time, p.Percent, p.Message)
		return
	}
	s.end()
	fmt.Fprintf(s.out, "%s  %s%s\n", e.Time.Local().Format(time.TimeOnly), named(e), describe(e))
	for _, line := range called(e) {
		fmt.Fprintf(s.out, "%10s%s\n", "", line)
	}
}

// called says which tools of MCP servers a model had called, a line for each.
func called(e told) (lines []string) {
	var p struct {
		Tools []events.ToolCall `json:"tools"`
	}
	if json.Unmarshal(e.Data, &p) != nil {
		return nil
	}
	for _, c := range p.Tools {
		why := ""
		if c.Reason != "" {
			why = " (" + c.Reason + ")"
		}
		lines = append(lines, shown(fmt.Sprintf("tool %s/%s %s%s, %d ms, %d bytes sent, %d received", c.Server, c.Tool, c.Outcome, why, c.DurationMS, c.ArgumentBytes, c.ResultBytes)))
	}
	return lines
}

// bar shows how far something has come: in place on a terminal, as a line elsewhere.
func (s *screen) bar(at time.Time, percent float64, message string) {
	if !s.terminal {
		fmt.Fprintf(s.out, "%s  %3.0f %%  %s\n", at.Local().Format(time.TimeOnly), percent, message)
		return
	}
	full := int(percent / 100 * barWidth)
	fmt.Fprintf(s.out, "\r\033[K[%s%s] %3.0f %%  %s", strings.Repeat("█", full), strings.Repeat("░", barWidth-full), percent, firstLine(message))
	s.open = true
}

func (s *screen) end() {
	if s.open {
		fmt.Fprint(s.out, "\r\033[K")
		s.open = false
	}
}

// named says in a word what happened: a task that goes on, or that an admin sent again, is queued on the log as a new one is.
func named(e told) string {
	var p events.Queued
	if e.Type == events.TypeQueued && json.Unmarshal(e.Data, &p) == nil {
		switch {
		case p.Resume != nil:
			return "resumed"
		case p.Replay != nil:
			return "replayed"
		}
	}
	return strings.TrimPrefix(string(e.Type), "task.")
}

// describe says the one thing about an event that a person wants to know.
func describe(e told) string {
	var p struct {
		Attempt   int            `json:"attempt"`
		Worker    string         `json:"worker"`
		Name      string         `json:"name"`
		Took      int            `json:"duration_ms"`
		Cause     events.Cause   `json:"cause"`
		Error     string         `json:"error"`
		NextAt    *time.Time     `json:"next_at"`
		NotBefore *time.Time     `json:"not_before"`
		Message   string         `json:"message"`
		Until     *time.Time     `json:"until"`
		By        string         `json:"by"`
		Reason    string         `json:"reason"`
		Replay    *events.Replay `json:"replay"`
		Resume    *events.Resume `json:"resume"`
	}
	if json.Unmarshal(e.Data, &p) != nil {
		return ""
	}
	switch e.Type {
	case events.TypeQueued:
		switch {
		case p.Resume != nil:
			return because(p.Resume.Why)
		case p.Replay != nil:
			return "  by " + p.Replay.By + because(p.Replay.Reason)
		case p.NotBefore != nil:
			return "  not before " + moment(p.NotBefore)
		}
	case events.TypeStarted:
		return fmt.Sprintf("  attempt %d on %s", p.Attempt, p.Worker)
	case events.TypeStep:
		return fmt.Sprintf("  %s (%d ms)", p.Name, p.Took)
	case events.TypeRetrying:
		return fmt.Sprintf("  %s: %s; next attempt at %s", p.Cause, firstLine(p.Error), p.NextAt.Local().Format(time.TimeOnly))
	case events.TypeWaiting:
		if p.Until != nil {
			return fmt.Sprintf("%s; until %s at the latest", because(p.Message), moment(p.Until))
		}
		return because(p.Message)
	case events.TypeSignalled:
		return "  " + p.Name + " by " + p.By
	case events.TypeFailed:
		return fmt.Sprintf("  %s: %s", p.Cause, firstLine(p.Error))
	case events.TypeCancelled, events.TypeDiscarded:
		return "  by " + p.By + because(p.Reason)
	}
	return ""
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return "  " + firstLine(why)
}
