package account_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/fault"
)

var cheap = account.Cost{MemoryKiB: 8, Passes: 1}

func TestHasher_KnowsThePasswordAgain(t *testing.T) {
	t.Parallel()
	h := account.NewHasher(cheap)
	hash, err := h.Hash(t.Context(), goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=8,t=1,p=1$") || strings.Contains(hash, goodPassword) {
		t.Errorf("the hash is %s", hash)
	}
	if again, err := h.Hash(t.Context(), goodPassword); err != nil || again == hash {
		t.Errorf("two hashes of one password are the same (%v): there is no salt", err)
	}
	for _, c := range []struct {
		hash, password string
		want           bool
	}{
		{hash, goodPassword, true}, {hash, goodPassword + " ", false}, {hash, "", false}, {"", "", false}, {"", goodPassword, false},
	} {
		if right, err := h.Check(t.Context(), c.hash, c.password); err != nil || right != c.want {
			t.Errorf("%q against %.20q: %v, %v", c.password, c.hash, right, err)
		}
	}
	if _, err := h.Check(t.Context(), "$2y$10$something", goodPassword); err == nil {
		t.Error("a hash of another kind is read")
	}
}

// OWASP's second choice for argon2id, unless something else is wanted; what cannot be read again is not made.
func TestHasher_ItsCost(t *testing.T) {
	t.Parallel()
	hash, err := account.NewHasher(account.Cost{}).Hash(t.Context(), goodPassword)
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("by default: %s, %v", hash, err)
	}
	for _, extreme := range []account.Cost{{MemoryKiB: 1, Passes: 1}, {MemoryKiB: 8, Passes: math.MaxUint32}, {MemoryKiB: math.MaxUint32, Passes: 1}} {
		h := account.NewHasher(extreme)
		h.Deriving(func(_, salt []byte, c account.Cost) []byte { return append(salt, salt...) })
		hash, err := h.Hash(t.Context(), goodPassword)
		if err != nil {
			t.Fatal(err)
		}
		if _, readable := account.Reencode(hash); !readable || h.Outdated(hash) {
			t.Errorf("%+v makes %s, which cannot be read", extreme, hash)
		}
	}
}

func TestHasher_SaysWhichHashesAreOutdated(t *testing.T) {
	t.Parallel()
	old, now := account.NewHasher(cheap), account.NewHasher(account.Cost{MemoryKiB: 16, Passes: 1})
	hash, err := old.Hash(t.Context(), goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	if old.Outdated(hash) || !now.Outdated(hash) || !now.Outdated("") {
		t.Errorf("outdated by its own cost: %v, by another: %v", old.Outdated(hash), now.Outdated(hash))
	}
	if right, err := now.Check(t.Context(), hash, goodPassword); !right || err != nil {
		t.Errorf("a hash of another cost is not checked: %v, %v", right, err)
	}
}

// A flood of sign-ins takes the memory of four hashes, not of all of them, and who waits for too long is told so.
func TestHasher_IsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := account.NewHasher(cheap)
		var mu sync.Mutex
		running, most := 0, 0
		hold := make(chan struct{})
		h.OnHash(func(account.Cost) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-hold
			mu.Lock()
			running--
			mu.Unlock()
		})
		errs := make(chan error, 100)
		start := func() { // and let it take its place
			go func() {
				_, err := h.Hash(context.Background(), goodPassword)
				errs <- err
			}()
			synctest.Wait()
		}
		for range 4 + 64 { // that run, and that wait
			start()
		}
		if most != 4 || len(errs) != 0 {
			t.Fatalf("%d run at once, %d have ended, want 4 and 0", most, len(errs))
		}
		start()
		if err := <-errs; !fault.Is(err, fault.Unavailable) || fault.RetryAfter(err) == 0 {
			t.Errorf("one too many: %v, want Unavailable", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := h.Hash(ctx, goodPassword); err == nil {
			t.Error("there was no place, and it was hashed")
		}

		began := time.Now()
		for range 64 {
			if err := <-errs; !fault.Is(err, fault.Unavailable) {
				t.Errorf("who waited got %v, want Unavailable", err)
			}
		}
		if waited := time.Since(began); waited != 2*time.Second {
			t.Errorf("they waited for %v", waited)
		}
		if _, err := h.Hash(ctx, goodPassword); !fault.Is(err, fault.Canceled) {
			t.Errorf("who gave up got %v, want Canceled", err)
		}
		close(hold)
		for range 4 {
			if err := <-errs; err != nil {
				t.Errorf("who ran got %v", err)
			}
		}
	})
}

func FuzzParseHash(f *testing.F) {
	hash, err := account.NewHasher(cheap).Hash(context.Background(), goodPassword)
	if err != nil {
		f.Fatal(err)
	}
	const tail = "$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, seed := range []string{
		hash, "", "$argon2id$", "$argon2id$v=19$m=19456,t=2,p=1" + tail, "$argon2id$v=19$m=8,t=1,p=1x" + tail, "$argon2id$v=19$m=+8,t=1,p=1" + tail,
		"$argon2id$v=19$m=008,t=1,p=1" + tail, "$argon2id$v=19 $ m=8,t=1,p=1" + tail, "$argon2id$v=19$m=4294967295,t=1,p=1" + tail,
		"$argon2id$v=19$m=8,t=4294967295,p=1" + tail, "$argon2id$v=19$m=8,t=1,p=255" + tail, "$argon2id$v=16$m=8,t=1,p=1" + tail,
		"$argon2i$v=19$m=8,t=1,p=1" + tail, "$argon2id$v=19$m=8,t=1,p=1" + tail + "$x", "$argon2id$v=19$m=8,t=1,p=1" + tail + "\n",
		"$argon2id$v=19$m=8,t=1,p=1$AA" + strings.Repeat("A", 4096) + "$" + tail, fmt.Sprintf("x%s", hash),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, hash string) {
		again, readable := account.Reencode(hash)
		if readable && again != hash {
			t.Errorf("%q reads as %q", hash, again)
		}
	})
}
