package llm_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/llm"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 2, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name                string
		seconds, ms, answer string
		want                time.Duration
	}{
		{name: "Nothing"},
		{name: "Seconds", seconds: "7", want: 7 * time.Second},
		{name: "FractionsOfASecond", seconds: "0.25", want: 250 * time.Millisecond},
		{name: "MillisecondsFirst", seconds: "7", ms: "1500", want: 1500 * time.Millisecond},
		{name: "Date", seconds: "Mon, 02 Feb 2026 10:00:30 GMT", want: 30 * time.Second},
		{name: "DateByTheServersClock", seconds: "Mon, 02 Feb 2026 08:00:30 GMT", answer: "Mon, 02 Feb 2026 08:00:00 GMT", want: 30 * time.Second},
		{name: "DateInThePast", seconds: "Mon, 02 Feb 2026 09:00:00 GMT"},
		{name: "Negative", seconds: "-3"},
		{name: "NotANumber", seconds: "NaN"},
		{name: "Infinite", seconds: "Inf", want: time.Hour},
		{name: "FarAway", seconds: "86400", want: time.Hour},
		{name: "Words", seconds: "soon"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for key, value := range map[string]string{"Retry-After": c.seconds, "Retry-After-Ms": c.ms, "Date": c.answer} {
				if value != "" {
					h.Set(key, value)
				}
			}
			if got := llm.RetryAfter(h, now); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("7", "", "")
	f.Add("Mon, 02 Feb 2026 10:00:30 GMT", "", "Mon, 02 Feb 2026 10:00:00 GMT")
	f.Add("", "1e300", "")
	f.Fuzz(func(t *testing.T, seconds, ms, date string) {
		h := http.Header{"Retry-After": {seconds}, "Retry-After-Ms": {ms}, "Date": {date}}
		if got := llm.RetryAfter(h, time.Unix(1770000000, 0)); got < 0 || got > llm.MaxRetryAfter {
			t.Errorf("got %v", got)
		}
	})
}
