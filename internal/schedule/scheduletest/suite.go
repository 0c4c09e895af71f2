package scheduletest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// patience bounds every wait of the suite; nothing is timed.
const patience = 10 * time.Second

// RunDocuments holds a store against the contract of schedule.Documents and campaign.Documents. open returns a store, which may hold
// other documents; sample returns a document under a key, and another one for each n.
func RunDocuments[T any](t *testing.T, open func(t *testing.T) Documents[T], sample func(key string, n int) T) {
	t.Run("GetReturnsWhatPutWrote", func(t *testing.T) {
		store, key := open(t), newKey("a")
		if _, _, err := store.Get(t.Context(), key); !fault.Is(err, fault.NotFound) {
			t.Errorf("before it is written: %v", err)
		}
		first := put(t, store, key, sample(key, 1), 0)
		second := put(t, store, key, sample(key, 2), first)
		if second <= first {
			t.Errorf("revision %d follows %d", second, first)
		}
		got, rev, err := store.Get(t.Context(), key)
		if err != nil || rev != second {
			t.Fatalf("revision %d, want %d: %v", rev, second, err)
		}
		if diff := cmp.Diff(sample(key, 2), got); diff != "" {
			t.Errorf("document (-want +got):\n%s", diff)
		}
	})
	t.Run("PutRefusesWhoIsLate", func(t *testing.T) {
		store, key := open(t), newKey("a")
		if _, err := store.Put(t.Context(), key, sample(key, 1), 7); !fault.Is(err, fault.Conflict) {
			t.Errorf("an update of what is not there: %v", err)
		}
		first := put(t, store, key, sample(key, 1), 0)
		put(t, store, key, sample(key, 2), first)
		for _, rev := range []uint64{0, first} {
			if _, err := store.Put(t.Context(), key, sample(key, 3), rev); !fault.Is(err, fault.Conflict) {
				t.Errorf("put at revision %d: %v", rev, err)
			}
		}
	})
	t.Run("DeletedDocumentsAreGone", func(t *testing.T) {
		store, key := open(t), newKey("a")
		rev := put(t, store, key, sample(key, 1), 0)
		for range 2 {
			if err := store.Delete(t.Context(), key, 0); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := store.Get(t.Context(), key); !fault.Is(err, fault.NotFound) {
			t.Errorf("get: %v", err)
		}
		if _, err := store.Put(t.Context(), key, sample(key, 2), rev); !fault.Is(err, fault.Conflict) {
			t.Errorf("put at the revision before: %v", err)
		}
		put(t, store, key, sample(key, 3), 0)
	})
	t.Run("DeleteRefusesWhoIsLate", func(t *testing.T) {
		store, key := open(t), newKey("a")
		first := put(t, store, key, sample(key, 1), 0)
		second := put(t, store, key, sample(key, 2), first)
		if err := store.Delete(t.Context(), key, first); !fault.Is(err, fault.Conflict) {
			t.Errorf("delete of the revision before: %v", err)
		}
		if err := store.Delete(t.Context(), key, second); err != nil {
			t.Error(err)
		}
	})
	t.Run("ListHoldsWhatMatchesOnce", func(t *testing.T) {
		store, tenant := open(t), "t-"+uuid.NewString()
		kept, dropped, other := newKey(tenant), newKey(tenant), newKey("t-"+uuid.NewString())
		put(t, store, kept, sample(kept, 2), put(t, store, kept, sample(kept, 1), 0))
		for _, key := range []string{dropped, other} {
			put(t, store, key, sample(key, 1), 0)
		}
		if err := store.Delete(t.Context(), dropped, 0); err != nil {
			t.Fatal(err)
		}
		got, err := store.List(t.Context(), tenant+".*", 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]T{sample(kept, 2)}, got); diff != "" {
			t.Errorf("documents (-want +got):\n%s", diff)
		}
		put(t, store, newKey(tenant), sample(kept, 1), 0)
		if got, err = store.List(t.Context(), tenant+".*", 1); err != nil || len(got) != 1 {
			t.Errorf("%d documents, want 1: %v", len(got), err)
		}
	})
	t.Run("OneOfManyWritersWins", func(t *testing.T) {
		store, key := open(t), newKey("a")
		var writers sync.WaitGroup
		won := make(chan uint64, 8)
		for n := range cap(won) {
			writers.Go(func() {
				if rev, err := store.Put(t.Context(), key, sample(key, n), 0); err == nil {
					won <- rev
				} else if !fault.Is(err, fault.Conflict) {
					t.Errorf("writer %d: %v", n, err)
				}
			})
		}
		writers.Wait()
		if len(won) != 1 {
			t.Errorf("%d writers created the document", len(won))
		}
	})
	t.Run("WatchTellsWhatIsThereAndWhatChanges", func(t *testing.T) { watch(t, open(t), sample) })
}

// newKey returns a key as schedules and campaigns have them.
func newKey(tenant string) string { return tenant + "." + uuid.NewString() }

func put[T any](t *testing.T, store Documents[T], key string, doc T, rev uint64) uint64 {
	t.Helper()
	rev, err := store.Put(t.Context(), key, doc, rev)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return rev
}

func watch[T any](t *testing.T, store Documents[T], sample func(key string, n int) T) {
	key := newKey("a")
	rev := put(t, store, key, sample(key, 1), 0)
	type change struct {
		doc  T
		rev  uint64
		gone bool
	}
	changes := make(chan change, 16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- store.Watch(ctx, func(k string, doc T, rev uint64, gone bool) {
			if k == key {
				changes <- change{doc, rev, gone}
			}
		})
	}()
	expect := func(doc T, rev uint64, gone bool) {
		t.Helper()
		select {
		case c := <-changes:
			if c.gone != gone || rev != 0 && c.rev != rev || !gone && !cmp.Equal(c.doc, doc) {
				t.Fatalf("told of %+v, want revision %d, gone %v", c, rev, gone)
			}
		case <-time.After(patience):
			t.Fatal("not told")
		}
	}
	expect(sample(key, 1), rev, false)
	rev = put(t, store, key, sample(key, 2), rev)
	expect(sample(key, 2), rev, false)
	if err := store.Delete(t.Context(), key, 0); err != nil {
		t.Fatal(err)
	}
	var none T
	expect(none, 0, true)
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("the watch ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the watch does not end")
	}
}
