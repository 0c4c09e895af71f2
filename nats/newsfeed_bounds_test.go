package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// openOne opens a reader that ends with the test.
func openOne(t testing.TB, feed *nats.Newsfeed, tenant, id string, after uint64) *newsReader {
	t.Helper()
	r := openNews(t, feed, tenant, id, after)
	t.Cleanup(r.close)
	return r
}

func (r *newsReader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// A feed that ignores sequences, the negative control, loses what the connection lost.
func TestNewsfeed_FindsWhatItDidNotHear(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	p := newPress(t, broker.Conn)
	for _, blind := range []bool{false, true} {
		var heard atomic.Int64
		feed := runFeed(t, connect(t, broker), nats.NewsfeedConfig{Recheck: 50 * time.Millisecond}, func(f *nats.Newsfeed) {
			nats.Lose(f, func(uint64) bool { return heard.Add(1)%7 == 3 })
			if blind {
				nats.BlindFeed(f)
			}
		})
		tenant := fmt.Sprint("school-", blind)
		r := openOne(t, feed, tenant, "", 0)
		p.mustPrint(t, tenant, "t", 101) // the last one is lost, too
		if err := r.settle(p.onLog()); (err != nil) != blind {
			t.Errorf("blind %v: %v", blind, err)
		}
	}
}

// Readers who come while events are stored miss some when they read the log before they listen: that is the negative control.
func TestNewsfeed_SplicesWhatItReadToWhatItHears(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	for _, sloppy := range []bool{false, true} {
		feed := runFeed(t, connect(t, broker), nats.NewsfeedConfig{}, func(f *nats.Newsfeed) {
			if sloppy {
				nats.Sloppy(f)
			}
		})
		p := newPress(t, broker.Conn)
		tenant := fmt.Sprint("school-", sloppy)
		p.mustPrint(t, tenant, "t0", 200) // several pages
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for range 250 {
					<-tick.C
					if _, err := p.print(t.Context(), tenant, fmt.Sprint("t", i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		var readers []*newsReader
		for i := range 60 {
			readers = append(readers, openOne(t, feed, tenant, []string{"", "t1"}[i%2], 0))
		}
		group.Wait()
		var wrong error
		for _, r := range readers {
			if err := r.settle(p.onLog()); err != nil {
				wrong = err
				break
			}
		}
		if (wrong != nil) != sloppy {
			t.Errorf("sloppy %v: %v", sloppy, wrong)
		}
	}
}

func TestNewsfeed_CostsTheBrokerNothingPerReader(t *testing.T) {
	t.Parallel()
	broker := natstest.StartWith(t, nats.EmbeddedConfig{Port: -1}, nats.Topology{Kinds: []string{"quiz"}, InMemory: true})
	nc := connect(t, broker)
	feed := runFeed(t, nc, nats.NewsfeedConfig{})
	first := openOne(t, feed, "school", "", 0)
	p := newPress(t, broker.Conn)
	p.mustPrint(t, "school", "t0", 3)
	if err := first.settle(p.onLog()); err != nil {
		t.Fatal(err)
	}
	subscriptions := func() int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, broker.Embedded.MonitorURL()+"/subsz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var said struct {
			N int `json:"num_subscriptions"`
		}
		if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
		return said.N
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	before, here := subscriptions(), nc.NumSubscriptions()
	const n = 1000
	readers := make([]*newsReader, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { readers[i] = openNews(t, feed, "school", []string{"", "t0", "t1"}[i%3], 0) })
	}
	group.Wait()
	until(t, "the reads of the log are over", func() bool { return subscriptions() == before && nc.NumSubscriptions() == here })
	p.mustPrint(t, "school", "t0", 5)
	p.mustPrint(t, "school", "t1", 5)
	for _, r := range readers {
		if err := r.settle(p.onLog()); err != nil {
			t.Error(err)
		}
	}
	if now := subscriptions(); now != before {
		t.Errorf("%d readers brought the broker from %d subscriptions to %d", n, before, now)
	}
	stream, err := broker.JS.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Consumers; n != 3 {
		t.Errorf("the log has %d consumers, want its three feeds", n)
	}
	for _, r := range readers {
		r.close()
	}
}

func TestNewsfeed_TellsAReaderThatIsTooSlow(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	feed := runFeed(t, connect(t, broker), nats.NewsfeedConfig{Queue: 50})
	p := newPress(t, broker.Conn)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	news, reason, err := feed.Tenant(ctx, "school", 0) // nobody reads
	if err != nil {
		t.Fatal(err)
	}
	fast := openOne(t, feed, "school", "", 0)
	for range 20 {
		p.mustPrint(t, "school", "t", 10)
		if err := fast.settle(p.onLog()); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the slow one is told", func() bool { return reason() != nil })
	if err := reason(); !errors.Is(err, nats.ErrReaderTooSlow) || !fault.Is(err, fault.Unavailable) {
		t.Errorf("ended for %v", err)
	}
	for range news { //nolint:revive // it is closed
	}
	back := openOne(t, feed, "school", "", p.onLog()[9].seq) // it may come back
	if err := back.settle(p.onLog()); err != nil {
		t.Error(err)
	}
}

func TestNewsfeed_SaysThatHistoryIsGone(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	feed := runFeed(t, connect(t, broker), nats.NewsfeedConfig{})
	p := newPress(t, broker.Conn)
	p.mustPrint(t, "school", "t", 20)
	stream, err := broker.JS.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(11)); err != nil { // 1 to 10 are gone
		t.Fatal(err)
	}
	for after, gone := range map[uint64]bool{0: false, 1: true, 9: true, 10: false, 15: false, 20: false, 21: true, math.MaxUint64: false} {
		for _, id := range []string{"", "t"} {
			ctx, cancel := context.WithCancel(t.Context())
			_, _, err := func() (<-chan events.Event, func() error, error) {
				if id == "" {
					return feed.Tenant(ctx, "school", after)
				}
				return feed.Task(ctx, "school", id, after)
			}()
			cancel()
			if errors.Is(err, nats.ErrHistoryGone) != gone || gone && !fault.Is(err, fault.NotFound) || !gone && err != nil {
				t.Errorf("after %d of %q: %v", after, id, err)
			}
		}
	}
}

func TestNewsfeed_EndsReadersWhenTheLogIsReplaced(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	feed := runFeed(t, connect(t, broker), nats.NewsfeedConfig{Recheck: 20 * time.Millisecond})
	p := newPress(t, broker.Conn)
	r := openOne(t, feed, "school", "", 0)
	p.mustPrint(t, "school", "t", 20)
	if err := broker.JS.DeleteStream(t.Context(), events.StreamEvents); err != nil {
		t.Fatal(err)
	}
	if _, err := nats.Provision(t.Context(), broker.JS, nats.Topology{Kinds: natstest.Kinds(), InMemory: true}); err != nil {
		t.Fatal(err)
	}
	wait(t, "the reader has ended", r.done)
	if err := r.reason(); !errors.Is(err, nats.ErrHistoryGone) {
		t.Errorf("ended for %v", err)
	}
	again := newPress(t, broker.Conn)
	fresh := openOne(t, feed, "school", "", 0)
	again.mustPrint(t, "school", "t", 5)
	if err := fresh.settle(again.onLog()); err != nil {
		t.Error(err)
	}
}

// Where very much is missing, readers read their own part of it.
func TestNewsfeed_LeavesALongGapToItsReaders(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	var deaf atomic.Bool
	feed := runFeed(t, connect(t, broker), nats.NewsfeedConfig{Recheck: time.Hour}, func(f *nats.Newsfeed) {
		nats.Lose(f, func(uint64) bool { return deaf.Load() })
	})
	p := newPress(t, broker.Conn)
	readers := []*newsReader{openOne(t, feed, "school", "", 0), openOne(t, feed, "school", "t1", 0), openOne(t, feed, "quiet", "", 0)}
	p.mustPrint(t, "school", "t1", 3)
	p.mustPrint(t, "quiet", "t", 1)
	until(t, "the readers are there", func() bool { return readers[0].count() == 3 })
	deaf.Store(true)
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			for range 900 {
				if _, err := p.print(t.Context(), []string{"school", "other"}[i%2], fmt.Sprint("t", i/2)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	deaf.Store(false)
	p.mustPrint(t, "school", "t1", 3)
	for _, r := range readers {
		if err := r.settle(p.onLog()); err != nil {
			t.Error(err)
		}
	}
}

func TestNewsfeed_PassesProgressOn(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	feed := runFeed(t, connect(t, broker), nats.NewsfeedConfig{})
	ofTenant, ofTask, ofOther := openOne(t, feed, "school", "", 0), openOne(t, feed, "school", "t", 0), openOne(t, feed, "school", "u", 0)
	reports := func(r *newsReader) int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.reports
	}
	log := newLog(broker)
	until(t, "both have reports", func() bool {
		if err := log.Report(t.Context(), tasktest.Event(t, "school", "t", events.Progress{Attempt: 1, Percent: 5})); err != nil {
			t.Error(err)
		}
		return reports(ofTenant) > 2 && reports(ofTask) > 2
	})
	if reports(ofOther) > 0 {
		t.Error("another task's reader has reports")
	}
}

func TestNewsfeed_EndsItsReadersWhenItEnds(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	feed := nats.NewNewsfeed(connect(t, broker), nats.NewsfeedConfig{MaxReaders: 1})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- feed.Run(ctx) }()
	r := openOne(t, feed, "school", "", 0)
	if _, _, err := feed.Tenant(ctx, "school", 0); !fault.Is(err, fault.Unavailable) {
		t.Errorf("one reader too many: %v", err)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("run: %v", err)
	}
	wait(t, "the reader has ended", r.done)
	if err := r.reason(); !fault.Is(err, fault.Unavailable) {
		t.Errorf("ended for %v", err)
	}
	if _, _, err := feed.Tenant(t.Context(), "school", 0); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a reader of a feed that has ended: %v", err)
	}
	for _, tenant := range []string{"", "a.b", "*"} {
		if _, _, err := feed.Tenant(t.Context(), tenant, 0); !fault.Is(err, fault.Invalid) {
			t.Errorf("tenant %q: %v", tenant, err)
		}
		if _, _, err := feed.Task(t.Context(), "school", tenant, 0); !fault.Is(err, fault.Invalid) {
			t.Errorf("task %q: %v", tenant, err)
		}
	}
}

func TestNewsfeed_GoesOnWhenTheBrokerIsKilled(t *testing.T) {
	t.Parallel()
	broker := startMortal(t)
	client := broker.connect(t)
	until(t, "the broker is provisioned", func() bool {
		_, err := nats.Provision(t.Context(), client.JS, nats.Topology{Kinds: natstest.Kinds()})
		return err == nil
	})
	feed := runFeed(t, broker.connect(t).Conn, nats.NewsfeedConfig{Recheck: 50 * time.Millisecond})
	p := newPress(t, client.Conn)
	readers := []*newsReader{openOne(t, feed, "school", "", 0), openOne(t, feed, "school", "t", 0)}
	for range 2 {
		p.mustPrint(t, "school", "t", 10)
		broker.kill(t)
		broker.start(t)
		until(t, "the log is written again", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := p.print(ctx, "school", "t")
			return err == nil
		})
	}
	for _, r := range readers {
		if err := r.settle(p.onLog()); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkNewsfeed passes one event to a tenant's readers, each of which takes it.
func BenchmarkNewsfeed(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n, " readers"), func(b *testing.B) {
			broker := start(b)
			feed := runFeed(b, connect(b, broker), nats.NewsfeedConfig{})
			var group sync.WaitGroup
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			for range n {
				news, _, err := feed.Tenant(ctx, "school", math.MaxUint64)
				if err != nil {
					b.Fatal(err)
				}
				go func() {
					for range news {
						group.Done()
					}
				}()
			}
			p := newPress(b, broker.Conn)
			for b.Loop() {
				group.Add(n)
				p.mustPrint(b, "school", "t", 1)
				group.Wait()
			}
		})
	}
}
