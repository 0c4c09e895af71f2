package tasktest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Blobs is a task.Blobs in memory. It is safe for concurrent use.
type Blobs struct {
	mu      sync.Mutex
	objects map[string][]byte
	down    bool
}

var _ task.Blobs = (*Blobs)(nil)

// NewBlobs returns an empty one.
func NewBlobs() *Blobs { return &Blobs{objects: map[string][]byte{}} }

// SetDown makes every call fail as it does while the store is away.
func (b *Blobs) SetDown(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// Forget drops an object, as the store does with what is too old.
func (b *Blobs) Forget(ref events.Reference) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, ref.Key)
}

// Len returns how many objects there are.
func (b *Blobs) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.objects)
}

// Put implements task.Blobs.
func (b *Blobs) Put(ctx context.Context, tenant, id string, data []byte) (events.Reference, error) {
	if err := ctx.Err(); err != nil {
		return events.Reference{}, err
	}
	if len(data) > task.MaxBlob {
		return events.Reference{}, fault.New(fault.TooLarge, "the object has %d bytes, at most %d are allowed", len(data), task.MaxBlob)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.away(); err != nil {
		return events.Reference{}, err
	}
	sum := sha256.Sum256(data)
	ref := events.Reference{Bytes: len(data), SHA256: hex.EncodeToString(sum[:])}
	ref.Key = tenant + "/" + id + "/" + ref.SHA256
	b.objects[ref.Key] = bytes.Clone(data)
	return ref, nil
}

// Get implements task.Blobs.
func (b *Blobs) Get(ctx context.Context, ref events.Reference) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.away(); err != nil {
		return nil, err
	}
	data, ok := b.objects[ref.Key]
	if !ok {
		return nil, fault.New(fault.NotFound, "the object %s is gone", ref.Key)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != ref.SHA256 {
		return nil, fmt.Errorf("the object %s is not what the reference says", ref.Key)
	}
	return bytes.Clone(data), nil
}

func (b *Blobs) away() error {
	if b.down {
		return fault.After(time.Second, "the object store is away")
	}
	return nil
}

// RunBlobs holds a task.Blobs against its contract. make returns an empty one, or one that holds other objects.
func RunBlobs(t *testing.T, make func(t *testing.T) task.Blobs) {
	put := func(t *testing.T, blobs task.Blobs, id string, data []byte) events.Reference {
		t.Helper()
		ref, err := blobs.Put(t.Context(), "school", id, data)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	t.Run("ReturnsWhatWasPut", func(t *testing.T) {
		blobs := make(t)
		for _, n := range []int{1, 300 << 10, task.MaxBlob} {
			data := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
			ref := put(t, blobs, "t1", data)
			sum := sha256.Sum256(data)
			if ref.Key == "" || ref.Bytes != n || ref.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("%d bytes: the reference is %+v", n, ref)
			}
			if got, err := blobs.Get(t.Context(), ref); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes: got %d back (%v)", n, len(got), err)
			}
		}
	})
	t.Run("RepeatingChangesNothing", func(t *testing.T) {
		blobs := make(t)
		first, second := put(t, blobs, "t1", []byte("same")), put(t, blobs, "t1", []byte("same"))
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("the second reference differs (-first +second):\n%s", diff)
		}
	})
	t.Run("KeepsTasksAndDataApart", func(t *testing.T) {
		blobs := make(t)
		mine, yours, other := put(t, blobs, "t1", []byte("one")), put(t, blobs, "t2", []byte("one")), put(t, blobs, "t1", []byte("two"))
		foreign, err := blobs.Put(t.Context(), "academy", "t1", []byte("one"))
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]bool{mine.Key: true, yours.Key: true, other.Key: true, foreign.Key: true}
		if len(keys) != 4 {
			t.Errorf("four objects have the keys %v", keys)
		}
	})
	t.Run("RefusesWhatIsTooLarge", func(t *testing.T) {
		_, err := make(t).Put(t.Context(), "school", "t1", bytes.Repeat([]byte("x"), task.MaxBlob+1))
		if !fault.Is(err, fault.TooLarge) {
			t.Errorf("got %v, want TooLarge", err)
		}
	})
	t.Run("KnowsWhatIsNotThere", func(t *testing.T) {
		blobs := make(t)
		ref := put(t, blobs, "t1", []byte("here"))
		ref.Key += "0"
		if _, err := blobs.Get(t.Context(), ref); !fault.Is(err, fault.NotFound) {
			t.Errorf("got %v, want NotFound", err)
		}
	})
	t.Run("ChecksTheHash", func(t *testing.T) {
		blobs := make(t)
		ref := put(t, blobs, "t1", []byte("true"))
		sum := sha256.Sum256([]byte("false"))
		ref.SHA256 = hex.EncodeToString(sum[:])
		if got, err := blobs.Get(t.Context(), ref); err == nil || fault.Is(err, fault.NotFound) {
			t.Errorf("got %q (%v), want an error that says that it is not what the reference says", got, err)
		}
	})
	t.Run("TakesManyAtOnce", func(t *testing.T) {
		blobs := make(t)
		var group sync.WaitGroup
		for i := range 8 {
			data := bytes.Repeat([]byte{byte('a' + i%2)}, 300<<10)
			group.Go(func() {
				ref, err := blobs.Put(t.Context(), "school", "t1", data)
				if err != nil {
					t.Errorf("put: %v", err)
					return
				}
				if got, err := blobs.Get(t.Context(), ref); err != nil || !bytes.Equal(got, data) {
					t.Errorf("got %d bytes back (%v)", len(got), err)
				}
			})
		}
		group.Wait()
	})
}
