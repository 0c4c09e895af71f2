package nats_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// runFeed runs a feed until the test ends.
func runFeed(t testing.TB, nc *natsgo.Conn, cfg nats.NewsfeedConfig, change ...func(*nats.Newsfeed)) *nats.Newsfeed {
	t.Helper()
	feed := nats.NewNewsfeed(nc, cfg)
	for _, c := range change {
		c(feed)
	}
	keep(t, feed)
	return feed
}

// newsReader collects what one reader of a feed gets.
type newsReader struct {
	tenant, id string
	after      uint64
	mark       uint64 // with an after of math.MaxUint64: all behind it must come
	stop       context.CancelFunc
	done       chan struct{}
	reason     func() error

	mu      sync.Mutex
	got     []uint64
	reports int
}

// openNews opens a reader of a tenant, or of a task where id is not empty, as soon as the broker lets it. The caller stops it.
func openNews(t interface{ Fatal(...any) }, feed *nats.Newsfeed, tenant, id string, after uint64) *newsReader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &newsReader{tenant: tenant, id: id, after: after, stop: cancel, done: make(chan struct{})}
	var news <-chan events.Event
	err := task.Patiently(ctx, patience, func(context.Context) (err error) { // the reader outlives the try
		if id == "" {
			news, r.reason, err = feed.Tenant(ctx, tenant, after)
		} else {
			news, r.reason, err = feed.Task(ctx, tenant, id, after)
		}
		return err
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		for e := range news {
			r.mu.Lock()
			if e.Seq == 0 {
				r.reports++
			} else {
				r.got = append(r.got, e.Seq)
			}
			r.mu.Unlock()
		}
	}()
	return r
}

func (r *newsReader) close() {
	r.stop()
	<-r.done
}

// check compares what has come with what the log has. A reader that was stopped early may lack the end.
func (r *newsReader) check(onLog []entry, early bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	after := r.after
	if after == math.MaxUint64 {
		if after = r.mark; len(r.got) > 0 {
			after = min(after, r.got[0]-1)
		}
	}
	var want []uint64
	for _, e := range onLog {
		if e.seq > after && e.tenant == r.tenant && (r.id == "" || e.id == r.id) {
			want = append(want, e.seq)
		}
	}
	if early {
		want = want[:min(len(want), len(r.got))]
	}
	for i := range max(len(r.got), len(want)) {
		if i >= len(r.got) || i >= len(want) || r.got[i] != want[i] {
			return errors.Join(r.reason(), fmt.Errorf("reader of %s.%s after %d: got %d events, want %d; from place %d on they are %v, want %v",
				r.tenant, r.id, after, len(r.got), len(want), i, few(r.got, i), few(want, i)))
		}
	}
	return nil
}

func few(seqs []uint64, from int) []uint64 { return seqs[min(from, len(seqs)):min(from+5, len(seqs))] }

// entry is an event on the log.
type entry struct {
	tenant, id string
	seq        uint64
}

// press appends events without a fence and remembers where they are.
type press struct {
	nc   *natsgo.Conn
	made events.Event

	mu      sync.Mutex
	entries []entry
}

func newPress(t testing.TB, nc *natsgo.Conn) *press {
	return &press{nc: nc, made: tasktest.Event(t, "school", "t", events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})}
}

func (p *press) message(tenant, id string) *natsgo.Msg {
	e := p.made
	e.Tenant, e.Task = tenant, id
	msg := &natsgo.Msg{Subject: events.Subject(tenant, id), Header: natsgo.Header{}, Data: e.Data}
	for key, value := range e.Attributes() {
		msg.Header[key] = []string{value}
	}
	return msg
}

// print appends one event to a task.
func (p *press) print(ctx context.Context, tenant, id string) (uint64, error) {
	return p.printOn(ctx, p.nc, tenant, id)
}

func (p *press) printOn(ctx context.Context, nc *natsgo.Conn, tenant, id string) (uint64, error) {
	reply, err := nc.RequestMsgWithContext(ctx, p.message(tenant, id))
	if err != nil {
		return 0, err
	}
	var ack struct {
		Seq uint64 `json:"seq"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil || ack.Seq == 0 {
		return 0, fmt.Errorf("acknowledged with %s (%w)", reply.Data, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries = append(p.entries, entry{tenant, id, ack.Seq})
	return ack.Seq, nil
}

func (p *press) mustPrint(t testing.TB, tenant, id string, n int) (last uint64) {
	t.Helper()
	for range n {
		var err error
		if last, err = p.print(t.Context(), tenant, id); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

func (p *press) onLog() []entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(slices.Values(p.entries), func(a, b entry) int { return cmp.Compare(a.seq, b.seq) })
}

// settle waits until a reader has all that it has to see of the log, or until nothing has come for a while, and checks it.
func (r *newsReader) settle(onLog []entry) error {
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for had := 0; ; {
		err := r.check(onLog, false)
		if err == nil {
			return nil
		}
		r.mu.Lock()
		if len(r.got) > had {
			had = len(r.got)
			quiet.Reset(silence)
		}
		r.mu.Unlock()
		select {
		case <-tick.C:
		case <-quiet.C:
			return err
		}
	}
}

// TestNewsfeed_GivesEachReaderItsEventsOnceInOrder plays at random: tasks of several tenants go on, live messages are lost, the
// connection breaks, and readers come at any time and begin at any place.
func TestNewsfeed_GivesEachReaderItsEventsOnceInOrder(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	plays := 0
	rapid.Check(t, func(rt *rapid.T) {
		plays++
		playNews(rt, t, broker, fmt.Sprintf("s%d", plays))
	})
}

func playNews(rt *rapid.T, t *testing.T, broker *natstest.Broker, prefix string) {
	nc, _, err := nats.Connect(nats.ConnectConfig{Embedded: broker.Embedded, Name: prefix})
	if err != nil {
		rt.Fatal(err)
	}
	defer nc.Close()
	feed := nats.NewNewsfeed(nc, nats.NewsfeedConfig{Recheck: 20 * time.Millisecond})
	var lose atomic.Int64
	nats.Lose(feed, func(uint64) bool { return lose.Add(-1) >= 0 })
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- feed.Run(ctx) }()
	p := newPress(t, broker.Conn)
	var group sync.WaitGroup
	var readers, early []*newsReader
	defer func() {
		group.Wait()
		for _, r := range readers {
			r.close()
		}
		cancel()
		if err := <-ran; err != nil {
			rt.Errorf("run: %v", err)
		}
	}()
	tenant := rapid.Custom(func(rt *rapid.T) string {
		return prefix + rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "tenant")
	})
	id := rapid.SampledFrom([]string{"t1", "t2", "t3"})
	rt.Repeat(map[string]func(*rapid.T){
		"print": func(rt *rapid.T) {
			tenant, id, n := tenant.Draw(rt, "of"), id.Draw(rt, "task"), rapid.IntRange(1, 40).Draw(rt, "n")
			group.Go(func() {
				for range n {
					if _, err := p.print(t.Context(), tenant, id); err != nil {
						t.Error(err)
					}
				}
			})
		},
		"wait": func(*rapid.T) { group.Wait() },
		"lose": func(rt *rapid.T) { lose.Store(int64(rapid.IntRange(1, 30).Draw(rt, "messages"))) },
		"break": func(rt *rapid.T) {
			if err := nc.ForceReconnect(); err != nil {
				rt.Fatal(err)
			}
		},
		"open": func(rt *rapid.T) {
			onLog := p.onLog()
			after := uint64(0)
			if len(onLog) > 0 {
				after = onLog[rapid.IntRange(0, len(onLog)-1).Draw(rt, "from")].seq
			}
			after = rapid.SampledFrom([]uint64{0, after, after, math.MaxUint64}).Draw(rt, "after")
			r := openNews(rt, feed, tenant.Draw(rt, "of"), rapid.SampledFrom([]string{"", "t1", "t2"}).Draw(rt, "task"), after)
			var err error
			if r.mark, err = p.print(t.Context(), prefix+"mark", "t"); err != nil {
				rt.Fatal(err)
			}
			readers = append(readers, r)
		},
		"close": func(rt *rapid.T) {
			if len(readers) > 0 {
				i := rapid.IntRange(0, len(readers)-1).Draw(rt, "reader")
				readers[i].close()
				early, readers = append(early, readers[i]), slices.Delete(readers, i, i+1)
			}
		},
	})
	group.Wait()
	onLog := p.onLog()
	for _, r := range readers {
		if err := r.settle(onLog); err != nil {
			rt.Error(err)
		}
	}
	for _, r := range early {
		if err := r.check(onLog, true); err != nil {
			rt.Error(err)
		}
	}
}
