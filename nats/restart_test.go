package nats_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/porttest"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// mortal is a broker in a process of its own.
type mortal struct {
	dir, port string
	sync      string // not empty: every write is synced
	cmd       *exec.Cmd
	stdin     io.Closer
}

func startMortal(t *testing.T) *mortal {
	t.Helper()
	return startMortalWith(t, "")
}

func startMortalWith(t *testing.T, sync string) *mortal {
	t.Helper()
	m := &mortal{dir: t.TempDir(), port: strconv.Itoa(porttest.Free(t)), sync: sync}
	m.start(t)
	t.Cleanup(func() { m.kill(t) })
	return m
}

// start returns once the broker takes connections.
func (m *mortal) start(t *testing.T) {
	t.Helper()
	m.cmd = exec.Command(os.Args[0], "-test.run=^$")
	m.cmd.Env = append(os.Environ(), envBrokerDir+"="+m.dir, envBrokerPort+"="+m.port, envBrokerSync+"="+m.sync)
	m.cmd.Stderr = os.Stderr
	stdin, err := m.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.stdin = stdin
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || !strings.HasPrefix(line, "nats://") {
		t.Fatalf("the broker said %q (%v)", line, err)
	}
}

func (m *mortal) kill(t *testing.T) {
	t.Helper()
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	_ = m.cmd.Wait()
	_ = m.stdin.Close()
}

func (m *mortal) connect(t *testing.T) *natstest.Broker {
	t.Helper()
	nc, js, err := nats.Connect(nats.ConnectConfig{URL: "nats://127.0.0.1:" + m.port, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return &natstest.Broker{Conn: nc, JS: js}
}

// A platform in small works while its broker is killed: submitters, two workers, a recorder. What was acknowledged is on
// the log, once, and every task ends once; nothing waits for anything but the broker.
func TestPlatform_LosesNothingWhenTheBrokerIsKilled(t *testing.T) {
	t.Parallel()
	const kills, tasks = 3, 240
	broker := startMortal(t)
	client := broker.connect(t)
	until(t, "the broker is provisioned", func() bool {
		_, err := nats.Provision(t.Context(), client.JS, nats.Topology{Kinds: natstest.Kinds(), AckWait: time.Second, PinTTL: time.Second})
		return err == nil
	})
	recorded := startReader(t, client, broker.connect(t).Conn, nats.FeedConfig{Wait: time.Millisecond}, nil)
	var workers sync.WaitGroup
	var ended atomic.Int64
	subs := make([]*nats.Subscriber, 2)
	for i := range subs {
		pod := broker.connect(t)
		sub, err := nats.NewSubscriber(pod.JS, nats.SubscriberConfig{Slots: 8, ParkWait: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		subs[i] = sub
		messages := subscribe(t, sub, "quiz")
		workers.Go(func() {
			for msg := range messages {
				workers.Go(func() { ended.Add(work(t, newLog(pod), msg)) })
			}
		})
	}
	ids := make([]string, tasks)
	var submitters sync.WaitGroup
	for s := range 4 {
		pod := broker.connect(t)
		log, queue := newLog(pod), newQueue(t, pod)
		submitters.Go(func() {
			for i := s; i < tasks; i += 4 {
				ids[i] = submit(t, log, queue)
			}
		})
	}
	for k := range kills {
		until(t, "some tasks ended", func() bool { return ended.Load() >= int64((k+1)*tasks/(kills+2)) })
		broker.kill(t)
		broker.start(t)
	}
	submitters.Wait()
	log := newLog(client)
	total := 0
	for _, id := range ids {
		var h []events.Event
		until(t, "task "+id+" has ended", func() bool {
			var err error
			h, err = log.History(t.Context(), "school", id, 0, 0)
			return err == nil && h[len(h)-1].Type.Terminal()
		})
		total += len(h)
		checkHistory(t, h)
	}
	recorded.waitDistinct(t, total)
	for _, sub := range subs {
		_ = sub.Close()
	}
	workers.Wait()
}

// submit records and queues a task, and repeats both while the broker is away.
func submit(t *testing.T, log *nats.Log, queue *nats.Queue) string {
	e := tasktest.QueuedEvent(t, "school")
	err := task.Patiently(t.Context(), 2*patience, func(ctx context.Context) (err error) { e.Seq, err = log.Append(ctx, e, 0); return err })
	if err == nil {
		err = task.Patiently(t.Context(), 2*patience, func(ctx context.Context) error { return queue.Dispatch(ctx, tasktest.EntryOf(t, e), e) })
	}
	if err != nil {
		t.Errorf("submit: %v", err)
	}
	return e.Task
}

// work runs a dispatch as a worker does and returns 1 when it ended the task.
func work(t *testing.T, log *nats.Log, msg *message.Message) int64 {
	d, err := events.ParseDispatch(msg.Metadata.Get(events.HeaderQueueSubject))
	if err != nil {
		t.Error(err)
	}
	after, _ := strconv.ParseUint(msg.Metadata.Get(events.HeaderSeq), 10, 64)
	attempt := 1
	write := func(p events.Payload) error {
		e := tasktest.Event(t, d.Tenant, d.Task, p)
		return task.Patiently(msg.Context(), 2*patience, func(ctx context.Context) error {
			seq, err := log.Append(ctx, e, after)
			if err == nil {
				after = seq
			}
			return err
		})
	}
	for {
		err := write(events.Started{Attempt: attempt, Dispatch: 1, Worker: "w"})
		stale := task.Stale(err)
		if err == nil {
			break
		}
		if stale == nil || stale.Last.Type.Terminal() {
			break
		}
		after = stale.Last.Seq // the earlier holder is gone: we hold its delivery
		attempt++
		if attempt > 50 {
			t.Errorf("task %s changes hands for ever", d.Task)
			return 0
		}
	}
	err = write(events.Completed{Attempt: attempt, Result: json.RawMessage(`{}`)})
	if err != nil && task.Stale(err) == nil {
		msg.Nack()
		return 0
	}
	msg.Ack()
	if err != nil {
		return 0
	}
	return 1
}

// checkHistory finds events that are there twice and endings beside the first.
func checkHistory(t *testing.T, h []events.Event) {
	t.Helper()
	seen := map[string]bool{}
	terminal := 0
	for i, e := range h {
		if seen[e.ID] {
			t.Errorf("task %s: event %s is on the log twice", e.Task, e.ID)
		}
		seen[e.ID] = true
		if e.Type.Terminal() {
			terminal++
		}
		if (i == 0) != (e.Type == events.TypeQueued) {
			t.Errorf("task %s: event %d is %s", e.Task, i, e.Type)
		}
	}
	if terminal != 1 {
		t.Errorf("task %s ended %d times: %s", h[0].Task, terminal, fmt.Sprint(h))
	}
}

// waitDistinct returns once the reader has seen n different events; it may see some twice.
func (r *reader) waitDistinct(t *testing.T, n int) {
	t.Helper()
	seen := map[uint64]bool{}
	until(t, fmt.Sprintf("%d events are recorded", n), func() bool {
		for _, seq := range r.got() {
			seen[seq] = true
		}
		return len(seen) >= n
	})
	if len(seen) != n {
		t.Errorf("%d events were recorded, %d are on the log", len(seen), n)
	}
}
