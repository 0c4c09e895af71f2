package nats_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func TestBlobs_KeepTheContract(t *testing.T) {
	t.Parallel()
	tasktest.RunBlobs(t, func(t *testing.T) task.Blobs { return nats.NewBlobs(natstest.Start(t).JS) })
}

func blobMessages(t *testing.T, broker *natstest.Broker) uint64 {
	t.Helper()
	stream, err := broker.JS.Stream(t.Context(), "OBJ_"+nats.BucketBlobs)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

// The usual tools read what we store: it is an object bucket.
func TestBlobs_AreObjectsToOthers(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	blobs := nats.NewBlobs(broker.JS)
	data := make([]byte, 700<<10)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	ref, err := blobs.Put(t.Context(), "school", "t1", data)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := broker.JS.ObjectStore(t.Context(), nats.BucketBlobs)
	if err != nil {
		t.Fatal(err)
	}
	object, err := bucket.Get(t.Context(), ref.Key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(object) // checks the digest
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("another client read %d bytes: %v", len(got), err)
	}
	stored := blobMessages(t, broker)
	if _, err := blobs.Put(t.Context(), "school", "t1", data); err != nil {
		t.Fatal(err)
	}
	if now := blobMessages(t, broker); now != stored {
		t.Errorf("the same data once more made %d messages of %d", now, stored)
	}
	if err := bucket.Delete(t.Context(), ref.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := blobs.Get(t.Context(), ref); !fault.Is(err, fault.NotFound) {
		t.Errorf("after another client deleted it: got %v, want NotFound", err)
	}
}

func TestBlobs_SayWhenChunksAreGone(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	blobs := nats.NewBlobs(broker.JS)
	ref, err := blobs.Put(t.Context(), "school", "t1", bytes.Repeat([]byte("x"), 600<<10))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := broker.JS.Stream(t.Context(), "OBJ_"+nats.BucketBlobs)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 1); err != nil { // as age does, the first chunk first
		t.Fatal(err)
	}
	if _, err := blobs.Get(t.Context(), ref); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v, want NotFound", err)
	}
}

func TestBlobs_RefuseNamesAndSayWhenTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	blobs := nats.NewBlobs(broker.JS)
	if _, err := blobs.Put(t.Context(), "a/b", "t1", nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v, want Invalid", err)
	}
	empty, err := blobs.Put(t.Context(), "school", "t1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := blobs.Get(t.Context(), empty); err != nil || len(got) != 0 {
		t.Errorf("an empty object: got %d bytes, %v", len(got), err)
	}
	if _, err := blobs.Get(t.Context(), events.Reference{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a reference to nothing: got %v, want NotFound", err)
	}
	broker.Embedded.Shutdown()
	until(t, "the connection is lost", func() bool { return !broker.Conn.IsConnected() })
	if _, err := blobs.Get(t.Context(), empty); !fault.Is(err, fault.Unavailable) {
		t.Errorf("read without a broker: got %v, want Unavailable", err)
	}
	if _, err := blobs.Put(t.Context(), "school", "t1", nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("stored without a broker: got %v, want Unavailable", err)
	}
}
