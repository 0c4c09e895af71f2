package channels_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPresence_EachSubscriberSeesTheMembers(t *testing.T) {
	t.Parallel()
	hosts := cluster(t, 2)
	round, deaf := 0, false
	hear := func() {
		for _, h := range hosts {
			h.bus.Deafen(false)
		}
		deaf = false
	}
	rapid.Check(t, func(r *rapid.T) {
		round++
		channel := fmt.Sprint("presence-", round)
		type tab struct {
			*client
			user string
			seen members
		}
		var tabs []*tab
		model := map[string]int{}
		defer func() {
			hear()
			for _, x := range tabs {
				x.gone()
			}
		}()
		r.Repeat(map[string]func(*rapid.T){
			"join": func(r *rapid.T) {
				if len(tabs) > 8 {
					return
				}
				x := &tab{client: connect(t, hosts[rapid.IntRange(0, 1).Draw(r, "server")]), user: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "user"), seen: members{}}
				x.ask(channel, member(x.user))
				tabs = append(tabs, x)
				model[x.user]++
			},
			"leave": func(r *rapid.T) {
				if len(tabs) == 0 {
					return
				}
				i := rapid.IntRange(0, len(tabs)-1).Draw(r, "tab")
				x := tabs[i]
				if rapid.Bool().Draw(r, "politely") {
					x.leave(channel)
					if !deaf {
						x.seen.noteAll(t, x.drain())
					}
				}
				x.gone()
				tabs = slices.Delete(tabs, i, i+1)
				if model[x.user]--; model[x.user] == 0 {
					delete(model, x.user)
				}
			},
			"lose messages": func(r *rapid.T) { // for the next steps
				if !deaf && rapid.IntRange(0, 39).Draw(r, "rarely") == 0 {
					hosts[rapid.IntRange(0, 1).Draw(r, "server")].bus.Deafen(true)
					deaf = true
				}
			},
			"hear again": func(*rapid.T) { hear() },
			"": func(r *rapid.T) {
				if deaf {
					return
				}
				want := slices.Sorted(maps.Keys(model))
				for _, h := range hosts {
					eventually(t, func() bool {
						s, _ := h.State(context.Background(), channel)
						ids, _ := h.Users(context.Background(), channel)
						return s.Subscriptions == len(tabs) && slices.Equal(ids, want)
					})
				}
				for _, x := range tabs { // who is told a moment after it is so
					eventually(t, func() bool {
						x.seen.noteAll(t, x.drain())
						return slices.Equal(slices.Sorted(maps.Keys(x.seen)), want)
					})
				}
			},
		})
	})
}

// members are those whom a subscriber knows of.
type members map[string]bool

func (m members) noteAll(t testing.TB, frames []frame) {
	t.Helper()
	for _, f := range frames {
		m.note(t, f)
	}
}

// note applies what a subscriber of a presence channel is told. A member who is told twice is a failure.
func (m members) note(t testing.TB, f frame) {
	t.Helper()
	var data struct {
		UserID   string `json:"user_id"`
		Presence struct{ IDs []string }
	}
	if err := json.Unmarshal([]byte(f.text(t)), &data); err != nil {
		t.Fatal(err)
	}
	switch f.Event {
	case "pusher_internal:subscription_succeeded":
		for _, id := range data.Presence.IDs {
			m[id] = true
		}
	case "pusher_internal:member_added":
		if m[data.UserID] {
			t.Fatalf("%s was added twice", data.UserID)
		}
		m[data.UserID] = true
	case "pusher_internal:member_removed":
		if !m[data.UserID] {
			t.Fatalf("%s was removed and had not been there", data.UserID)
		}
		delete(m, data.UserID)
	}
}
