package nats_test

import (
	"context"
	"testing"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// serveBreakers runs a process with breakers of the given names, all of them open.
func serveBreakers(t *testing.T, nc *natsgo.Conn, process string, names ...string) *breaker.Registry {
	t.Helper()
	reg := breaker.NewRegistry()
	for _, name := range names {
		b, err := breaker.New(breaker.Config{Name: name, Failures: 1, Rate: 1})
		if err != nil {
			t.Fatal(err)
		}
		done, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		done(fault.New(fault.Unavailable, "away"))
		if err := reg.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- nats.ServeBreakers(ctx, nc, process, reg) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return reg
}

// openBreakers returns "process/breaker" of what is open, as the client hears it.
func openBreakers(t *testing.T, c *nats.BreakersClient) map[string]bool {
	t.Helper()
	found, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]bool{}
	for i, p := range found {
		if i > 0 && found[i-1].Process > p.Process {
			t.Errorf("%s is listed after %s", p.Process, found[i-1].Process)
		}
		for _, s := range p.Breakers {
			open[p.Process+"/"+s.Name] = s.State == breaker.Open && s.Failures == 1 && !s.RetryAt.IsZero()
		}
	}
	return open
}

func TestBreakers_AreGatheredAndResetWhereTheyAre(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	api := serveBreakers(t, connect(t, broker), "api-1", "redis", "mail")
	serveBreakers(t, connect(t, broker), "worker-1", "openai/luna")
	second := serveBreakers(t, connect(t, broker), "worker-2", "openai/luna")
	client := nats.NewBreakersClient(connect(t, broker))
	all := []string{"api-1/mail", "api-1/redis", "worker-1/openai/luna", "worker-2/openai/luna"}
	until(t, "all processes answer", func() bool { return len(openBreakers(t, client)) == len(all) })
	open := openBreakers(t, client)
	for _, name := range all {
		if !open[name] {
			t.Errorf("%s is not open: %v", name, open)
		}
	}
	if err := client.Reset(t.Context(), "worker-2", "openai/luna"); err != nil {
		t.Fatal(err)
	}
	if second.States()[0].State != breaker.Closed {
		t.Error("the reset did not reach its process")
	}
	if open := openBreakers(t, client); open["worker-2/openai/luna"] || !open["worker-1/openai/luna"] || !open["api-1/redis"] {
		t.Errorf("after the reset: %v", open)
	}
	if err := client.Reset(t.Context(), "", "redis"); err != nil {
		t.Fatal(err)
	}
	if states := api.States(); states[0].State != breaker.Open || states[1].State != breaker.Closed {
		t.Errorf("after the reset everywhere: %+v", states)
	}
	for _, missing := range [][2]string{{"worker-1", "redis"}, {"worker-9", "redis"}, {"", "poem"}} {
		if err := client.Reset(t.Context(), missing[0], missing[1]); !fault.Is(err, fault.NotFound) {
			t.Errorf("%q: got %v", missing, err)
		}
	}
}

func TestBreakersClient_SaysThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	client := nats.NewBreakersClient(connect(t, broker))
	if found, err := client.List(t.Context()); err != nil || found == nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	if err := client.Reset(t.Context(), "api-1", "redis"); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	serveBreakers(t, connect(t, broker), "api-1")
	until(t, "it is served", func() bool { found, err := client.List(t.Context()); return err == nil && len(found) == 1 })
	if _, err := client.List(ctx); !fault.Is(err, fault.Canceled) {
		t.Errorf("got %v", err)
	}
	nc := connect(t, broker)
	nc.Close()
	if _, err := nats.NewBreakersClient(nc).List(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	if err := nats.NewBreakersClient(nc).Reset(t.Context(), "", "redis"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	if err := nats.ServeBreakers(t.Context(), nc, "api-2", breaker.NewRegistry()); err == nil {
		t.Error("it serves without a connection")
	}
}

// Whatever comes as a question, a process answers or keeps quiet, and goes on.
func TestBreakers_BearAnyQuestion(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	serveBreakers(t, connect(t, broker), "api-1", "redis")
	nc := connect(t, broker)
	for _, data := range []string{"", "{", "null", `{"process":7}`, `{"process":"api-1"}`} {
		if err := nc.Publish("breakers.reset", []byte(data)); err != nil {
			t.Fatal(err)
		}
		if err := nc.PublishRequest("breakers.list", nc.NewInbox(), []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	client := nats.NewBreakersClient(nc)
	until(t, "it answers", func() bool { return openBreakers(t, client)["api-1/redis"] })
}
