package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/limit/limittest"
	"github.com/toolboxai/orchestrator/internal/redis"
	"github.com/toolboxai/orchestrator/internal/redis/redistest"
)

func limiter(t testing.TB, url string) *redis.Limiter {
	t.Helper()
	l, err := redis.NewLimiter(open(t, url))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLimiter_ConformsOnARealServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	limittest.Run(t, func(t testing.TB) limit.Limiter { return limiter(t, server.URL) })
}

func TestLimiter_ConformsOnTheEmbeddedServer(t *testing.T) {
	t.Parallel()
	server := startEmbedded(t)
	limittest.Run(t, func(t testing.TB) limit.Limiter { return limiter(t, server.URL()) })
}

// The script admits what the model admits and nothing else, to the µs: the test holds the server's clock.
func TestLimiter_AgreesWithTheModel(t *testing.T) {
	t.Parallel()
	server := miniredis.NewMiniRedis()
	server.ClockTTL(true)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	now := time.Now().Truncate(time.Microsecond)
	server.SetTime(now)
	l := limiter(t, "redis://"+server.Addr())
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		steps := limittest.Steps(rt, fmt.Sprint(round, "-"))
		err := limittest.Play(t.Context(), steps, l, func(d time.Duration) {
			now = now.Add(d)
			server.SetTime(now)
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func TestLimiter_IsExactOverSeveralProcesses(t *testing.T) {
	t.Parallel()
	const most = 60
	server := redistest.Start(t)
	asks := []limit.Ask{
		{Key: "class", Limit: limit.Limit{Name: "user", Rate: 1, Per: time.Hour, Burst: most}},
		{Key: "class", Limit: limit.Limit{Name: "generation", Rate: 1000, Per: time.Hour, Sliding: true}},
	}
	var shared, apart []limit.Limiter
	for range 3 { // three processes: nothing is shared but the server
		own, err := limit.NewLocal(limit.LocalConfig{})
		if err != nil {
			t.Fatal(err)
		}
		shared, apart = append(shared, limiter(t, server.URL)), append(apart, own)
	}
	limittest.Crowd(t, most, 40, asks, shared...)
	limittest.Crowd(t, 3*most, 40, asks, apart...) // the negative control: each counts alone
	if v := limittest.Take(t, shared[0], limit.Ask{Key: "class", Limit: asks[1].Limit, Cost: limit.Peek}); v.Remaining != 1000-most {
		t.Errorf("%d left of the limit that refused nobody, want %d", v.Remaining, 1000-most)
	}
}

func TestLimiter_ChargesWhatFitsAndRefusesNothing(t *testing.T) {
	t.Parallel()
	servers := map[string]string{"RealServer": redistest.Start(t).URL, "EmbeddedServer": startEmbedded(t).URL()}
	for name, url := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := limiter(t, url)
			for _, lim := range []limit.Limit{{Name: "bucket", Rate: 1, Per: time.Hour, Burst: 5}, {Name: "log", Rate: 5, Per: time.Hour, Sliding: true}} {
				a := limit.Ask{Key: "k", Limit: lim}
				limittest.Take(t, l, a)
				debt := limit.Debt{Bucket: a.Bucket(), Limit: lim, Requests: 2}
				for _, left := range []int{2, 0, 0} { // the third does not fit any more
					if err := l.Charge(t.Context(), debt); err != nil {
						t.Fatal(err)
					}
					if v := limittest.Take(t, l, limit.Ask{Key: "k", Limit: lim, Cost: limit.Peek}); v.Remaining != left {
						t.Errorf("%s: %d left, want %d", lim.Name, v.Remaining, left)
					}
				}
			}
			if err := l.Charge(t.Context(), make([]limit.Debt, limit.MaxDebts+1)...); !fault.Is(err, fault.Invalid) {
				t.Errorf("got %v", err)
			}
			if err := l.Charge(t.Context(), limit.Debt{Bucket: "x"}); !fault.Is(err, fault.Invalid) {
				t.Errorf("got %v", err)
			}
			if err := l.Charge(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLimiter_KnowsWhoIsThere(t *testing.T) {
	t.Parallel()
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	now := time.Now()
	server.SetTime(now)
	l := limiter(t, "redis://"+server.Addr())
	join := func(process string, want int) string {
		t.Helper()
		c, err := l.Join(t.Context(), process)
		if err != nil || c.Processes != want || c.Memory == "" {
			t.Fatalf("%s: %+v, %v, want %d", process, c, err, want)
		}
		return c.Memory
	}
	memory := join("a", 1)
	join("b", 2)
	join("b", 2)
	server.SetTime(now.Add(3*limit.JoinEvery - time.Second))
	join("b", 2)
	server.SetTime(now.Add(3*limit.JoinEvery + time.Second)) // a was silent
	join("b", 1)
	join("c", 2)
	if err := l.Leave(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if again := join("c", 1); again != memory {
		t.Error("the memory has another name")
	}
	server.FlushAll()
	server.SetTime(now.Add(time.Minute))
	if again := join("c", 1); again == memory {
		t.Error("the memory was lost and has the same name")
	}
}

func TestLimiter_KeepsNoKeysInClearAndForgets(t *testing.T) {
	t.Parallel()
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	l := limiter(t, "redis://"+server.Addr())
	for _, lim := range []limit.Limit{limit.PerMinute("login", 5, 0), limit.PerMinute("user", 60, 10)} {
		limittest.Take(t, l, limit.Ask{Key: "ada@school.example", Limit: lim, Cost: 2})
	}
	keys := server.Keys()
	for _, key := range keys {
		if len(key) > 80 || strings.Contains(key, "ada") || server.TTL(key) <= 0 || server.TTL(key) > time.Minute+time.Second {
			t.Errorf("key %q lives for %s", key, server.TTL(key))
		}
	}
	if server.FastForward(3 * time.Second); len(keys) != 2 || len(server.Keys()) != 1 {
		t.Errorf("the keys were %q and are %q: a bucket is forgotten when it is empty", keys, server.Keys())
	}
}
