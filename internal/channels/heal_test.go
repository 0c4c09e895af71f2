package channels_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/channels"
)

func TestServer_HealsWhatItMissed(t *testing.T) {
	t.Parallel()
	if !heals(t) {
		t.Error("what was lost stays lost")
	}
}

func TestServer_DoesNotHealWithoutNoticingGaps(t *testing.T) {
	t.Parallel()
	if heals(t, fault((*channels.Server).IgnoreGaps)) {
		t.Error("the check of healing does not notice that gaps are ignored")
	}
}

// heals reports whether a server that heard nothing for a while knows what the other one knows, once it hears again.
func heals(t *testing.T, options ...option) bool {
	hosts := cluster(t, 2, options...)
	deaf, other := hosts[0], hosts[1]
	ctx := context.Background()
	watcher := connect(t, deaf)
	watcher.join("presence-a", member("w"))
	left := connect(t, other)
	left.join("presence-a", member("left"))
	watcher.want("pusher_internal:member_added")

	deaf.bus.Deafen(true)
	left.gone()
	eventually(t, func() bool { s, _ := other.State(ctx, "presence-a"); return s.Users == 1 })
	connect(t, other).join("presence-a", member("came"))
	own := connect(t, deaf)
	own.ask("presence-a", member("own")) // is answered when it comes back
	deaf.bus.Deafen(false)
	// One more change, so that a server that ignores gaps has something to go by.
	connect(t, other).join("presence-a", member("later"))

	want := []string{"came", "later", "own", "w"}
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); connect(t, other).gone() {
		a, _ := deaf.Users(ctx, "presence-a")
		b, _ := other.Users(ctx, "presence-a")
		if cmp.Equal(a, want) && cmp.Equal(b, want) {
			seen := members{"w": true, "left": true}
			for _, f := range watcher.drain() {
				seen.note(t, f)
			}
			return cmp.Equal(slices.Sorted(maps.Keys(seen)), want)
		}
	}
	return false
}

func TestServer_ThatIsCutOffForgetsNobodyAndComesBack(t *testing.T) {
	t.Parallel()
	hosts := cluster(t, 2)
	ctx := context.Background()
	a, b := connect(t, hosts[0]), connect(t, hosts[1])
	a.join("presence-a", member("a"))
	b.join("presence-a", member("b"))
	a.want("pusher_internal:member_added")
	hosts[0].bus.Cut(true)
	b.want("pusher_internal:member_removed") // the other one cannot know better
	if err := hosts[0].Trigger(ctx, channels.Event{Channel: "news", Name: "x"}); err == nil {
		t.Error("triggered without a bus")
	}
	waiting := connect(t, hosts[0])
	waiting.ask("presence-a", member("late"))
	if ids, _ := hosts[0].Users(ctx, "presence-a"); !cmp.Equal(ids, []string{"a", "b"}) {
		t.Errorf("got %v", ids)
	}
	hosts[0].bus.Cut(false)
	b.want("pusher_internal:member_added")
	waiting.want("pusher_internal:subscription_succeeded")
	for _, h := range hosts {
		eventually(t, func() bool { ids, _ := h.Users(ctx, "presence-a"); return cmp.Equal(ids, []string{"a", "b", "late"}) })
	}
	if added, removed := told("member_added", "presence-a", "a", hosts...), told("member_removed", "presence-a", "a", hosts...); added != 2 || removed != 1 {
		t.Errorf("added was told %d times, removed %d times", added, removed)
	}
}
