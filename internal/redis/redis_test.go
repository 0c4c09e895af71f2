package redis_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/metertest"
	"github.com/toolboxai/orchestrator/internal/redis"
	"github.com/toolboxai/orchestrator/internal/redis/redistest"
)

func TestOpen_RefusesWhatIsNoURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "localhost:6379", "http://localhost", "redis://:secret@host:bad", "unix:///run/redis.sock", "redis://:secret@host/x",
		"redis://:secret@host?max_retries=5",
	} {
		_, err := redis.Open(redis.Config{URL: url})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "REDIS_URL") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v", url, err)
		}
	}
	client, err := redis.Open(redis.Config{URL: "rediss://user:secret@redis.example:6380/2"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if client.Address() != "redis.example:6380" {
		t.Errorf("address %q", client.Address())
	}
}

func TestEmbedded_KeysLiveAsLongAsTheyShould(t *testing.T) {
	t.Parallel()
	server := startEmbedded(t)
	m := meter(t, server.URL(), time.Minute)
	start := time.Now()
	if err := m.Pause(t.Context(), "k", start.Add(900*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	metertest.Eventually(t, "the pause ends", func() bool {
		until, err := m.PausedUntil(t.Context(), "k")
		return err == nil && until.IsZero()
	})
	if took := time.Since(start); took < 890*time.Millisecond {
		t.Errorf("900 ms took %s", took)
	}
	if err := open(t, server.URL()).Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestMeter_AgreesWithTheLocalMeter plays the same random calls to both.
func TestMeter_AgreesWithTheLocalMeter(t *testing.T) {
	t.Parallel()
	servers := map[string]string{"RealServer": redistest.Start(t).URL, "EmbeddedServer": startEmbedded(t).URL()}
	for name, url := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared, until := meter(t, url, time.Hour), time.Now().Add(time.Hour).Truncate(time.Second)
			round := 0
			rapid.Check(t, func(t *rapid.T) {
				round++
				local, err := llm.NewLocalMeter(llm.LocalConfig{ReservationTTL: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				play(t, shared, local, name+string(rune('a'+round%26))+time.Now().String(), until)
			})
		})
	}
}

func play(t *rapid.T, shared, local llm.Meter, prefix string, until time.Time) {
	claim := func(i int, limit, amount int64) llm.Claim {
		c := llm.Claim{Key: prefix + string(rune('a'+i)), Limit: limit, Amount: amount}
		if i%2 == 0 {
			c.Window = 10 * time.Minute
		} else {
			c.Until = until
		}
		return c
	}
	type pair struct{ shared, local llm.Reservation }
	var open []pair
	id := 0
	t.Repeat(map[string]func(*rapid.T){
		"reserve": func(t *rapid.T) {
			var claims []llm.Claim
			for i := range 4 {
				if rapid.Bool().Draw(t, "claimed") {
					claims = append(claims, claim(i, rapid.Int64Range(0, 200).Draw(t, "limit"), rapid.Int64Range(0, 60).Draw(t, "amount")))
				}
			}
			a, errA := shared.Reserve(t.Context(), claims)
			b, errB := local.Reserve(t.Context(), claims)
			if (errA == nil) != (errB == nil) || fault.KindOf(errA) != fault.KindOf(errB) {
				t.Fatalf("%v: %v and %v", claims, errA, errB)
			}
			if errA == nil {
				open = append(open, pair{a, b})
			}
		},
		"settle": func(t *rapid.T) {
			if len(open) == 0 {
				return
			}
			p := open[rapid.IntRange(0, len(open)-1).Draw(t, "which")] // some more than once
			actual := make([]int64, len(p.local.Claims))
			for i := range actual {
				actual[i] = rapid.Int64Range(0, 80).Draw(t, "actual")
			}
			if errA, errB := shared.Settle(t.Context(), p.shared, actual), local.Settle(t.Context(), p.local, actual); errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
		},
		"charge": func(t *rapid.T) {
			id += rapid.IntRange(0, 1).Draw(t, "new")
			name := prefix + string(rune('0'+id))
			c := llm.Charge{Claim: claim(rapid.IntRange(0, 3).Draw(t, "which"), 0, rapid.Int64Range(0, 30).Draw(t, "amount")), At: time.Now()}
			if errA, errB := shared.Charge(t.Context(), name, []llm.Charge{c}), local.Charge(t.Context(), name, []llm.Charge{c}); errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
		},
		"raise": func(t *rapid.T) {
			c, to := claim(1, 0, 0), rapid.Int64Range(0, 150).Draw(t, "to")
			if errA, errB := shared.Raise(t.Context(), c.Key, until, to), local.Raise(t.Context(), c.Key, until, to); errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
		},
		"": func(t *rapid.T) {
			all := []llm.Claim{claim(0, 0, 0), claim(1, 0, 0), claim(2, 0, 0), claim(3, 0, 0)}
			a, errA := shared.Used(t.Context(), all)
			b, errB := local.Used(t.Context(), all)
			for i := range all {
				if errA != nil || errB != nil || a[i] != b[i] || a[i] < 0 {
					t.Fatalf("used %v and %v (%v, %v)", a, b, errA, errB)
				}
			}
		},
	})
}
