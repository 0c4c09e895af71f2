package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

type agentsCommand struct {
	Status  agentStatusCommand  `cmd:"" help:"List the workers that are alive."`
	Metrics agentMetricsCommand `cmd:"" help:"Say how each kind is doing: what waits, what runs, how fast."`
	Pause   pauseCommand        `cmd:"" help:"Keep tasks of a kind from beginning."`
	Resume  resumeCommand       `cmd:"" help:"Let tasks of a paused kind begin again."`
}

type agentStatusCommand struct{ remote }

// fleet is the answer to agents status.
type fleet struct {
	Slots   int `json:"slots"`
	Busy    int `json:"busy"`
	Workers []struct {
		Name      string            `json:"name"`
		State     string            `json:"state"`
		Build     string            `json:"build"`
		StartedAt time.Time         `json:"started_at"`
		Slots     int               `json:"slots"`
		Busy      int               `json:"busy"`
		Kinds     []task.WorkerKind `json:"kinds"`
	} `json:"workers"`
}

func (c *agentStatusCommand) Run(ctx context.Context) error {
	var f fleet
	if err := c.call(ctx, "GET", "/agents/status", nil, nil, &f); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(f)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WORKER\tSTATE\tBUSY\tUP\tBUILD\tKINDS")
	for _, worker := range f.Workers {
		names := make([]string, len(worker.Kinds))
		for i, k := range worker.Kinds {
			names[i] = k.Kind
		}
		fmt.Fprintf(w, "%s\t%s\t%d/%d\t%s\t%s\t%s\n", worker.Name, worker.State, worker.Busy, worker.Slots,
			time.Since(worker.StartedAt).Round(time.Second), worker.Build, strings.Join(names, ","))
	}
	return w.Flush()
}

type agentMetricsCommand struct{ remote }

// kindMetrics is the answer to agents metrics.
type kindMetrics struct {
	Dispatcher bool `json:"dispatcher"`
	Kinds      []struct {
		Kind        string  `json:"kind"`
		Load        float64 `json:"load"`
		Pending     int     `json:"pending"`
		Held        int     `json:"held"`
		Later       int     `json:"later"`
		Running     int     `json:"running"`
		OldestAge   float64 `json:"oldest_age_seconds"`
		Slots       int     `json:"slots"`
		Workers     int     `json:"workers"`
		Completed   uint64  `json:"completed"`
		Failed      uint64  `json:"failed"`
		Retried     uint64  `json:"retried"`
		SuccessRate float64 `json:"success_rate"`
		PerMinute   float64 `json:"per_minute"`
		P50MS       float64 `json:"p50_ms"`
		P95MS       float64 `json:"p95_ms"`
	} `json:"kinds"`
}

func (c *agentMetricsCommand) Run(ctx context.Context) error {
	var m kindMetrics
	if err := c.call(ctx, "GET", "/agents/metrics", nil, nil, &m); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(m)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tLOAD\tPENDING\tHELD\tLATER\tRUNNING\tOLDEST\tSLOTS\tDONE\tFAILED\tSUCCESS\tPER MIN\tP50\tP95")
	for _, k := range m.Kinds {
		fmt.Fprintf(w, "%s\t%.0f\t%d\t%d\t%d\t%d\t%.0fs\t%d\t%d\t%d\t%.0f%%\t%.1f\t%.0fms\t%.0fms\n", k.Kind, k.Load, k.Pending, k.Held, k.Later, k.Running,
			k.OldestAge, k.Slots, k.Completed, k.Failed, 100*k.SuccessRate, k.PerMinute, k.P50MS, k.P95MS)
	}
	if err := w.Flush(); err != nil || m.Dispatcher {
		return err
	}
	fmt.Println("no dispatcher answers: what waits and runs is not known")
	return nil
}

type pauseCommand struct {
	remote
	Kind   string `arg:"" help:"The kind, by name or alias."`
	Reason string `help:"Why; whoever asks why a task waits is told."`
}

func (c *pauseCommand) Run(ctx context.Context) error {
	body := map[string]string{}
	if c.Reason != "" {
		body["reason"] = c.Reason
	}
	return c.decide(ctx, "/admin/agents/"+url.PathEscape(c.Kind)+"/pause", body, "no task of kind "+c.Kind+" begins until it is resumed")
}

type resumeCommand struct {
	remote
	Kind string `arg:"" help:"The kind, by name or alias."`
}

func (c *resumeCommand) Run(ctx context.Context) error {
	return c.decide(ctx, "/admin/agents/"+url.PathEscape(c.Kind)+"/resume", nil, "tasks of kind "+c.Kind+" begin again")
}

// decide posts a change of the policy and says what it means, or prints the policy as JSON.
func (r remote) decide(ctx context.Context, path string, body any, means string) error {
	var p policy.Policy
	if err := r.call(ctx, "POST", path, nil, body, &p); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(p)
	}
	fmt.Println(means)
	return nil
}
