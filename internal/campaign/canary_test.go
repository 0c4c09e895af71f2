package campaign_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/campaign"
)

func TestRunner_CanaryComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(20, events.CauseBug, "x")
		defer p.run()()
		c := p.begin(func(r *campaign.Request) { r.Canary = 3 })
		after(time.Minute)
		got := p.get(c.ID)
		if got.State != campaign.Canary || got.Counts.Replayed != 3 || len(got.Canaries) != 3 {
			t.Fatalf("before the canaries end: %s %+v", got.State, got.Counts)
		}
		defer p.worker(always)()
		after(time.Minute)
		if got = p.get(c.ID); got.State != campaign.Done || got.Counts.Succeeded != 20 {
			t.Errorf("after the canaries: %s %+v", got.State, got.Counts)
		}
	})
}

func TestRunner_CanaryThatFailsEndsTheCampaign(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(20, events.CauseBug, "x")
		defer p.run()()
		defer p.worker(func(id string) bool { return id != "task-00018" })()
		c := p.begin(func(r *campaign.Request) { r.Canary = 3 })
		after(time.Minute)
		got := p.get(c.ID)
		if got.State != campaign.Failed || got.Counts.Replayed != 3 || got.EndedAt == nil {
			t.Fatalf("%s %+v", got.State, got.Counts)
		}
		if want := "canary: task task-00018 failed again: bug: it broke again"; got.Why != want {
			t.Errorf("why %q, want %q", got.Why, want)
		}
		if n := len(p.replays()); n != 3 {
			t.Errorf("%d tasks were replayed, want the canaries", n)
		}
	})
}

func TestRunner_CanaryThatNeverEndsFailsTheCampaign(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(5, events.CauseBug, "x")
		defer p.run()()
		c := p.begin(func(r *campaign.Request) { r.Canary = 1 })
		after(campaign.FollowFor + time.Minute)
		if got := p.get(c.ID); got.State != campaign.Failed || !strings.Contains(got.Why, "had not ended after 1h0m0s") || got.Counts.Unfollowed != 1 {
			t.Errorf("%s (%s) %+v", got.State, got.Why, got.Counts)
		}
	})
}
