package webhook_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/channels/webhook"
)

type happening struct {
	at time.Duration
	o  channels.Occurrence
}

const heldFor = 3 * time.Second

// expected says what is told of happenings, and in which order, by looking ahead instead of holding back.
func expected(all []happening) []string {
	opposite := map[string]string{"channel_vacated": "channel_occupied", "member_removed": "member_added"}
	gone := map[int]bool{}
	type told struct {
		at    time.Duration
		first int // of those at the same time: what was held goes first
		line  string
	}
	var out []told
	for i, h := range all {
		back, isRemoval := opposite[h.o.Kind]
		if gone[i] {
			continue
		}
		if !isRemoval {
			out = append(out, told{h.at, len(all) + i, line(h.o)})
			continue
		}
		canceled := false
		for j := i + 1; j < len(all) && all[j].at < h.at+heldFor && !canceled; j++ {
			same := all[j].o.Channel == h.o.Channel && all[j].o.UserID == h.o.UserID
			if same && (all[j].o.Kind == h.o.Kind || all[j].o.Kind == back) {
				gone[j] = true
				canceled = all[j].o.Kind == back
			}
		}
		if !canceled {
			out = append(out, told{h.at + heldFor, i, line(h.o)})
		}
	}
	slices.SortStableFunc(out, func(a, b told) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.first, b.first)) })
	var lines []string
	for _, e := range out {
		lines = append(lines, e.line)
	}
	return lines
}

func tell(t *testing.T, all []happening, change func(*webhook.Sender, *receivers)) *receivers {
	return inBubble(t, func(s *webhook.Sender, r *receivers) {
		change(s, r)
		began := time.Now()
		for _, h := range all {
			pass(h.at - time.Since(began))
			s.Occurred(h.o)
		}
		pass(5 * time.Minute)
	})
}

// As long as a URL is not away for too long it is told everything, once, in order, and nothing that was taken back, whatever happens and
// whatever fails.
func TestSender_TellsWhatHappenedInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var all []happening
		at := time.Duration(0)
		for i := range rapid.IntRange(1, 60).Draw(rt, "happenings") {
			at += time.Duration(rapid.SampledFrom([]int{0, 1, 100, 500, 999, 1000, 2000, 3000, 5000}).Draw(rt, "gap")) * time.Millisecond
			o := rapid.SampledFrom([]channels.Occurrence{
				occupied("c"), vacated("c"), occupied("d"), vacated("d"), added("u"), removed("u"), added("v"), removed("v"), said(fmt.Sprint(i)),
			}).Draw(rt, "occurrence")
			all = append(all, happening{at, o})
		}
		fails := rapid.SliceOfN(rapid.SampledFrom([]outcome{200, 200, 500, 302, broken}), 0, 8).Draw(rt, "outcomes")
		r := tell(t, all, func(_ *webhook.Sender, r *receivers) { r.plan["a"] = fails })
		want := expected(all)
		for _, host := range []string{"a", "b"} {
			if got := r.taken(t, host); !slices.Equal(got, want) {
				rt.Fatalf("%s was told\n%q, want\n%q", host, got, want)
			}
		}
	})
}

// The property above fails for a Sender that holds nothing back, and for what is told in another order.
func TestSender_TellsWhatHappenedInOrderControl(t *testing.T) {
	t.Parallel()
	all := []happening{{0, removed("u")}, {time.Second, said("1")}, {time.Second, added("u")}, {2 * time.Second, said("2")}}
	for held, same := range map[time.Duration]bool{heldFor: true, 0: false} {
		r := tell(t, all, func(s *webhook.Sender, _ *receivers) { s.HoldFor(held) })
		got := r.taken(t, "a")
		if slices.Equal(got, expected(all)) != same {
			t.Errorf("held for %v: told %q, expected %q", held, got, expected(all))
		}
		if slices.Reverse(got); slices.Equal(got, expected(all)) {
			t.Error("the order is not looked at")
		}
	}
}
