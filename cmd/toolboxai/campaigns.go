package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/task"
)

type campaignsCommand struct {
	Plan  campaignPlanCommand  `cmd:"" help:"Say what a campaign would do, and do nothing."`
	Start campaignStartCommand `cmd:"" help:"Replay or discard dead letters, or cancel open tasks, in the background: slowly, a few first."`
	List  campaignListCommand  `cmd:"" help:"List campaigns, newest first."`
	Show  campaignShowCommand  `cmd:"" help:"Show how far one has come."`
	Stop  campaignStopCommand  `cmd:"" help:"Do nothing more; what was replayed goes on."`
	Watch campaignWatchCommand `cmd:"" help:"Follow one until it ends; exit with 1 when not all of it succeeded."`
}

// campaignRequest is a campaign as the command line says it.
type campaignRequest struct {
	Action      string            `arg:"" enum:"replay,discard,cancel" help:"replay or discard dead letters, or cancel open tasks."`
	Fingerprint string            `help:"Filter: with this fingerprint of the error; 'incidents' lists them."`
	Kind        []string          `help:"Filter: of this kind; repeatable."`
	Cause       []events.Cause    `help:"Filter: failed by this cause; repeatable."`
	State       []task.State      `help:"Filter of a cancellation: in this state: queued, running, retrying or waiting; repeatable."`
	Search      string            `help:"Filter: with these words in the error."`
	User        string            `help:"Filter: of this user."`
	Label       map[string]string `help:"Filter: with this label, as name=value; repeatable."`
	Since       time.Duration     `help:"Filter: submitted within this long."`
	All         bool              `help:"Filter: every one."`
	Edit        string            `help:"JSON merge patch (RFC 7386) for the input of each replayed task."`
	Canary      int               `help:"Replay so many first, and the others only when these completed; 0 to 100."`
	Rate        int               `help:"So many a minute (default: 60)."`
	Max         int               `help:"At most so many (default: 1000)."`
	Reason      string            `help:"Why; it stands in the history of each task."`
}

// read returns the request as the API takes it.
func (c *campaignRequest) read() (campaign.Request, error) {
	filtered := c.Fingerprint != "" || len(c.Kind) > 0 || len(c.Cause) > 0 || len(c.State) > 0 || c.Search != "" || c.User != "" || len(c.Label) > 0 || c.Since > 0
	switch {
	case c.All && filtered:
		return campaign.Request{}, &usageError{errors.New("--all is every one: leave it out, or the other filters")}
	case !c.All && !filtered:
		return campaign.Request{}, &usageError{errors.New("which ones? Give --fingerprint ('toolboxai incidents' lists them), another filter, or --all")}
	case c.Edit != "" && !json.Valid([]byte(c.Edit)):
		return campaign.Request{}, &usageError{errors.New("--edit: is not valid JSON")}
	}
	r := campaign.Request{
		Action: campaign.Action(c.Action), Canary: c.Canary, Rate: c.Rate, Max: c.Max, Reason: c.Reason,
		Filter: campaign.Filter{
			Kinds: c.Kind, States: c.State, Causes: c.Cause, Fingerprint: c.Fingerprint, Search: c.Search, UserID: c.User, Labels: c.Label,
		},
	}
	if r.Rate == 0 {
		r.Rate = campaign.DefaultRate
	}
	if r.Max == 0 {
		r.Max = campaign.DefaultTasks
	}
	if c.Edit != "" {
		r.Edit = json.RawMessage(c.Edit)
	}
	if c.Since > 0 {
		after := time.Now().Add(-c.Since).UTC()
		r.Filter.CreatedAfter = &after
	}
	return r, nil
}

type campaignPlanCommand struct {
	remote
	campaignRequest
}

func (c *campaignPlanCommand) Run(ctx context.Context) error {
	r, err := c.read()
	if err != nil {
		return err
	}
	if r.Reason == "" {
		r.Reason = "plan" // nothing is done for which it would be the reason
	}
	var p campaign.Plan
	if err := c.call(ctx, "POST", "/admin/campaigns/plan", nil, r, &p); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p)
	}
	if err := printPlan(r, p); err != nil || p.Matched > 0 {
		return err
	}
	return errNotCompleted
}

// printPlan says what a campaign would do, and shows some of the tasks.
func printPlan(r campaign.Request, p campaign.Plan) error {
	matched := fmt.Sprint(p.Matched)
	if p.More {
		matched = "more than " + matched
	}
	acts := min(p.Matched, r.Max)
	fmt.Printf("%s match; start would %s %d of them", matched, r.Action, acts)
	if acts > 0 {
		fmt.Printf(", the last one after %s at the earliest", (time.Duration(acts-1) * time.Minute / time.Duration(r.Rate)).Round(time.Second))
	}
	fmt.Println()
	if p.Stale {
		fmt.Printf("as of %s: newer ones may be missing\n", moment(&p.AsOf))
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, s := range p.Sample {
		why := string(s.Task.State)
		if s.Task.Failure != nil {
			why = string(s.Task.Failure.Cause) + ": " + firstLine(s.Task.Failure.Error)
		}
		for _, d := range s.Problem {
			why = fmt.Sprintf("the edit does not fit: %s %s", d.Field, d.Reason)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Task.ID, s.Task.Kind, moment(&s.Task.CreatedAt), why)
		if s.Input != nil {
			fmt.Fprintf(w, "\tinput\t\t%s\n", firstLine(string(s.Input)))
		}
	}
	return w.Flush()
}

type campaignStartCommand struct {
	remote
	campaignRequest
	Key  string `help:"Idempotency-Key: repeating the command with it starts nothing new."`
	Wait bool   `help:"Follow it; exit with 1 when not all of it succeeded." short:"w"`
}

func (c *campaignStartCommand) Run(ctx context.Context) error {
	if c.Key != "" && c.Since != 0 {
		return &usageError{errors.New("--key excludes --since: it counts from now, so that repeating the command would ask for something else under the same key")}
	}
	r, err := c.read()
	if err != nil {
		return err
	}
	if r.Reason == "" {
		return &usageError{errors.New("--reason: why? It stands in the history of each task")}
	}
	header := map[string]string{}
	if c.Key != "" {
		header["Idempotency-Key"] = c.Key
	}
	var made campaign.Campaign
	if err := c.call(ctx, "POST", "/admin/campaigns", header, r, &made); err != nil {
		return err
	}
	if c.Wait {
		return watchCampaign(ctx, c.remote, made.ID)
	}
	if c.JSON {
		return printJSON(made)
	}
	fmt.Printf("campaign %s is %s: %d to %s\nfollow it:  toolboxai campaigns watch %s\n", made.ID, made.State, made.Counts.Remaining, made.Action, made.ID)
	return nil
}

type campaignListCommand struct{ remote }

func (c *campaignListCommand) Run(ctx context.Context) error {
	var page struct {
		Campaigns []campaign.Campaign `json:"campaigns"`
	}
	if err := c.call(ctx, "GET", "/admin/campaigns", nil, nil, &page); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(page)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CAMPAIGN\tACTION\tSTATE\tDONE\tSUCCEEDED\tFAILED\tBY\tCREATED\tREASON")
	for _, p := range page.Campaigns {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d/%d\t%d\t%d\t%s\t%s\t%s\n", p.ID, p.Action, p.State, p.Counts.Matched-p.Counts.Remaining, p.Counts.Matched,
			p.Counts.Succeeded, p.Counts.Failed, p.By, moment(&p.CreatedAt), firstLine(p.Reason))
	}
	return w.Flush()
}

type campaignShowCommand struct {
	remote
	ID string `arg:"" help:"The campaign's id."`
}

func (c *campaignShowCommand) Run(ctx context.Context) error {
	found, err := c.campaign(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(found)
	}
	return printCampaign(found)
}

func (r remote) campaign(ctx context.Context, id string) (campaign.Campaign, error) {
	var c campaign.Campaign
	err := r.call(ctx, "GET", "/admin/campaigns/"+url.PathEscape(id), nil, nil, &c)
	return c, err
}

type campaignStopCommand struct {
	remote
	ID     string `arg:"" help:"The campaign's id."`
	Reason string `help:"Why; it goes on record."`
}

func (c *campaignStopCommand) Run(ctx context.Context) error {
	body := map[string]string{}
	if c.Reason != "" {
		body["reason"] = c.Reason
	}
	var stopped campaign.Campaign
	if err := c.call(ctx, "POST", "/admin/campaigns/"+url.PathEscape(c.ID)+"/stop", nil, body, &stopped); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(stopped)
	}
	fmt.Printf("campaign %s is %s: %d of %d tasks were not touched\n", stopped.ID, stopped.State, stopped.Counts.Remaining, stopped.Counts.Matched)
	return nil
}

func printCampaign(c campaign.Campaign) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("campaign", c.ID)
	row("action", string(c.Action))
	row("state", string(c.State))
	row("why", c.Why)
	row("by", c.By+": "+c.Reason)
	row("created", moment(&c.CreatedAt))
	if c.EndedAt != nil {
		row("ended", fmt.Sprintf("%s (after %s)", moment(c.EndedAt), c.EndedAt.Sub(c.CreatedAt).Round(time.Second)))
	}
	n := c.Counts
	row("tasks", fmt.Sprintf("%d matched, %d %s, %d skipped, %d refused, %d remain", n.Matched, n.Replayed, done(c.Action), n.Skipped, n.Refused, n.Remaining))
	if c.Action == campaign.Replay {
		open := n.Replayed - n.Succeeded - n.Failed - n.Unfollowed
		row("replays", fmt.Sprintf("%d succeeded, %d failed again, %d open, %d not followed", n.Succeeded, n.Failed, open, n.Unfollowed))
	}
	row("last error", c.LastError)
	return w.Flush()
}

// done says what became of a task on which a campaign acted.
func done(a campaign.Action) string {
	switch a {
	case campaign.Discard:
		return "discarded"
	case campaign.Cancel:
		return "cancelled"
	}
	return "replayed"
}
