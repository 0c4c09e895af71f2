package redis_test

import (
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
