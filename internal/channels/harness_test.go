package channels_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels"
)

var app = channels.App{ID: "7", Key: "key", Secret: "secret", ClientEvents: true}

// patience bounds every wait for what must happen.
const patience = 30 * time.Second

// host is a running server.
type host struct {
	*channels.Server
	bus *channels.LocalBus
	url string
	// stop ends the server as a signal would; it returns once it has ended.
	stop func()
	// kill cuts the server from its bus for good and then stops it.
	kill func()

	mu       sync.Mutex
	occurred []channels.Occurrence
}

type option func(*channels.Config, *channels.Server)

// start runs a server; options are called with the configuration before the server is made, and with the server before it runs.
func start(t testing.TB, options ...option) *host {
	t.Helper()
	h := &host{bus: channels.NewLocalBus()}
	cfg := channels.Config{App: app, Bus: h.bus, Occurred: func(o channels.Occurrence) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.occurred = append(h.occurred, o)
	}}
	for _, o := range options {
		o(&cfg, nil)
	}
	h.bus = cfg.Bus.(*channels.LocalBus)
	s, err := channels.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.Server = s
	s.Settle(50 * time.Millisecond)
	for _, o := range options {
		o(&cfg, s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	web := httptest.NewServer(s)
	h.url = "ws" + strings.TrimPrefix(web.URL, "http")
	h.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(2 * patience):
			t.Error("Run does not end")
		}
		web.Close()
	})
	h.kill = func() { h.bus.Cut(true); h.stop() }
	t.Cleanup(h.stop)
	return h
}

func config(change func(*channels.Config)) option {
	return func(cfg *channels.Config, s *channels.Server) {
		if s == nil {
			change(cfg)
		}
	}
}

func fault(change func(*channels.Server)) option {
	return func(_ *channels.Config, s *channels.Server) {
		if s != nil {
			change(s)
		}
	}
}

func on(bus *channels.LocalBus) option {
	return config(func(cfg *channels.Config) { cfg.Bus = bus.Branch() })
}

// cluster runs n servers on one bus, which know of each other.
func cluster(t testing.TB, n int, options ...option) []*host {
	t.Helper()
	bus := channels.NewLocalBus()
	hosts := make([]*host, n)
	for i := range hosts {
		hosts[i] = start(t, append([]option{on(bus)}, options...)...)
	}
	for _, h := range hosts {
		eventually(t, func() bool { return h.Peers() == n })
	}
	return hosts
}

// told returns how often webhooks were told of kind on channel, and about user, by all hosts.
func told(kind, channel, user string, hosts ...*host) (n int) {
	for _, h := range hosts {
		h.mu.Lock()
		for _, o := range h.occurred {
			if o.Kind == kind && o.Channel == channel && o.UserID == user {
				n++
			}
		}
		h.mu.Unlock()
	}
	return n
}

func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
	}
}

func trigger(t testing.TB, h *host, channel, name, data string) {
	t.Helper()
	if err := h.Trigger(context.Background(), channels.Event{Channel: channel, Name: name, Data: data}); err != nil {
		t.Fatal(err)
	}
}
