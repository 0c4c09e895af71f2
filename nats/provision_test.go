package nats_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func TestProvision_MakesThenLeavesThenChanges(t *testing.T) {
	t.Parallel()
	broker := natstest.StartWith(t, nats.EmbeddedConfig{Port: -1, MonitorPort: -1}, nats.Topology{Kinds: []string{"quiz"}})
	provision := func(topology nats.Topology) []string {
		t.Helper()
		changes, err := nats.Provision(t.Context(), broker.JS, topology)
		if err != nil {
			t.Fatal(err)
		}
		return changes
	}
	if changes := provision(nats.Topology{Kinds: []string{"quiz"}}); len(changes) > 0 {
		t.Errorf("the second time it changed %q", changes)
	}
	stream, err := broker.JS.Stream(t.Context(), events.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	own := stream.CachedInfo().Config
	own.Metadata = map[string]string{"owner": "operations"}
	if _, err := broker.JS.UpdateStream(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	changes := provision(nats.Topology{Kinds: []string{"content", "quiz"}, EventsMaxAge: 48 * time.Hour, TasksMaxMsgs: 500, AckWait: 30 * time.Second})
	want := []string{
		"consumer TASKS/work-content-high: created",
		"consumer TASKS/work-content-low: created",
		"consumer TASKS/work-content-normal: created",
		"consumer TASKS/work-quiz-high: ack_wait 45s → 30s",
		"consumer TASKS/work-quiz-low: ack_wait 45s → 30s",
		"consumer TASKS/work-quiz-normal: ack_wait 45s → 30s",
		"stream EVENTS: max_age 720h0m0s → 48h0m0s",
		"stream OBJ_BLOBS: max_age 720h0m0s → 48h0m0s",
		"stream TASKS: max_msgs 1000000 → 500",
	}
	slices.Sort(changes)
	if !slices.Equal(changes, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(changes, "\n"), strings.Join(want, "\n"))
	}
	if stream, err = broker.JS.Stream(t.Context(), events.StreamEvents); err != nil {
		t.Fatal(err)
	}
	if stream.CachedInfo().Config.Metadata["owner"] != "operations" {
		t.Error("a setting of the operator's is gone")
	}
}

func TestProvision_BuildsWhatTheDesignSays(t *testing.T) {
	t.Parallel()
	broker := natstest.StartWith(t, nats.EmbeddedConfig{Port: -1, MonitorPort: -1}, nats.Topology{Kinds: []string{"quiz"}})
	config := func(name string) jetstream.StreamConfig {
		stream, err := broker.JS.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().Config
	}
	e, q, p := config(events.StreamEvents), config(events.StreamTasks), config(events.StreamProgress)
	if e.Retention != jetstream.LimitsPolicy || e.Discard != jetstream.DiscardOld || !e.AllowDirect || e.RePublish == nil || e.Storage != jetstream.FileStorage {
		t.Errorf("EVENTS: %+v", e)
	}
	if q.Retention != jetstream.WorkQueuePolicy || q.Discard != jetstream.DiscardNew || q.MaxMsgsPerSubject != 1 || !q.DiscardNewPerSubject {
		t.Errorf("TASKS: %+v", q)
	}
	if p.Storage != jetstream.FileStorage || p.PersistMode != jetstream.AsyncPersistMode || p.MaxAge != time.Hour || p.RePublish == nil {
		t.Errorf("PROGRESS: %+v", p)
	}
	docs, lease, gate := config("KV_"+nats.BucketPolicy), config("KV_"+nats.BucketLeases), config("KV_"+nats.BucketGate)
	if docs.MaxMsgsPerSubject != 16 || docs.Storage != jetstream.FileStorage || !docs.DenyDelete || !docs.AllowRollup || docs.MaxMsgSize < nats.MaxDocument {
		t.Errorf("POLICY: %+v", docs)
	}
	if lease.MaxAge != 10*time.Second || lease.MaxMsgsPerSubject != 1 || lease.Storage != jetstream.FileStorage || gate.Storage != jetstream.FileStorage || gate.PersistMode != jetstream.AsyncPersistMode {
		t.Errorf("LEASES: %+v, GATE: %+v", lease, gate)
	}
	if cache := config("KV_" + nats.BucketChannelCache); cache.MaxAge != 30*time.Minute || cache.MaxMsgsPerSubject != 1 || cache.MaxBytes <= 0 || cache.Discard != jetstream.DiscardOld || !cache.AllowMsgTTL || cache.PersistMode != jetstream.AsyncPersistMode {
		t.Errorf("CHANNEL_CACHE: %+v", cache)
	}
	if blobs := config("OBJ_" + nats.BucketBlobs); blobs.MaxAge != e.MaxAge {
		t.Errorf("BLOBS live %s, events %s", blobs.MaxAge, e.MaxAge)
	}
	if audit := config(nats.StreamAudit); audit.MaxAge != 365*24*time.Hour || !audit.DenyDelete || !audit.DenyPurge {
		t.Errorf("AUDIT: %+v", audit)
	}
	if access := config(nats.StreamAccess); access.MaxAge != 400*24*time.Hour || !access.DenyDelete || !access.DenyPurge {
		t.Errorf("ACCESS: %+v", access)
	}
	c := consumerInfo(t, broker, "quiz", events.Low).Config
	if c.MaxDeliver != -1 || c.MaxAckPending != -1 || len(c.BackOff) > 0 || c.AckWait != 45*time.Second || c.AckPolicy != jetstream.AckExplicitPolicy {
		t.Errorf("work consumer: %+v", c)
	}
}

func TestProvision_RefusesNonsense(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	for name, topology := range map[string]nats.Topology{
		"kind":       {Kinds: []string{"a.b"}},
		"kind twice": {Kinds: []string{"quiz", "quiz"}},
		"replicas":   {Replicas: 2},
		"negative":   {AckWait: -1},
	} {
		if changes, err := nats.Provision(t.Context(), broker.JS, topology); err == nil || len(changes) > 0 {
			t.Errorf("%s: got %v, %v", name, changes, err)
		}
	}
	// What cannot be changed is refused by the broker, and says so.
	if _, err := nats.Provision(t.Context(), broker.JS, nats.Topology{Kinds: natstest.Kinds()}); err == nil || !strings.Contains(err.Error(), "storage") {
		t.Errorf("streams moved from memory to disk: %v", err)
	}
}
