package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/notify"
	"github.com/toolboxai/orchestrator/internal/porttest"
	"github.com/toolboxai/orchestrator/internal/pusher"
	"github.com/toolboxai/orchestrator/internal/pusher/pushertest"
	"github.com/toolboxai/orchestrator/nats"
)

// hastyFeed settles a batch before it is handled, as a feed must not.
type hastyFeed struct{ notify.Feed }

func (f hastyFeed) Consume(ctx context.Context, handle func(context.Context, []events.Event) error) error {
	batches := make(chan []events.Event, 64)
	go func() {
		for {
			select {
			case batch := <-batches:
				_ = handle(ctx, batch)
			case <-ctx.Done():
				return
			}
		}
	}()
	return f.Feed.Consume(ctx, func(ctx context.Context, batch []events.Event) error {
		select {
		case batches <- batch:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// runHastyNotifier is a notifier on a hastyFeed as a process of its own. It takes the address of the broker and that of Pusher.
func runHastyNotifier(broker, host, port string) int {
	p, err := strconv.Atoi(port)
	if err != nil {
		return exitUsage
	}
	_, js, err := nats.Connect(nats.ConnectConfig{URL: broker})
	if err != nil {
		return exitFailed
	}
	feed, err := nats.NewFeed(js, nats.Notifier, nats.FeedConfig{})
	if err != nil {
		return exitFailed
	}
	sender, err := pusher.New(pusher.Config{AppID: "1", Key: "app-key", Secret: "app-secret", Host: host, Port: p, Plaintext: true})
	if err != nil {
		return exitFailed
	}
	log := nats.NewLog(js, nats.LogConfig{})
	n, err := notify.New(notify.Config{Feed: hastyFeed{feed}, Progress: progress{log}, Lookup: log, Sender: sender})
	if err != nil || n.Run(context.Background()) != nil {
		return exitFailed
	}
	return exitOK
}

// desk is a broker, a slow Pusher, and notifiers as processes of their own.
type desk struct {
	t      *testing.T
	broker string
	log    *nats.Log
	push   *pushertest.Server
	host   string
	port   string
	last   atomic.Int64 // when Pusher was last asked, in Unix ns
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t}
	port := porttest.Free(t)
	d.broker = fmt.Sprintf("nats://127.0.0.1:%d", port)
	start(t, "broker", nil, t.TempDir(), strconv.Itoa(port))
	eventually(t, "the broker answers", func() error {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
		}
		return err
	})
	conn, js, err := nats.Connect(nats.ConnectConfig{URL: d.broker})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	eventually(t, "the broker is provisioned", func() error {
		_, err := nats.Provision(t.Context(), js, nats.Topology{Kinds: []string{"quiz"}, PinTTL: 2 * time.Second})
		return err
	})
	d.log = nats.NewLog(js, nats.LogConfig{})
	if d.push, err = pushertest.New(pushertest.App{ID: "1", Key: "app-key", Secret: "app-secret"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.push.Close)
	d.push.Misbehave(func(n int) pushertest.Fault {
		switch {
		case n%7 == 3:
			return pushertest.Fault{Status: http.StatusServiceUnavailable}
		case n%11 == 5:
			return pushertest.Fault{Drop: true, Accepted: true}
		}
		return pushertest.Fault{}
	})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.last.Store(time.Now().UnixNano())
		<-time.After(20 * time.Millisecond)
		d.push.ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	u, err := url.Parse(slow.URL)
	if err != nil {
		t.Fatal(err)
	}
	d.host, d.port = u.Hostname(), u.Port()
	return d
}

// replica is a notifier and where it answers for its health.
type replica struct {
	*process
	ops string
}

func (d *desk) replica() replica {
	d.t.Helper()
	ops := fmt.Sprintf("127.0.0.1:%d", porttest.Free(d.t))
	return replica{start(d.t, "toolboxai", []string{
		"NATS_URL=" + d.broker, "PUSHER_APP_ID=1", "PUSHER_KEY=app-key", "PUSHER_SECRET=app-secret", "PUSHER_HOST=" + d.host, "PUSHER_PORT=" + d.port, "PUSHER_SSL=false",
		"OPS_ADDR=" + ops, "LOG_FORMAT=text",
	}, "notifier"), ops}
}

// shows reports whether the replica's metrics hold a line.
func (r replica) shows(line string) error {
	answer, err := (&http.Client{Timeout: 5 * time.Second}).Get("http://" + r.ops + "/metrics")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err == nil && !strings.Contains(string(page), "\n"+line+"\n") {
		err = fmt.Errorf("the metrics lack %s", line)
	}
	return err
}

// append puts the whole lives of n tasks on the log, one step of all of them after the other, and returns the tasks.
func (d *desk) append(n int) (tasks []string) {
	d.t.Helper()
	after := make([]uint64, n)
	for range n {
		tasks = append(tasks, uuid.Must(uuid.NewV7()).String())
	}
	for _, p := range []events.Payload{
		events.Queued{Kind: "quiz", Input: json.RawMessage(`{}`), Priority: events.Normal, Dispatch: 1, UserID: "ada"},
		events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}, events.Completed{Attempt: 1, Result: json.RawMessage(`{}`)},
	} {
		for i, id := range tasks {
			e, err := events.New("school", id, "/test", p)
			if err == nil {
				after[i], err = d.log.Append(d.t.Context(), e, after[i])
			}
			if err != nil {
				d.t.Fatal(err)
			}
		}
	}
	return tasks
}

// wrong returns what subscribers of the school's and the tasks' channels have missed or got out of order, when they drop what they have seen.
func (d *desk) wrong(tasks []string) (problems []string) {
	for _, channel := range append([]string{notify.OrgChannel("school")}, taskChannels(tasks)...) {
		last := uint64(0)
		ends := map[string]bool{}
		for _, m := range d.push.Messages(channel) {
			var p struct {
				TaskID string `json:"task_id"`
				Seq    uint64 `json:"seq"`
			}
			if err := json.Unmarshal([]byte(m.Data), &p); err != nil {
				problems = append(problems, err.Error())
			}
			if p.Seq > last { // seen for the first time, if it comes in order
				last = p.Seq
				ends[p.TaskID] = ends[p.TaskID] || m.Event == string(events.TypeCompleted)
			}
		}
		for _, id := range tasks {
			if (channel == notify.OrgChannel("school") || channel == notify.TaskChannel(id)) && !ends[id] {
				problems = append(problems, fmt.Sprintf("%s: the end of task %s did not come in its turn", channel, id))
			}
		}
	}
	return problems
}

func taskChannels(tasks []string) (names []string) {
	for _, id := range tasks {
		names = append(names, notify.TaskChannel(id))
	}
	return names
}

// Two notifiers stand ready; the one that sends is killed in mid-batch. The other one takes over within seconds, and subscribers who drop what
// they have seen get every end, in order. A notifier that settles what it has not sent yet, the negative control, loses some.
func TestNotifier_KilledInMidBatchIsReplacedAndNoEndIsLost(t *testing.T) {
	t.Parallel()
	for _, hasty := range []bool{false, true} {
		t.Run(fmt.Sprintf("hasty=%v", hasty), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			var first, second replica
			var doomed *process
			if hasty {
				doomed = start(t, "hasty notifier", nil, d.broker, d.host, d.port)
			} else {
				first = d.replica()
				doomed = first.process
				eventually(t, "the first is ready", func() error { return first.shows("toolboxai_notifier_lag_events 0") })
			}
			warm := d.append(1) // whoever is told of it is the one that sends
			eventually(t, "the first sends", func() error { return lack(d.wrong(warm)) })
			second = d.replica()
			eventually(t, "the second stands by", func() error { return second.shows("toolboxai_notifier_active 0") })
			tasks := append(warm, d.append(150)...)
			eventually(t, "a part is sent", func() error {
				if n := len(d.push.Messages(notify.OrgChannel("school"))); n < 60 {
					return fmt.Errorf("only %d messages", n)
				}
				return nil
			})
			if len(d.wrong(tasks)) < 50 {
				t.Fatal("nearly all is sent: this is no mid-batch")
			}
			doomed.kill()
			killed := time.Now()
			d.append(1) // a replica that has nothing to send does not count as active
			eventually(t, "the second sends", func() error { return second.shows("toolboxai_notifier_active 1") })
			took := time.Since(killed)
			if took > 10*time.Second {
				t.Errorf("nobody sent for %v; a pin lives 2 s", took)
			}
			eventually(t, "all is settled", func() error { return second.shows("toolboxai_notifier_lag_events 0") })
			eventually(t, "nothing is sent any more", func() error {
				if quiet := time.Since(time.Unix(0, d.last.Load())); quiet < time.Second {
					return fmt.Errorf("for %v only", quiet)
				}
				return nil
			})
			problems := d.wrong(tasks)
			t.Logf("replaced after %v; %d problems", took.Round(time.Millisecond), len(problems))
			if (len(problems) > 0) != hasty {
				t.Errorf("%d problems, such as %v", len(problems), problems[:min(len(problems), 3)])
			}
			if !hasty {
				if err := second.shows("toolboxai_notifier_lost_total 0"); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func lack(problems []string) error {
	if len(problems) > 0 {
		return fmt.Errorf("%s", problems[0])
	}
	return nil
}
