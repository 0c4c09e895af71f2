package channels_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels"
)

// guarantees are checks that hold, and that fail once the mechanism behind them is switched off.
var guarantees = []struct {
	name  string
	off   func(*channels.Server)
	holds func(*testing.T, *host) bool
}{
	{"private channels are closed to who cannot sign", (*channels.Server).AcceptAnySignature, func(t *testing.T, h *host) bool {
		c := connect(t, h)
		c.emit("pusher:subscribe", "", map[string]any{"channel": "private-a", "auth": "key:00"})
		return c.next().Event == "pusher:error"
	}},
	{"client events are from subscribers only", (*channels.Server).AcceptAnyMember, func(t *testing.T, h *host) bool {
		c, other := connect(t, h), connect(t, h)
		other.join("private-a", "")
		c.emit("client-x", "private-a", "")
		c.drain()
		return len(other.drain()) == 0
	}},
	{"a socket id excludes", (*channels.Server).Echo, func(t *testing.T, h *host) bool {
		c := connect(t, h)
		c.join("private-a", "")
		c.emit("client-x", "private-a", "")
		return len(c.drain()) == 0
	}},
	{"client events are bounded", (*channels.Server).UnboundedRate, func(t *testing.T, h *host) bool {
		c := connect(t, h)
		c.join("private-a", "")
		for range 30 {
			c.emit("client-x", "private-a", "")
		}
		return len(c.drain()) > 0
	}},
	{"what is old does not follow what is new", (*channels.Server).EagerCache, func(t *testing.T, h *host) bool {
		c := connect(t, h)
		trigger(t, h, "cache-a", "old", "")
		h.bus.HoldGets(true)
		c.join("cache-a", "")
		trigger(t, h, "cache-a", "new", "")
		c.want("new")
		h.bus.HoldGets(false)
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); { // what was held comes when its goroutine has its turn
			if len(c.drain()) > 0 {
				return false
			}
		}
		return true
	}},
}

func TestServer_KeepsItsGuarantees(t *testing.T) {
	t.Parallel()
	for _, g := range guarantees {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			if !g.holds(t, start(t)) {
				t.Error("it does not hold")
			}
			if g.holds(t, start(t, fault(g.off))) {
				t.Error("the check does not notice that the mechanism is switched off")
			}
		})
	}
}

func TestServer_LetsGoOfSlowReadersAndDelaysNobody(t *testing.T) {
	t.Parallel()
	h := start(t, config(func(cfg *channels.Config) { cfg.QueueMessages = 64 }))
	slow, quick := connect(t, h), connect(t, h)
	h.ShrinkBuffers()
	slow.join("presence-a", member("slow"))
	quick.join("presence-a", member("quick"))
	// The slow one reads nothing from here on.
	data := strings.Repeat("x", 10<<10)
	removed := false
	round := func() (took time.Duration) {
		began := time.Now()
		trigger(t, h, "presence-a", "x", data)
		for f := quick.next(); f.Event != "x"; f = quick.next() {
			removed = removed || f.Event == "pusher_internal:member_removed"
		}
		return time.Since(began)
	}
	worst := time.Duration(0)
	for i := 0; i < 2000 && !removed; i++ {
		worst = max(worst, round())
	}
	if !removed {
		quick.until("pusher_internal:member_removed")
	}
	usual := time.Duration(0) // the slowest of as many as make a pause of the machine likely to be among them
	for range 200 {
		usual = max(usual, round())
	}
	if worst > 2*time.Second+5*usual {
		t.Errorf("the quick one waited %v, and %v without the slow one", worst, usual)
	}
	if got := slow.closed(); got != 4200 && got != -1 {
		t.Errorf("closed with %d", got)
	}
	quick.gone()
	eventually(t, func() bool { return h.Remembered() == 0 })
}

func TestServer_ClosesFullQueuesWith4200(t *testing.T) {
	t.Parallel()
	h := start(t, config(func(cfg *channels.Config) { cfg.QueueBytes = 64 << 10 }))
	c := connect(t, h)
	c.join("news", "")
	events := make([]channels.Event, 100)
	for i := range events {
		events[i] = channels.Event{Channel: "news", Name: "x", Data: strings.Repeat("x", 10<<10)}
	}
	if err := h.Trigger(context.Background(), events...); err != nil {
		t.Fatal(err)
	}
	if got := c.closed(); got != 4200 {
		t.Errorf("got %d", got)
	}
}

func TestNew_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := channels.New(channels.Config{QueueMessages: -1, ActivityTimeout: -1})
	for _, field := range []string{"app", "bus", "queue_messages", "activity_timeout"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestRun_RunsOnce(t *testing.T) {
	t.Parallel()
	h := start(t)
	connect(t, h)
	if err := h.Run(context.Background()); err == nil {
		t.Error("it runs twice")
	}
}

func FuzzFrame(f *testing.F) {
	for _, seed := range []string{
		`{"event":"pusher:ping"}`, `{"event":"pusher:subscribe","data":{"channel":"a"}}`, `{"event":"pusher:subscribe","data":"{\"channel\":\"presence-a\",\"auth\":\"key:0\"}"}`,
		`{"event":"pusher:signin","data":{"auth":"key:","user_data":"{}"}}`, `{"event":"client-x","channel":"private-a","data":[1]}`, "{\"event\":\"\xff\"}", `[[[`,
		`{"event":"pusher:unsubscribe","data":{"channel":7}}`, `{"event":"pusher:subscribe","data":{"channel":"#server-to-user-a"}}`,
	} {
		f.Add([]byte(seed))
	}
	s, err := channels.New(channels.Config{App: app, Bus: channels.NewLocalBus()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		bad := channels.ParseFrame(text) != nil
		frames := s.FeedFrame(text)
		for _, answer := range frames {
			if err := channels.ParseFrame(answer); err != nil {
				t.Errorf("the answer to %q is no frame: %v: %s", text, err, answer)
			}
		}
		if bad && (len(frames) != 1 || !strings.Contains(string(frames[0]), "pusher:error")) {
			t.Errorf("%q is answered with %q", text, frames)
		}
		if s.Remembered() != 0 {
			t.Errorf("%q leaves something behind", text)
		}
	})
}

func ExampleServer_Trigger() {
	s, err := channels.New(channels.Config{App: channels.App{ID: "1", Key: "key", Secret: "secret"}, Bus: channels.NewLocalBus()})
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Trigger(context.Background(), channels.Event{Channel: "no such name", Name: "x"}))
	// Output: event 0: the input is not valid: channel "no such name" is not the name of a channel
}
