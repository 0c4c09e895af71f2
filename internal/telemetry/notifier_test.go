package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/toolboxai/orchestrator/internal/notify"
	"github.com/toolboxai/orchestrator/internal/telemetry"
)

// page returns what r serves.
func page(t *testing.T, r *prometheus.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	telemetry.Handler(r).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func has(t *testing.T, page string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
}

func TestNotifier_IsShown(t *testing.T) {
	t.Parallel()
	r := telemetry.NewRegistry("v9", nil)
	var away error
	n := telemetry.Notifier{
		Stats: func() notify.Stats {
			return notify.Stats{Sent: 1, Retried: 2, Reduced: 3, Refused: 4, Lost: 5, Coalesced: 6, Stale: 7, Dropped: 8, Lag: 1500 * time.Millisecond}
		},
		Active: func() bool { return true },
		Behind: func(context.Context) (uint64, error) { return 42, away },
	}
	if err := telemetry.AddNotifier(r, n); err != nil {
		t.Fatal(err)
	}
	if err := telemetry.AddNotifier(r, n); err == nil {
		t.Error("it was added twice")
	}
	const p = "toolboxai_notifier_"
	has(t, page(t, r), p+"active 1", p+"lag_events 42", p+"lag_seconds 1.5", p+"sent_total 1", p+"retries_total 2", p+"reduced_total 3", p+"refused_total 4", p+"lost_total 5",
		p+"progress_coalesced_total 6", p+"stale_total 7", p+"progress_dropped_total 8")
	away = errors.New("the broker is away")
	shown := page(t, r)
	has(t, shown, p+"sent_total 1")
	if strings.Contains(shown, "lag_events 4") || strings.Contains(shown, "lag_events 0") {
		t.Error("what is not known is shown as known")
	}
}

func TestChannelEvents_AreCountedByName(t *testing.T) {
	t.Parallel()
	r := telemetry.NewRegistry("v9", nil)
	count, err := telemetry.CountChannelEvents(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{"channel_occupied", "channel_occupied", "cache_miss", "made_up", strings.Repeat("x", 1000)} {
		count(event)
	}
	const total = "toolboxai_channel_events_total"
	has(t, page(t, r), total+`{event="channel_occupied"} 2`, total+`{event="cache_miss"} 1`, total+`{event="other"} 2`, total+`{event="member_added"} 0`)
}
