package nats_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// startCluster runs three nodes as cluster.conf says, and provisions them with three replicas.
func startCluster(t *testing.T, c certificates) []*server.Server {
	t.Helper()
	var nodes []*server.Server
	routes := []*url.URL{{Scheme: "tls", Host: "127.0.0.1:1"}} // a node must know another one, be it there or not
	for i := range 3 {
		t.Setenv("NATS_SERVER_NAME", fmt.Sprintf("node-%d", i+1))
		t.Setenv("NATS_STORE_DIR", t.TempDir())
		nodes = append(nodes, startConf(t, "cluster.conf", func(opts *server.Options) {
			opts.Cluster.Host, opts.Cluster.Port, opts.Routes = "127.0.0.1", -1, routes
			opts.SyncAlways = false // three disks that are one would only cost time
		}))
		routes = append(routes, &url.URL{Scheme: "tls", User: url.UserPassword("node", "between-nodes"), Host: nodes[i].ClusterAddr().String()})
	}
	migrate := as(t, nodes[0], c, "migrate")
	until(t, "the cluster has a leader and takes streams", func() bool {
		_, err := nats.Provision(t.Context(), migrate.JS, nats.Topology{Kinds: natstest.Kinds(), Replicas: 3, PinTTL: time.Second})
		return err == nil
	})
	return nodes
}

// TestCluster holds the contracts on three replicas, where direct reads are answered by followers too.
func TestCluster(t *testing.T) {
	c := newCertificates(t)
	setEnv(t, c)
	nodes := startCluster(t, c)
	logs := make([]*nats.Log, len(nodes))
	for i, node := range nodes {
		logs[i] = newLog(as(t, node, c, "api"))
	}
	t.Run("KeepsTheContracts", func(t *testing.T) {
		turn := 0
		tasktest.RunLog(t, func(*testing.T) task.Log { turn++; return logs[turn%len(logs)] })
	})
	t.Run("KeepsTheContractsWithGroupCommit", func(t *testing.T) {
		api := as(t, nodes[1], c, "api")
		tasktest.RunLog(t, func(*testing.T) task.Log { return newGrouped(api) })
		log := newGrouped(api)
		for range 5 {
			appends := withAStaleOne(t, log, 50)
			together(t, log, appends)
			checkStored(t, api, appends[:49])
			if task.Stale(appends[49].err) == nil {
				t.Errorf("the late append: %v", appends[49].err)
			}
		}
	})
	t.Run("ReadsItsWritesFromEveryNode", func(t *testing.T) {
		for i := range 300 {
			h := history(t, logs[i%3], 2)
			got, err := logs[(i+1)%3].History(t.Context(), "school", h[0].Task, 0, 0)
			if err != nil || len(got) != 2 || got[1].Seq != h[1].Seq {
				t.Fatalf("task %d: read %d events (%v), want 2", i, len(got), err)
			}
		}
	})
	t.Run("ReadsDocumentsAndObjectsFromEveryNode", func(t *testing.T) {
		for i := range 20 {
			writer, reader := nodes[i%3], nodes[(i+1)%3]
			key := fmt.Sprintf("school.n%d", i)
			revision := put(t, newDocuments(t, as(t, writer, c, "api").JS), key, "one", 0)
			if doc, at, err := newDocuments(t, as(t, reader, c, "api").JS).Get(t.Context(), key); err != nil || doc.Text != "one" || at != revision {
				t.Errorf("document %d: read %+v at %d (%v), want revision %d", i, doc, at, err, revision)
			}
			ref, err := nats.NewBlobs(as(t, writer, c, "worker").JS).Put(t.Context(), "school", key[7:], make([]byte, 600<<10))
			if err != nil {
				t.Fatal(err)
			}
			if data, err := nats.NewBlobs(as(t, reader, c, "api").JS).Get(t.Context(), ref); err != nil || len(data) != ref.Bytes {
				t.Errorf("object %d: read %d bytes (%v), want %d", i, len(data), err, ref.Bytes)
			}
		}
	})
	t.Run("SurvivesTheLeader", func(t *testing.T) { survivesTheLeader(t, c, nodes, logs) })
}

// survivesTheLeader stops the leader of the log while it is written, followed and worked off.
func survivesTheLeader(t *testing.T, c certificates, nodes []*server.Server, logs []*nats.Log) {
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
	worker := as(t, nodes[alive[0]], c, "worker")
	messages := subscribe(t, newSubscriber(t, worker, nats.SubscriberConfig{}), "quiz")
	recorder := startReader(t, as(t, nodes[alive[1]], c, "recorder"), nil, nats.FeedConfig{Wait: time.Millisecond}, nil)
	until(t, "the recorder is served", recorder.feed.Active)
	log, queue := logs[alive[0]], newQueue(t, as(t, nodes[alive[0]], c, "api"))
	h := history(t, log, 1)
	leases := []*candidate{
		runLease(t, as(t, nodes[alive[0]], c, "dispatcher").Conn, "a", nil), runLease(t, as(t, nodes[alive[1]], c, "dispatcher").Conn, "b", nil),
	}
	oneHolds := func() bool {
		if leases[0].Held() && leases[1].Held() {
			t.Error("both hold the lease")
		}
		return leases[0].Held() || leases[1].Held()
	}
	until(t, "one has the lease", oneHolds)
	watched, _ := watch(t, newLog(as(t, nodes[alive[1]], c, "dispatcher")))
	followed := follow(t, logs[alive[1]], h[0].Task, 0)
	next(t, followed)
	for i, node := range nodes {
		if i != alive[0] && i != alive[1] {
			node.Shutdown()
		}
	}
	for attempt := range 20 {
		e := tasktest.Event(t, "school", h[0].Task, events.Started{Attempt: attempt + 1, Dispatch: 1, Worker: "w"})
		last := h[len(h)-1].Seq
		if err := task.Patiently(t.Context(), 2*patience, func(ctx context.Context) (err error) {
			e.Seq, err = log.Append(ctx, e, last)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		h = append(h, e)
		if got := next(t, followed); got.Seq != e.Seq {
			t.Fatalf("followed %d, want %d", got.Seq, e.Seq)
		}
	}
	if err := task.Patiently(t.Context(), 2*patience, func(ctx context.Context) error { return queue.Dispatch(ctx, tasktest.EntryOf(t, h[0]), h[0]) }); err != nil {
		t.Fatal(err)
	}
	msg := receive(t, messages)
	if taskOf(t, msg) != h[0].Task {
		t.Errorf("got task %s, want %s", taskOf(t, msg), h[0].Task)
	}
	msg.Ack()
	last := h[len(h)-1].Seq
	until(t, "the recorder has come to the end", func() bool { return slices.Contains(recorder.got(), last) })
	until(t, "the watch has come to the end", func() bool { return next(t, watched).Seq == last })
	until(t, "one has the lease again", oneHolds)
	recorder.stop()
	got := recorder.got()
	seen := slices.Compact(slices.Sorted(slices.Values(got)))
	if first := seen[0]; uint64(len(seen)) != last-first+1 {
		t.Errorf("the recorder has %d of the events %d to %d", len(seen), first, last)
	}
}
