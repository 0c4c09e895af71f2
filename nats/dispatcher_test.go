package nats_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// oracle answers as a dispatcher does.
type oracle struct {
	name  string
	held  atomic.Bool
	asked atomic.Int64
}

func (o *oracle) Held() bool { return o.held.Load() }

func (o *oracle) Explain(_ context.Context, tenant, id string) (task.Explanation, error) {
	switch id {
	case "none":
		return task.Explanation{}, fault.New(fault.NotFound, "there is no task %q", id)
	case "odd":
		return task.Explanation{}, errors.New("a bug")
	}
	return task.Explanation{TaskID: id, State: task.Queued, Code: task.ReasonBehind, Message: o.name + " says so of " + tenant, Ahead: 4}, nil
}

func (o *oracle) Backlog(context.Context) ([]task.Backlog, error) {
	o.asked.Add(1)
	return []task.Backlog{{Kind: "quiz", Pending: 3, Load: 1.5}}, nil
}

func serve(t *testing.T, nc *natsgo.Conn, name string) *oracle {
	t.Helper()
	o := &oracle{name: name}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := nats.ServeDispatcher(ctx, nc, o, o); err != nil && !nc.IsClosed() {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return o
}

func TestDispatcherClient_AsksTheLeader(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	a, b := serve(t, connect(t, broker), "a"), serve(t, connect(t, broker), "b")
	client := nats.NewDispatcherClient(broker.Conn)
	if _, err := client.Explain(t.Context(), "school", "t1"); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "no dispatcher answers") {
		t.Errorf("nobody leads: got %v, want Unavailable", err)
	}
	says := func(name string) func() bool {
		return func() bool {
			e, err := client.Explain(t.Context(), "school", "t1")
			return err == nil && e.TaskID == "t1" && e.Code == task.ReasonBehind && e.Ahead == 4 && e.Message == name+" says so of school"
		}
	}
	a.held.Store(true)
	until(t, "a answers", says("a"))
	a.held.Store(false)
	b.held.Store(true)
	until(t, "b alone is asked", func() bool { // a notices a moment later that it does not lead, and says no more than that until then
		for range 20 {
			if says("a")() {
				t.Error("who does not lead has answered")
			}
			if !says("b")() {
				return false
			}
		}
		return true
	})
	if _, err := client.Explain(t.Context(), "school", "none"); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "there is no task") {
		t.Errorf("got %v, want the dispatcher's NotFound", err)
	}
	if _, err := client.Explain(t.Context(), "school", "odd"); err == nil || fault.KindOf(err) != fault.Internal {
		t.Errorf("got %v, want the dispatcher's bug", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := client.Explain(ended, "school", "t1"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the caller left", err)
	}
}

func TestDispatcherClient_AsksForTheBacklogOnceASecond(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	o := serve(t, connect(t, broker), "a")
	o.held.Store(true)
	client := nats.NewDispatcherClient(broker.Conn)
	until(t, "it answers", func() bool {
		_, err := client.Explain(t.Context(), "school", "t1")
		return err == nil
	})
	began := time.Now()
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			got, err := client.Backlog(t.Context())
			if err != nil || !slices.Equal(got, []task.Backlog{{Kind: "quiz", Pending: 3, Load: 1.5}}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	group.Wait()
	if most := 1 + int64(time.Since(began)/time.Second); o.asked.Load() > most {
		t.Errorf("asked %d times, want %d at most", o.asked.Load(), most)
	}
}

func TestDispatcherClient_DoesNotWaitForADispatcherThatHangs(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	if _, err := broker.Conn.Subscribe("dispatcher.*", func(*natsgo.Msg) {}); err != nil {
		t.Fatal(err)
	}
	ask := func(callers int) (took time.Duration) {
		client := nats.NewDispatcherClient(broker.Conn)
		began := time.Now()
		var group sync.WaitGroup
		for range callers {
			group.Go(func() {
				if _, err := client.Backlog(t.Context()); !fault.Is(err, fault.Unavailable) || fault.RetryAfter(err) == 0 {
					t.Errorf("got %v, want Unavailable with a RetryAfter", err)
				}
			})
		}
		group.Wait()
		return time.Since(began)
	}
	slack := busy(t, broker)
	if one, ten := ask(1), ask(10); ten > 2*one+slack() {
		t.Errorf("one caller waited %s for a dispatcher that hangs, ten waited %s", one, ten)
	}
}
