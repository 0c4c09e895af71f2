package main

import (
	"context"
	"errors"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/schedule"
)

// definition is a schedule as the command line says it.
type definition struct {
	Kind     string            `arg:"" help:"Kind of the tasks: content, quiz, terrain, script, code_review, roblox_asset, roblox_testing, roblox_analytics."`
	Cron     string            `help:"When: 5 fields, or 6 with the second first, or an alias such as @daily."`
	Every    time.Duration     `help:"When: every so long, such as 90s or 1h30m; 10s at least."`
	Zone     string            `help:"Whose clocks --cron is read on, such as Europe/Berlin (default: UTC)."`
	Name     string            `help:"What people call it (default: the kind)."`
	Input    string            `help:"Input of each task as JSON, @FILE, or - for standard input; the kind's example when left out." short:"i"`
	Priority string            `help:"low, normal or high." default:"normal" enum:"low,normal,high"`
	Label    map[string]string `help:"Label of each task, as name=value; repeatable."`
	From     *time.Time        `help:"No tick before: RFC 3339."`
	Until    *time.Time        `help:"No tick after: RFC 3339."`
	Overlap  string            `help:"While an earlier run has not ended: skip, queue or cancel_previous." default:"skip" enum:"skip,queue,cancel_previous"`
	Backfill int               `help:"How many missed ticks are run after an outage, the newest ones."`
	Jitter   time.Duration     `help:"Spread the ticks of many schedules over so long; always the same for one."`
	Deadline time.Duration     `help:"A run fails when it is not finished after this long."`
	QueueTTL time.Duration     `name:"queue-ttl" help:"A run fails when no worker has begun it after this long."`
	Timeout  time.Duration     `help:"Of one attempt."`
}

// read returns the definition as the API takes it.
func (d *definition) read(ctx context.Context, r remote) (schedule.Definition, error) {
	if (d.Cron == "") == (d.Every == 0) {
		return schedule.Definition{}, &usageError{errors.New("when? Give --cron or --every, such as --cron '0 8 * * 1-5' --zone Europe/Berlin, or --every 1h")}
	}
	if d.Zone != "" && d.Cron == "" {
		return schedule.Definition{}, &usageError{errors.New("--zone is for --cron: an interval knows no clocks")}
	}
	input, err := r.input(ctx, d.Kind, d.Input)
	if err != nil {
		return schedule.Definition{}, err
	}
	name := d.Name
	if name == "" {
		name = d.Kind
	}
	return schedule.Definition{
		Name: name, Kind: d.Kind, Input: input, Priority: events.Lane(d.Priority), Labels: d.Label,
		Cron: d.Cron, Every: schedule.Duration(d.Every), TimeZone: d.Zone, StartAt: d.From, EndAt: d.Until,
		Overlap: schedule.Overlap(d.Overlap), Backfill: d.Backfill, Jitter: schedule.Duration(d.Jitter),
		Deadline: schedule.Duration(d.Deadline), QueueTTL: schedule.Duration(d.QueueTTL), Timeout: schedule.Duration(d.Timeout),
	}, nil
}
