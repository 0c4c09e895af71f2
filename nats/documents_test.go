package nats_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

type note struct {
	Text string `json:"text"`
}

func newDocuments(t testing.TB, js jetstream.JetStream) *nats.Documents[note] {
	t.Helper()
	docs, err := nats.NewDocuments[note](js, nats.BucketSchedules, nil)
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func put(t testing.TB, docs *nats.Documents[note], key, text string, revision uint64) uint64 {
	t.Helper()
	revision, err := docs.Put(t.Context(), key, note{text}, revision)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func TestDocuments_LetOneOfTwoWritersWin(t *testing.T) {
	t.Parallel()
	docs := newDocuments(t, natstest.Start(t).JS)
	if _, _, err := docs.Get(t.Context(), "a"); !fault.Is(err, fault.NotFound) {
		t.Errorf("before the first write: got %v, want NotFound", err)
	}
	first := put(t, docs, "a", "one", 0)
	second := put(t, docs, "a", "two", first)
	for _, stale := range []uint64{0, first, second + 7} {
		_, err := docs.Put(t.Context(), "a", note{"three"}, stale)
		if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "revision 2") {
			t.Errorf("in the place of %d: got %v, want a Conflict that names revision %d", stale, err, second)
		}
	}
	if got, err := docs.Put(t.Context(), "a", note{"two"}, first); err != nil || got != second {
		t.Errorf("a repeated write: got %d, %v; want %d", got, err, second)
	}
	if value, revision, err := docs.Get(t.Context(), "a"); err != nil || value.Text != "two" || revision != second {
		t.Errorf("got %q at %d (%v), want two at %d", value.Text, revision, err, second)
	}
	var won atomic.Int64
	var group sync.WaitGroup
	for _, text := range []string{"x", "y", "z"} {
		group.Go(func() {
			switch _, err := docs.Put(t.Context(), "a", note{text}, second); {
			case err == nil:
				won.Add(1)
			case !fault.Is(err, fault.Conflict):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of three writers won", won.Load())
	}
}

func TestDocuments_DeleteAndBeginAnew(t *testing.T) {
	t.Parallel()
	docs := newDocuments(t, natstest.Start(t).JS)
	first := put(t, docs, "a", "one", 0)
	if err := docs.Delete(t.Context(), "a", first+1); !fault.Is(err, fault.Conflict) {
		t.Errorf("of another revision: got %v, want Conflict", err)
	}
	for range 2 {
		if err := docs.Delete(t.Context(), "a", 0); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := docs.Get(t.Context(), "a"); !fault.Is(err, fault.NotFound) {
		t.Errorf("after the end: got %v, want NotFound", err)
	}
	if _, err := docs.Put(t.Context(), "a", note{"two"}, first); !fault.Is(err, fault.Conflict) {
		t.Errorf("in the place of what was deleted: got %v, want Conflict", err)
	}
	second := put(t, docs, "a", "two", 0)
	if err := docs.Delete(t.Context(), "a", second); err != nil {
		t.Error(err)
	}
	if found, err := docs.List(t.Context(), "", 0); err != nil || len(found) > 0 {
		t.Errorf("listed %v, %v", found, err)
	}
}

func TestDocuments_ListWhatMatches(t *testing.T) {
	t.Parallel()
	docs := newDocuments(t, natstest.Start(t).JS)
	for _, key := range []string{"school.b", "school.a", "other.c"} {
		put(t, docs, key, key, 0)
	}
	for _, c := range []struct {
		pattern string
		limit   int
		want    string
	}{
		{"", 0, "other.c school.a school.b"}, {"school.*", 0, "school.a school.b"}, {"*.c", 0, "other.c"}, {"none.>", 0, ""}, {"school.>", 1, "school.b"},
	} {
		found, err := docs.List(t.Context(), c.pattern, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, doc := range found {
			keys = append(keys, doc.Key)
			if doc.Value.Text != doc.Key || doc.Revision == 0 || time.Since(doc.At) > time.Minute {
				t.Errorf("listed %+v", doc)
			}
		}
		if got := strings.Join(keys, " "); got != c.want {
			t.Errorf("%q: listed %q, want %q", c.pattern, got, c.want)
		}
	}
	if _, err := docs.List(t.Context(), "a.>.b", 0); !fault.Is(err, fault.Invalid) {
		t.Errorf("a pattern that is none: got %v", err)
	}
}

func TestDocuments_RefuseKeysAndSizes(t *testing.T) {
	t.Parallel()
	docs := newDocuments(t, natstest.Start(t).JS)
	for _, key := range []string{"", ".", "a.", ".a", "a..b", "a b", "a*", "*", ">", "a.>", "ä", strings.Repeat("k", 201)} {
		_, _, getErr := docs.Get(t.Context(), key)
		_, putErr := docs.Put(t.Context(), key, note{}, 0)
		_, pastErr := docs.History(t.Context(), key)
		for _, err := range []error{getErr, putErr, pastErr, docs.Delete(t.Context(), key, 0)} {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("key %q: got %v, want Invalid", key, err)
			}
		}
	}
	const frame = len(`{"text":""}`)
	if _, err := docs.Put(t.Context(), "large", note{strings.Repeat("x", nats.MaxDocument-frame+1)}, 0); !fault.Is(err, fault.TooLarge) {
		t.Errorf("one byte too many: got %v, want TooLarge", err)
	}
	put(t, docs, "large", strings.Repeat("x", nats.MaxDocument-frame), 0)
	if _, err := nats.NewDocuments[note](nil, "a.b", nil); err == nil {
		t.Error("took a bucket that is none")
	}
}

// mirror is what a watch has shown.
type mirror struct {
	mu    sync.Mutex
	texts map[string]string
	shown int
}

func (m *mirror) show(doc nats.Document[note]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown++
	if doc.Deleted {
		delete(m.texts, doc.Key)
		return
	}
	m.texts[doc.Key] = doc.Value.Text
}

func (m *mirror) is(want map[string]string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return cmp.Equal(m.texts, want)
}

func (m *mirror) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shown
}

func watchDocuments(t *testing.T, docs *nats.Documents[note]) *mirror {
	t.Helper()
	m := &mirror{texts: map[string]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := docs.Watch(ctx, m.show); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return m
}

func TestDocuments_WatchSurvivesTheBroker(t *testing.T) {
	t.Parallel()
	broker := startMortal(t)
	client := broker.connect(t)
	until(t, "the broker is provisioned", func() bool {
		_, err := nats.Provision(t.Context(), client.JS, nats.Topology{})
		return err == nil
	})
	docs := newDocuments(t, client.JS)
	a := put(t, docs, "a", "one", 0)
	put(t, docs, "b", "one", 0)
	m := watchDocuments(t, newDocuments(t, broker.connect(t).JS))
	until(t, "all is shown", func() bool { return m.is(map[string]string{"a": "one", "b": "one"}) })
	shown := m.count()
	broker.kill(t)
	broker.start(t)
	until(t, "the broker is back", client.Conn.IsConnected)
	a = put(t, docs, "a", "two", a)
	if err := docs.Delete(t.Context(), "b", 0); err != nil {
		t.Fatal(err)
	}
	until(t, "the changes are shown", func() bool { return m.is(map[string]string{"a": "two"}) })
	put(t, docs, "a", "three", a)
	until(t, "the next change is shown", func() bool { return m.is(map[string]string{"a": "three"}) })
	if now := m.count(); now != shown+3 {
		t.Errorf("three changes were shown as %d", now-shown)
	}
}

// A bucket in memory is empty after a restart, and nothing on it tells of what was lost.
func TestDocuments_WatchShowsWhatABucketLost(t *testing.T) {
	t.Parallel()
	broker := natstest.StartWith(t, nats.EmbeddedConfig{MonitorPort: -1}, nats.Topology{Kinds: natstest.Kinds(), InMemory: true})
	docs := newDocuments(t, broker.JS)
	put(t, docs, "a", "one", 0)
	put(t, docs, "b", "one", 0)
	between := startProxy(t, broker.Embedded.URL())
	m := watchDocuments(t, newDocuments(t, mustJetStream(t, between.connect(t))))
	until(t, "all is shown", func() bool { return m.is(map[string]string{"a": "one", "b": "one"}) })
	back := between.hangUp() // who looks for a bucket that is not there ends
	if err := broker.JS.DeleteStream(t.Context(), "KV_"+nats.BucketSchedules); err != nil {
		t.Fatal(err)
	}
	if _, err := nats.Provision(t.Context(), broker.JS, nats.Topology{Kinds: natstest.Kinds(), InMemory: true}); err != nil {
		t.Fatal(err)
	}
	put(t, docs, "b", "two", 0)
	back()
	until(t, "what is gone is gone", func() bool { return m.is(map[string]string{"b": "two"}) })
}

func TestDocuments_WatchNeedsItsBucket(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	docs, err := nats.NewDocuments[note](broker.JS, "NONE", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := docs.Watch(t.Context(), func(nats.Document[note]) {}); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("got %v, want that there is no such stream", err)
	}
	broker.Embedded.Shutdown()
	until(t, "the connection is lost", func() bool { return !broker.Conn.IsConnected() })
	if _, _, err := docs.Get(t.Context(), "a"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a broker: got %v, want Unavailable", err)
	}
}

func FuzzDocuments_Keys(f *testing.F) {
	for _, seed := range []string{"a", "a.b", ".", "a..b", "*", ">", "a b", "ä", "\x00", "a=b/c-d_e"} {
		f.Add(seed)
	}
	docs := newDocuments(f, natstest.Start(f).JS)
	f.Fuzz(func(t *testing.T, key string) {
		_, err := docs.Put(t.Context(), key, note{key}, 0)
		if fault.Is(err, fault.Invalid) {
			return
		}
		if err != nil && !fault.Is(err, fault.Conflict) {
			t.Fatalf("put %q: %v", key, err)
		}
		if got, _, err := docs.Get(t.Context(), key); err != nil || got.Text != key {
			t.Errorf("%q was stored and is read as %q (%v)", key, got.Text, err)
		}
	})
}
