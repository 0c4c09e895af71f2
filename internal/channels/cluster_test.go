package channels_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/channels"
)

func TestServers_AreOneForTheirClients(t *testing.T) {
	t.Parallel()
	hosts := cluster(t, 3)
	ctx := context.Background()
	a, b, c := connect(t, hosts[0]), connect(t, hosts[1]), connect(t, hosts[2])

	a.join("presence-a", member("1"))
	if got, want := b.join("presence-a", member("2")), `{"presence":{"ids":["1","2"],"hash":{"1":{"name":"N1"},"2":{"name":"N2"}},"count":2}}`; got != want {
		t.Errorf("got %s", got)
	}
	a.want("pusher_internal:member_added")
	c.join("presence-a", member("1")) // a second connection of a member, elsewhere
	a.wantNothing()
	a.gone()
	b.drain()
	eventually(t, func() bool { s, _ := hosts[1].State(ctx, "presence-a"); return s.Subscriptions == 2 && s.Users == 2 })
	b.wantNothing()

	b.emit("client-x", "presence-a", "1")
	if f := c.want("client-x"); f.UserID != "2" {
		t.Errorf("got %v", f)
	}
	c.gone()
	b.want("pusher_internal:member_removed")

	d := connect(t, hosts[2])
	b.join("news", "")
	d.join("news", "")
	if err := hosts[0].Trigger(ctx, channels.Event{Channel: "news", Name: "x", Except: d.id}); err != nil {
		t.Fatal(err)
	}
	b.want("x")
	d.wantNothing()

	trigger(t, hosts[0], "cache-a", "last", "1")
	d.join("cache-a", "")
	d.want("last")

	d.signIn(`{"id":"u","watchlist":["w"]}`)
	d.want("pusher:signin_success")
	d.want("pusher_internal:watchlist_events")
	b.signIn(`{"id":"w"}`)
	b.want("pusher:signin_success")
	d.want("pusher_internal:watchlist_events")
	trigger(t, hosts[1], "#server-to-user-u", "hello", "")
	d.want("hello")
	if err := hosts[0].Terminate(ctx, "u"); err != nil {
		t.Fatal(err)
	}
	if got := d.closed(); got != 4009 {
		t.Errorf("got %d", got)
	}
	eventually(t, func() bool { return told("member_removed", "presence-a", "1", hosts...) == 1 })
	for kind, user := range map[string]string{"channel_occupied": "", "member_added": "2"} {
		if n := told(kind, "presence-a", user, hosts...); n != 1 {
			t.Errorf("%s was told %d times", kind, n)
		}
	}
}

func TestServers_TellSubscribersInOneOrder(t *testing.T) {
	t.Parallel()
	hosts := cluster(t, 2)
	a, b := connect(t, hosts[0]), connect(t, hosts[1])
	a.join("news", "")
	b.join("news", "")
	done := make(chan struct{})
	for _, h := range hosts {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 100 {
				trigger(t, h, "news", "x", fmt.Sprint(h.ID(), i))
			}
		}()
	}
	<-done
	<-done
	for range 200 {
		if x, y := a.want("x"), b.want("x"); x.String() != y.String() {
			t.Fatalf("%v and %v", x, y)
		}
	}
}

func TestServer_TakesOverFromOneThatDies(t *testing.T) {
	t.Parallel()
	hosts := cluster(t, 3)
	slices.SortFunc(hosts, func(a, b *host) int { return strings.Compare(a.ID(), b.ID()) })
	dies, lives := hosts[0], hosts[1:]
	watcher := connect(t, lives[1])
	watcher.signIn(`{"id":"w","watchlist":["u"]}`)
	watcher.join2(t, "presence-a", member("w"))
	c := connect(t, dies)
	c.signIn(`{"id":"u"}`)
	c.join2(t, "presence-a", member("u"))
	c.join2(t, "only-there", "")
	watcher.until("pusher_internal:member_added")
	dies.kill()
	watcher.until("pusher_internal:member_removed")
	eventually(t, func() bool { return told("channel_vacated", "only-there", "", lives...) == 1 })
	eventually(t, func() bool { return lives[0].Peers() == 2 && lives[1].Peers() == 2 })
	if n := told("member_removed", "presence-a", "u", lives[0]); n != 1 {
		t.Errorf("the lowest told %d times", n)
	}
	if n := told("member_removed", "presence-a", "u", lives...); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestServer_KeepsTheDeadWithoutItsSweep(t *testing.T) {
	t.Parallel()
	hosts := cluster(t, 2, fault((*channels.Server).KeepDead))
	c := connect(t, hosts[0])
	c.join("presence-a", member("u"))
	hosts[0].kill()
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); {
		if s, _ := hosts[1].State(context.Background(), "presence-a"); s.Users == 0 {
			t.Fatal("the check of the death of a server would not notice that nobody sweeps")
		}
		connect(t, hosts[1]).gone()
	}
}

func TestServer_KnowsAllWhenItComesLate(t *testing.T) {
	t.Parallel()
	bus := channels.NewLocalBus()
	first := start(t, on(bus), config(func(cfg *channels.Config) { cfg.MaxChannels = 1000 }))
	c := connect(t, first)
	for i := range 600 { // more than one message holds
		c.join(fmt.Sprint("c", i), "")
	}
	c.join("presence-a", member("1"))
	second := start(t, on(bus))
	d := connect(t, second)
	if got, want := d.join("presence-a", member("2")), `{"presence":{"ids":["1","2"],"hash":{"1":{"name":"N1"},"2":{"name":"N2"}},"count":2}}`; got != want {
		t.Errorf("got %s", got)
	}
	eventually(t, func() bool {
		a, _ := first.Channels(context.Background(), "")
		b, _ := second.Channels(context.Background(), "")
		return len(a) == 601 && cmp.Equal(a, b)
	})
	if n := told("channel_occupied", "presence-a", "", first, second); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestServer_LeavesNothingBehindWhenItStops(t *testing.T) {
	t.Parallel()
	hosts := cluster(t, 2)
	c := connect(t, hosts[0])
	c.signIn(`{"id":"u"}`)
	c.join2(t, "presence-a", member("1"))
	c.join2(t, "private-a", "")
	hosts[0].stop()
	eventually(t, func() bool { return hosts[1].Peers() == 1 && hosts[1].Remembered() == 0 })
	for _, h := range hosts {
		if n := told("channel_vacated", "presence-a", "", h); n != map[*host]int{hosts[0]: 1}[h] {
			t.Errorf("told %d times", n)
		}
	}
}

func TestServer_LetsNobodyInWithoutABus(t *testing.T) {
	t.Parallel()
	h := start(t, config(func(cfg *channels.Config) {
		bus := channels.NewLocalBus()
		bus.Cut(true)
		cfg.Bus = bus
	}))
	entered := make(chan *client, 1)
	go func() { entered <- connect(t, h) }()
	h.bus.Cut(false)
	(<-entered).join("news", "")
}

func TestServer_SaysAllAtOnceWhenTooMuchWaitsForTheBus(t *testing.T) {
	t.Parallel()
	hosts := cluster(t, 2, fault(func(s *channels.Server) { s.LimitPending(10) }))
	a, b := connect(t, hosts[0]), connect(t, hosts[0])
	b.join("c1", "")
	hosts[0].bus.Cut(true)
	for i := range 50 {
		a.ask(fmt.Sprint("c", i), "")
	}
	b.leave("c1")
	a.leave("c7")
	a.send(`{"event":"pusher:ping"}`)
	a.want("pusher:pong")
	hosts[0].bus.Cut(false)
	answered := map[string]bool{}
	for range 49 {
		answered[a.want("pusher_internal:subscription_succeeded").Channel] = true
	}
	if len(answered) != 49 || answered["c7"] {
		t.Errorf("got %v", answered)
	}
	for _, h := range hosts {
		eventually(t, func() bool {
			all, _ := h.Channels(context.Background(), "c")
			return len(all) == 49 && all["c1"].Subscriptions == 1
		})
	}
}
