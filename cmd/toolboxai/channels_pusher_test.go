package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pusherhttp "github.com/pusher/pusher-http-go/v5"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/notify"
)

// Pusher's own client, connected to one API while the notifier sends to the other, is told all that happens to a task.
func TestChannels_PusherJSFollowsATaskOverTwoAPIs(t *testing.T) {
	t.Parallel()
	dir := pusherJS(t)
	a := newCampus(t)
	first, second := a.door(), a.door()
	head := first.head("north", "grace")
	lin := head.member(auth.Teacher, "lin", "Lin Falter", "")
	sam := head.member(auth.Student, "sam", "Sam Tupfer", "")
	work := lin.submit()

	const presence = "presence-org-north"
	names := []string{
		notify.UserChannel(lin.ID), notify.OrgChannel("north"), notify.TaskChannel(work.ID), presence,
		notify.ChannelDashboard, notify.ChannelContent, notify.ChannelAgents,
	}
	watch := lin.watch(dir, second.base, names...)
	watch.says("that it listens to all", isReady)
	watch.says("who is signed in", func(x said) bool { return x.User == lin.ID })
	if x := watch.says("who is there", func(x said) bool { return x.Subscribed == presence }); len(x.Members) != 1 || !strings.Contains(string(x.Members[lin.ID]), "Lin Falter") {
		t.Errorf("present are %s", x.Members)
	}

	a.notifier(first.base)
	for _, name := range []string{"dispatcher", "recorder", "worker"} {
		a.role(name)
	}
	lin.ends(work.ID)
	want := pushed(t, lin, work.ID)
	watch.says("how the task ended", func(x said) bool { return x.Channel == notify.TaskChannel(work.ID) && x.Event == "task.completed" })
	eventually(t, "every channel tells the end", func() error {
		for channel, lines := range want {
			if !slices.Contains(watch.on(channel), lines[len(lines)-1]) {
				return fmt.Errorf("%s does not", channel)
			}
		}
		return nil
	})
	if err := first.app().TriggerMulti(names, farewell, map[string]string{}); err != nil {
		t.Fatal(err)
	}
	<-watch.ended
	if watch.err != nil {
		t.Errorf("the client ended with %v", watch.err)
	}
	for _, channel := range slices.Sorted(maps.Keys(want)) {
		got := slices.DeleteFunc(watch.on(channel), func(l string) bool {
			return volatile(l) && !slices.Contains(want[channel], l) || strings.HasPrefix(l, farewell)
		})
		if diff := cmp.Diff(want[channel], got); diff != "" {
			t.Errorf("%s: %s", channel, diff)
		}
	}
	if len(want) != len(names)-1 || len(want[notify.TaskChannel(work.ID)]) < 4 {
		t.Errorf("what was to be told is %v", want)
	}

	refused := sam.watch(dir, second.base, notify.OrgChannel("north"), notify.UserChannel(lin.ID), notify.TaskChannel(work.ID), presence, notify.UserChannel(sam.ID))
	for _, channel := range []string{notify.OrgChannel("north"), notify.UserChannel(lin.ID), notify.TaskChannel(work.ID), presence} {
		refused.says("that it may not join "+channel, func(x said) bool { return x.Refused == channel })
	}
	refused.says("that it may join its own", func(x said) bool { return x.Subscribed == notify.UserChannel(sam.ID) })
}

// What is triggered at one API reaches the clients of the other, but not the one that is left out. Who is present is known at both, and when an
// API is killed, those who were there have left.
func TestChannels_AreOneOverTwoAPIs(t *testing.T) {
	t.Parallel()
	dir := pusherJS(t)
	a := newCampus(t)
	first, second := a.door(), a.door()
	head := first.head("north", "grace")
	lin := head.member(auth.Teacher, "lin", "Lin Falter", "")

	const presence, public = "presence-org-north", "announcements"
	here := head.watch(dir, first.base, presence, public)
	here.says("that it listens", isReady)
	there := lin.watch(dir, second.base, presence, public)
	there.says("that it listens", isReady)
	if x := there.says("who is there", func(x said) bool { return x.Subscribed == presence }); len(x.Members) != 2 {
		t.Errorf("present are %s", x.Members)
	}
	here.says("who has come", func(x said) bool { return x.Event == "pusher:member_added" && strings.Contains(string(x.Data), lin.ID) })

	left := there.says("its id", func(x said) bool { return x.Socket != "" }).Socket
	for _, channel := range []string{presence, public} {
		if err := first.app().Trigger(channel, "to.all", map[string]int{"n": 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := first.app().TriggerWithParams(channel, "to.others", map[string]int{"n": 2}, pusherhttp.TriggerParams{SocketID: &left}); err != nil {
			t.Fatal(err)
		}
		if err := first.app().Trigger(channel, "to.all", map[string]int{"n": 3}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			watch *script
			want  []string
		}{
			{here, []string{`to.all {"n":1}`, `to.others {"n":2}`, `to.all {"n":3}`}},
			{there, []string{`to.all {"n":1}`, `to.all {"n":3}`}},
		} {
			eventually(t, "what was triggered on "+channel+" is told", func() error {
				if got := c.watch.on(channel); !slices.Equal(got, c.want) {
					return fmt.Errorf("got %v, want %v", got, c.want)
				}
				return nil
			})
		}
	}

	killed := time.Now()
	second.kill()
	here.says("who has left", func(x said) bool {
		return x.Event == "pusher:member_removed" && strings.Contains(string(x.Data), lin.ID)
	})
	took := time.Since(killed)
	t.Logf("known to have left %s after the other API was killed", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	users, err := first.app().GetChannelUsers(presence)
	if err != nil || len(users.List) != 1 || users.List[0].ID != head.ID {
		t.Errorf("present are %+v, %v", users, err)
	}
}
