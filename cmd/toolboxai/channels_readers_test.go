package main

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	pusherhttp "github.com/pusher/pusher-http-go/v5"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/notify"
)

// crew are the roles that work on tasks, with a notifier that sends to one address.
func (a *academy) crew(base string) {
	a.t.Helper()
	for _, name := range []string{"dispatcher", "recorder", "worker"} {
		a.role(name)
	}
	a.notifier(base)
}

// The API that a client is connected to is killed; through a proxy it comes to the other one, and misses nothing and repeats nothing.
func TestRealtime_MissesNothingWhenAnAPIIsKilled(t *testing.T) {
	t.Parallel()
	dir := realtime(t)
	a := newCampus(t)
	first, second := a.door(), a.door()
	front := openRelay(t, true, second.base, first.base)
	a.crew(front.base) // the notifier comes to the other one, too
	head := first.head("north", "grace")
	lin := head.member(auth.Teacher, "lin", "Lin Falter", "")

	all := front.audience(t, dir, 2)
	all.followUser(0, lin)
	var ids []string
	submit := func(n int) {
		for range n {
			id := lin.submit().ID
			all.followTask(1, lin, id)
			ids = append(ids, id)
		}
	}
	submit(5)
	eventually(t, "a reader is live and was given something", func() error {
		if got := all.given()[0]; got.States[lin.ID] != "live" || len(got.Given[lin.ID]) == 0 {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
	submit(5)
	second.kill()
	submit(10)
	for _, id := range ids {
		lin.ends(id)
	}
	all.expect(map[*person][]string{lin: ids})
	for _, complaint := range all.settle() {
		t.Error(complaint)
	}
	eventually(t, "the reader is live at the other API", func() error {
		if got := all.given()[0]; got.States[lin.ID] != "live" {
			return fmt.Errorf("it is %s", got.States[lin.ID])
		}
		return nil
	})
	if c, err := first.app().Channel(notify.UserChannel(lin.ID), pusherhttp.ChannelParams{}); err != nil || !c.Occupied {
		t.Errorf("nobody listens at the other API: %+v, %v", c, err)
	}
}

// readers is how many there are, and for how long tasks are submitted.
func readers(t *testing.T) (n int, during time.Duration) {
	t.Helper()
	n, during = 40, 15*time.Second
	var err error
	if text := os.Getenv("TOOLBOXAI_READERS"); text != "" {
		if n, err = strconv.Atoi(text); err != nil || n < 4 || n%4 != 0 {
			t.Fatalf("TOOLBOXAI_READERS is %q, not a multiple of 4", text)
		}
	}
	if text := os.Getenv("TOOLBOXAI_READER_TIME"); text != "" {
		if during, err = time.ParseDuration(text); err != nil {
			t.Fatalf("TOOLBOXAI_READER_TIME is %q", text)
		}
	}
	return n, during
}

// While tasks run, the connections of many readers are cut at random. Each is given every event of its tasks once, in order. The control does
// without what puts pushed events in order with those that are read.
func TestRealtime_GivesEachEventOnceWhateverBreaks(t *testing.T) {
	t.Parallel()
	n, during := readers(t)
	dir := realtime(t)
	a := newCampus(t)
	first, second := a.door(), a.door()
	a.crew(first.base)
	head := first.head("north", "grace")
	people := []*person{head.member(auth.Teacher, "lin", "Lin Falter", ""), head.member(auth.Teacher, "ada", "Ada Morgen", "")}
	line := openRelay(t, false, first.base, second.base)
	all, control := line.audience(t, dir, n), line.audience(t, dir, 8, "SPLICE=off")
	for i := range control.size {
		control.followUser(i, people[0])
	}
	for i := range n {
		if i%2 == 0 {
			all.followUser(i, people[i/2%2])
		}
	}

	tasks := map[*person][]string{}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for began, i := time.Now(), 0; time.Since(began) < during; i++ {
		p := people[i%2]
		id := p.submit().ID
		tasks[p] = append(tasks[p], id)
		all.followTask(i%(n/2)*2+1, p, id)
		if i%5 == 0 {
			line.cut(0.1)
		}
		<-tick.C
	}
	for p, ids := range tasks {
		for _, id := range ids {
			p.ends(id)
		}
	}
	line.cut(1)
	events := all.expect(tasks)
	complaints := all.settle()
	for _, complaint := range complaints[:min(len(complaints), 5)] {
		t.Error(complaint)
	}
	t.Logf("%d readers, %d tasks, %d connections cut: %d events given, %d subscriptions that differ", n, len(tasks[people[0]])+len(tasks[people[1]]), line.cuts(), events, len(complaints))
	control.expect(tasks)
	if len(control.settle()) == 0 {
		t.Error("without splicing, nothing is repeated either: this test shows nothing")
	}
}
