package ticket_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/secret"
	"github.com/toolboxai/orchestrator/internal/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kept is a store that shows what is in it, and can forget that a ticket was taken.
type kept struct {
	ticket.Memory
	mu      sync.Mutex
	sealed  map[string][]byte
	forever bool
}

func (k *kept) Put(ctx context.Context, id string, sealed []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sealed[id] = sealed
	return k.Memory.Put(ctx, id, sealed)
}

func (k *kept) Take(ctx context.Context, id string) ([]byte, error) {
	if k.forever {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.sealed[id], nil
	}
	return k.Memory.Take(ctx, id)
}

type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(0, c.at.Load()) }

func newService(t *testing.T, k *kept) (*ticket.Service, *clock) {
	t.Helper()
	box, err := secret.New("a passphrase that is long enough for a box")
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{}
	c.at.Store(time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC).UnixNano())
	s, err := ticket.New(k, box, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func TestService_LendsAProofOnce(t *testing.T) {
	t.Parallel()
	proof := []byte("a token that nobody may see")
	k := &kept{sealed: map[string][]byte{}}
	s, clock := newService(t, k)
	issued, err := s.Issue(t.Context(), proof)
	if err != nil || !strings.HasPrefix(issued.Text, "tbt_") || issued.ExpiresAt.Sub(clock.now()) != ticket.TTL {
		t.Fatalf("%+v, %v", issued, err)
	}
	for id, sealed := range k.sealed {
		if strings.Contains(issued.Text, id) || bytes.Contains(sealed, proof) || bytes.Contains(sealed, []byte(issued.Text)) {
			t.Errorf("the store can use what it holds: %s", id)
		}
	}
	got, err := s.Redeem(t.Context(), issued.Text)
	if err != nil || !bytes.Equal(got, proof) {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := s.Redeem(t.Context(), issued.Text); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("it was good twice: %v", err)
	}
	// The control: with a store that hands out twice it is.
	k.forever = true
	if _, err := s.Redeem(t.Context(), issued.Text); err != nil {
		t.Errorf("got %v", err)
	}
	clock.at.Add(int64(ticket.TTL))
	if _, err := s.Redeem(t.Context(), issued.Text); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("it outlived its time: %v", err)
	}
}

func TestService_OneOfManyRedeems(t *testing.T) {
	t.Parallel()
	s, _ := newService(t, &kept{sealed: map[string][]byte{}})
	issued, err := s.Issue(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var good atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := s.Redeem(t.Context(), issued.Text); err == nil {
				good.Add(1)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 {
		t.Errorf("%d of 50 were let in", good.Load())
	}
}

func TestService_RefusesWhatIsNoTicket(t *testing.T) {
	t.Parallel()
	k := &kept{sealed: map[string][]byte{}}
	s, _ := newService(t, k)
	issued, err := s.Issue(t.Context(), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "tbt_", issued.Text + "A", issued.Text[:40], " " + issued.Text, "tbt_" + secret.RandomToken(32), "eyJhbGciOiJIUzI1NiJ9.e30.x", strings.Repeat("tbt_", 1000)} {
		if _, err := s.Redeem(t.Context(), text); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%.60q: got %v", text, err)
		}
	}
	k.forever = true
	for id := range k.sealed {
		k.sealed[id][20] ^= 1
	}
	if _, err := s.Redeem(t.Context(), issued.Text); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("what was changed in the store is good: %v", err)
	}
	if _, err := s.Issue(t.Context(), make([]byte, ticket.MaxContent+1)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := ticket.New(nil, nil, nil); err == nil {
		t.Error("it does without a store")
	}
}
