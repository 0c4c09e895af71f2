package redis_test

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/metertest"
	"github.com/toolboxai/orchestrator/internal/redis"
	"github.com/toolboxai/orchestrator/internal/redis/embedded"
	"github.com/toolboxai/orchestrator/internal/redis/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, url string) *redis.Client {
	t.Helper()
	c, err := redis.Open(redis.Config{URL: url, Timeout: 5 * time.Second}) // two cores for all tests: what is slow is not dead
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func meter(t testing.TB, url string, ttl time.Duration) *redis.Meter {
	t.Helper()
	m, err := redis.NewMeter(open(t, url), redis.MeterConfig{ReservationTTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func startEmbedded(t testing.TB) *embedded.Server {
	t.Helper()
	s, err := embedded.StartEmbedded(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestMeter_ConformsOnARealServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	metertest.Run(t, func(t testing.TB, ttl time.Duration) llm.Meter { return meter(t, server.URL, ttl) })
}

func TestMeter_ConformsOnTheEmbeddedServer(t *testing.T) {
	t.Parallel()
	server := startEmbedded(t)
	metertest.Run(t, func(t testing.TB, ttl time.Duration) llm.Meter { return meter(t, server.URL(), ttl) })
}

// Where the moment of a charge is between two slots of a window, the server may count the charge in one and its correction in the other, for it knows
// the moment by an age that was true when the call was sent.
func TestMeter_TakesBackWhatIsInTheSlotBeside(t *testing.T) {
	t.Parallel()
	m := meter(t, redistest.Start(t).URL, time.Minute)
	for i := range 300 {
		claim := llm.Claim{Key: fmt.Sprint("w", i), Window: time.Minute, Limit: 100, Amount: 7}
		edge := time.Now().Truncate(time.Second).Add(-time.Millisecond)
		for step, amount := range []int64{7, -3, -50} {
			claim.Amount = amount
			if err := m.Charge(t.Context(), fmt.Sprint("c", i, "-", step), []llm.Charge{{Claim: claim, At: edge}}); err != nil {
				t.Fatal(err)
			}
		}
		claim.Amount = 0
		if used, err := m.Used(t.Context(), []llm.Claim{claim}); err != nil || used[0] != 0 {
			t.Fatalf("round %d: %v used of what was taken back, %v", i, used, err)
		}
	}
}
