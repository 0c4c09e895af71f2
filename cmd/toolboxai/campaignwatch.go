package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/toolboxai/orchestrator/internal/campaign"
)

type campaignWatchCommand struct {
	remote
	ID string `arg:"" help:"The campaign's id."`
}

func (c *campaignWatchCommand) Run(ctx context.Context) error {
	return watchCampaign(ctx, c.remote, c.ID)
}

// lookEvery is how often a campaign that is watched is read.
const lookEvery = 500 * time.Millisecond

// watchCampaign shows how far a campaign has come until it ends: a live line on a terminal, a line for each change elsewhere. It
// returns errNotCompleted when not all of it succeeded. An API that is away for a moment is asked again.
func watchCampaign(ctx context.Context, r remote, id string) error {
	screen := newScreen(os.Stdout)
	defer screen.end()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last campaign.Campaign
	for failures := 0; ; {
		c, err := r.campaign(ctx, id)
		var refused *refusedError
		switch {
		case err == nil:
			failures = 0
			if c.State != last.State || c.Counts != last.Counts {
				if r.JSON {
					if err := printJSON(c); err != nil {
						return err
					}
				} else {
					screen.showCampaign(c)
				}
			}
			if last = c; c.State.Ended() {
				screen.end()
				return summary(r, c)
			}
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &refused), last.ID == "", failures >= reconnects:
			return err
		default:
			failures++
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func summary(r remote, c campaign.Campaign) error {
	if !r.JSON {
		if err := printCampaign(c); err != nil {
			return err
		}
	}
	if n := c.Counts; c.State != campaign.Done || n.Failed+n.Refused+n.Unfollowed > 0 {
		return errNotCompleted
	}
	return nil
}

func (s *screen) showCampaign(c campaign.Campaign) {
	n := c.Counts
	percent := 100.0
	if n.Matched > 0 {
		percent = 100 * float64(n.Matched-n.Remaining) / float64(n.Matched)
	}
	says := fmt.Sprintf("%d of %d %s, %d succeeded, %d failed again", n.Replayed, n.Matched, done(c.Action), n.Succeeded, n.Failed)
	if c.Action != campaign.Replay {
		says = fmt.Sprintf("%d of %d %s", n.Replayed, n.Matched, done(c.Action))
	}
	if n.Skipped+n.Refused > 0 {
		says += fmt.Sprintf(", %d skipped, %d refused", n.Skipped, n.Refused)
	}
	s.bar(time.Now(), percent, fmt.Sprintf("%-7s  %s", c.State, says))
}
