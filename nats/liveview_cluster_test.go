package nats_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/channels/channelstest"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
)

// TestCluster_LiveView holds the channel bus and the newsfeed on three nodes, with processes on each.
func TestCluster_LiveView(t *testing.T) {
	c := newCertificates(t)
	setEnv(t, c)
	nodes := startCluster(t, c)
	t.Run("TheBusKeepsItsContract", func(t *testing.T) {
		channelstest.RunBus(t, func(*testing.T) channelstest.Setup {
			turn := 0
			return channelstest.Setup{Overflow: 3000, Loose: true, Join: func(t *testing.T) channels.Bus {
				turn++
				bus := newBus(t, as(t, nodes[turn%3], c, "api").JS)
				nats.BoundBus(bus, 2000, 4<<20)
				return bus
			}}
		})
	})
	var feeds []*nats.Newsfeed
	for i, node := range nodes {
		var heard atomic.Int64
		feeds = append(feeds, runFeed(t, as(t, node, c, "api").Conn, nats.NewsfeedConfig{Recheck: 100 * time.Millisecond}, func(f *nats.Newsfeed) {
			nats.Lose(f, func(uint64) bool { return i > 0 && heard.Add(1)%10 == 0 })
		}))
	}
	t.Run("ReadersOnEveryNodeSeeEverything", func(t *testing.T) { readersSeeEverything(t, c, nodes, feeds) })
	t.Run("ReadersSurviveTheLeader", func(t *testing.T) { readersSurviveTheLeader(t, c, nodes, feeds) })
}

// readersSeeEverything has readers come while every node takes appends, so that followers lag.
func readersSeeEverything(t *testing.T, c certificates, nodes []*server.Server, feeds []*nats.Newsfeed) {
	p := newPress(t, nil)
	var group sync.WaitGroup
	for i, node := range nodes {
		nc := as(t, node, c, "api").Conn
		group.Go(func() {
			for n := range 400 {
				if _, err := p.printOn(t.Context(), nc, "school", fmt.Sprint("t", (i+n)%4)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var readers []*newsReader
	for i := range 45 {
		readers = append(readers, openOne(t, feeds[i%3], "school", []string{"", "t1", "t3"}[i/3%3], 0))
	}
	group.Wait()
	for _, r := range readers {
		if err := r.settle(p.onLog()); err != nil {
			t.Error(err)
		}
	}
}

// readersSurviveTheLeader stops the log's leader while it is written and read.
func readersSurviveTheLeader(t *testing.T, c certificates, nodes []*server.Server, feeds []*nats.Newsfeed) {
	stream, err := as(t, nodes[0], c, "monitor").JS.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	leader := stream.CachedInfo().Cluster.Leader
	var alive []int
	for i, node := range nodes {
		if node.Name() != leader {
			alive = append(alive, i)
		}
	}
	log := newLog(as(t, nodes[alive[0]], c, "api"))
	q := tasktest.MustAppend(t, log, tasktest.QueuedEvent(t, "fallen"), 0)
	readers := []*newsReader{openOne(t, feeds[alive[0]], "fallen", "", 0), openOne(t, feeds[alive[1]], "fallen", q.Task, 0)}
	p := &press{entries: []entry{{"fallen", q.Task, q.Seq}}}
	for i := range 60 {
		if i == 20 {
			for _, node := range nodes {
				if node.Name() == leader {
					node.Shutdown()
				}
			}
		}
		e := tasktest.Event(t, "fallen", q.Task, events.Started{Attempt: i + 1, Dispatch: 1, Worker: "w"})
		last := p.entries[len(p.entries)-1].seq
		if err := task.Patiently(t.Context(), 2*patience, func(ctx context.Context) (err error) {
			e.Seq, err = log.Append(ctx, e, last)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		p.entries = append(p.entries, entry{"fallen", q.Task, e.Seq})
	}
	for _, r := range readers {
		if err := r.settle(p.onLog()); err != nil {
			t.Error(err)
		}
	}
}
