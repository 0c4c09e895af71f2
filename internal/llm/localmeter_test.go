package llm_test

import (
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/metertest"
)

func localMeter(t testing.TB, cfg llm.LocalConfig) *llm.LocalMeter {
	t.Helper()
	m, err := llm.NewLocalMeter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLocalMeter_Conforms(t *testing.T) {
	t.Parallel()
	metertest.Run(t, func(t testing.TB, ttl time.Duration) llm.Meter {
		return localMeter(t, llm.LocalConfig{ReservationTTL: ttl})
	})
}
