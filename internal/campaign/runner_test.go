package campaign_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestRunner_ReplaysWhatMatchesAndFollowsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(5, events.CauseProvider, "429 from the model")
		p.seed(3, events.CauseBug, "nil map")
		defer p.run()()
		defer p.worker(func(id string) bool { return id != "task-00002" })()
		c := p.begin(func(r *campaign.Request) { r.Filter.Causes = []events.Cause{events.CauseProvider} })
		if c.State != campaign.Planned || c.Counts.Matched != 5 {
			t.Fatalf("started as %+v", c)
		}
		after(time.Minute)
		got := p.get(c.ID)
		want := campaign.Counts{Matched: 5, Replayed: 5, Succeeded: 4, Failed: 1}
		if diff := cmp.Diff(want, got.Counts); diff != "" || got.State != campaign.Done || got.EndedAt == nil {
			t.Errorf("%s; counts (-want +got):\n%s", got.State, diff)
		}
		if !strings.Contains(got.LastError, "task task-00002 failed again: bug: it broke again") {
			t.Errorf("last error %q", got.LastError)
		}
		one, err := p.tasks.Get(t.Context(), "school", "task-00000")
		if err != nil {
			t.Fatal(err)
		}
		if one.Replay.Campaign != c.ID || one.Replay.By != "ada" || one.Replay.Reason != "the provider is back" || one.Replay.Edited {
			t.Errorf("replay %+v", one.Replay)
		}
	})
}

// What fails again is a dead letter that matches again, and is left alone by the same campaign.
func TestRunner_DoesNotLoopOverWhatFailsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(250, events.CauseBug, "it broke again")
		defer p.run()()
		defer p.worker(never)()
		c := p.begin(func(r *campaign.Request) { r.Rate = 6000 })
		after(10 * time.Minute)
		got := p.get(c.ID)
		if want := (campaign.Counts{Matched: 250, Replayed: 250, Failed: 250}); got.State != campaign.Done || got.Counts != want {
			t.Errorf("%s %+v, want %+v", got.State, got.Counts, want)
		}
		for id, n := range p.replays() {
			if n != 1 {
				t.Errorf("task %s was replayed %d times", id, n)
			}
		}
	})
}

func TestRunner_KeepsItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(120, events.CauseBug, "x")
		defer p.run()()
		defer p.worker(always)()
		c := p.begin(func(r *campaign.Request) { r.Rate = 30 })
		after(3*time.Minute + time.Second)
		got := p.get(c.ID)
		if n := got.Counts.Replayed; n < 89 || n > 92 {
			t.Errorf("%d replays in three minutes at 30 a minute", n)
		}
		times := p.times()
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap < 2*time.Second {
				t.Fatalf("replay %d comes %s after the one before", i, gap)
			}
		}
		after(2 * time.Minute)
		if got = p.get(c.ID); got.State != campaign.Done || got.Counts.Succeeded != 120 {
			t.Errorf("in the end: %s %+v", got.State, got.Counts)
		}
	})
}

func TestRunner_StopsWithinASecondAndKeepsTheCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(500, events.CauseBug, "x")
		defer p.run()()
		c := p.begin(nil)
		after(10*time.Second + 50*time.Millisecond)
		stopped := time.Now()
		if _, err := p.service.Stop(t.Context(), "school", c.ID, "bob", "wrong filter"); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		times := p.times()
		if last := times[len(times)-1]; last.Sub(stopped) > time.Second {
			t.Errorf("a task was replayed %s after the stop", last.Sub(stopped))
		}
		got := p.get(c.ID)
		if got.State != campaign.Stopped || got.Why != "stopped by bob: wrong filter" {
			t.Errorf("%s: %s", got.State, got.Why)
		}
		if n := len(p.replays()); got.Counts.Replayed != n || n < 95 || n > 105 || got.Counts.Unfollowed != n || got.Counts.Remaining != 500-n {
			t.Errorf("%d tasks were replayed, counts %+v", n, got.Counts)
		}
		again, err := p.service.Stop(t.Context(), "school", c.ID, "eve", "me too")
		if err != nil || again.Why != got.Why {
			t.Errorf("a second stop: %s: %v", again.Why, err)
		}
	})
}

func TestRunner_SavesItsCountsEverySecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(200, events.CauseBug, "x")
		defer p.run()()
		c := p.begin(nil)
		before := 0
		for range 10 {
			after(2 * time.Second)
			n := p.get(c.ID).Counts.Replayed
			if n-before < 9 {
				t.Fatalf("%d replays are counted after %d", n, before)
			}
			before = n
		}
	})
}

func TestRunner_EditsInputsAndRefusesThoseThatItMakesInvalid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		// Behind the sample there is an input of before the kind had its schema, which no edit of the level mends.
		p.seedInput("task-old", `{"topic":"Art","level":3}`)
		p.seed(12, events.CauseInput, "x")
		defer p.run()()
		defer p.worker(always)()
		c := p.begin(func(r *campaign.Request) { r.Edit = []byte(`{"level":null,"hint":null}`) })
		after(time.Minute)
		got := p.get(c.ID)
		want := campaign.Counts{Matched: 13, Replayed: 12, Refused: 1, Succeeded: 12}
		if got.State != campaign.Done || got.Counts != want || !strings.Contains(got.LastError, "task task-old was not replayed: the input is not valid: input.subject is missing") {
			t.Errorf("%s %+v (%s), want %+v", got.State, got.Counts, got.LastError, want)
		}
		one, err := p.tasks.Get(t.Context(), "school", "task-00005")
		if err != nil {
			t.Fatal(err)
		}
		if string(one.Input) != `{"subject":"Art"}` || !one.Replay.Edited {
			t.Errorf("input %s, replay %+v", one.Input, one.Replay)
		}
	})
}

func TestRunner_SkipsWhatSomebodyElseDecided(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(10, events.CauseBug, "x")
		c := p.begin(func(r *campaign.Request) { r.Rate = 60 })
		defer p.run()()
		defer p.worker(always)()
		after(500 * time.Millisecond) // the page is read
		for _, id := range p.seeded[:2] {
			if _, err := p.tasks.Replay(t.Context(), "school", id, task.ReplayRequest{By: "bob"}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.tasks.Discard(t.Context(), "school", p.seeded[2], "bob", "old"); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		want := campaign.Counts{Matched: 10, Replayed: 7, Skipped: 3, Succeeded: 7}
		if got := p.get(c.ID); got.State != campaign.Done || got.Counts != want {
			t.Errorf("%s %+v, want %+v", got.State, got.Counts, want)
		}
	})
}

func TestRunner_DiscardsAndCancels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(6, events.CauseBug, "x")
		for _, id := range p.seeded[:3] {
			if _, err := p.tasks.Replay(t.Context(), "school", id, task.ReplayRequest{By: "bob"}); err != nil {
				t.Fatal(err)
			}
		}
		defer p.run()()
		discard := p.begin(func(r *campaign.Request) { r.Action, r.Reason = campaign.Discard, "too old" })
		withdraw := p.begin(func(r *campaign.Request) { r.Action, r.Reason = campaign.Cancel, "not needed" })
		after(time.Minute)
		for _, id := range []string{discard.ID, withdraw.ID} {
			if got := p.get(id); got.State != campaign.Done || got.Counts != (campaign.Counts{Matched: 3, Replayed: 3}) {
				t.Errorf("%s: %s %+v", got.Action, got.State, got.Counts)
			}
		}
		for i, id := range p.seeded {
			one, err := p.tasks.Get(t.Context(), "school", id)
			if err != nil {
				t.Fatal(err)
			}
			if cancelled := one.State == task.Cancelled; cancelled != (i < 3) || !cancelled && one.Discard == nil {
				t.Errorf("task %d is %s, discard %v", i, one.State, one.Discard)
			}
		}
	})
}

func TestRunner_EndsAtItsMaximum(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(150, events.CauseBug, "x")
		defer p.run()()
		defer p.worker(always)()
		c := p.begin(func(r *campaign.Request) { r.Max = 120 })
		after(time.Minute)
		want := campaign.Counts{Matched: 120, Replayed: 120, Succeeded: 120}
		if got := p.get(c.ID); got.State != campaign.Done || got.Counts != want || len(p.replays()) != 120 {
			t.Errorf("%s %+v, want %+v; %d tasks were replayed", got.State, got.Counts, want, len(p.replays()))
		}
	})
}

func TestRunner_WaitsWhileTooManyAreOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(campaign.MaxOpen+50, events.CauseBug, "x")
		defer p.run()()
		c := p.begin(func(r *campaign.Request) { r.Rate, r.Max = campaign.MaxRate, 2000 })
		after(30 * time.Second)
		if got := p.get(c.ID); got.Counts.Replayed != campaign.MaxOpen {
			t.Fatalf("%d are open", got.Counts.Replayed)
		}
		defer p.worker(always)()
		after(time.Minute)
		if got := p.get(c.ID); got.State != campaign.Done || got.Counts.Succeeded != campaign.MaxOpen+50 {
			t.Errorf("%s %+v", got.State, got.Counts)
		}
	})
}

func TestRunner_TakesTenThousandDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(10_000, events.CauseBug, "x")
		defer p.run()()
		defer p.worker(always)()
		c := p.begin(func(r *campaign.Request) { r.Rate, r.Max, r.Canary = campaign.MaxRate, 10_000, 10 })
		after(3 * time.Minute)
		want := campaign.Counts{Matched: 10_000, Replayed: 10_000, Succeeded: 10_000}
		if got := p.get(c.ID); got.State != campaign.Done || got.Counts != want {
			t.Errorf("%s %+v", got.State, got.Counts)
		}
		for id, n := range p.replays() {
			if n != 1 {
				t.Errorf("task %s was replayed %d times", id, n)
			}
		}
	})
}
