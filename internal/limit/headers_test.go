package limit_test

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/limit"
)

func TestHeaders_TellOfAVerdict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verdict limit.Verdict
		want    map[string]string
	}{
		"allowed": {
			limit.Verdict{Allowed: true, Limit: limit.PerMinute("user", 100, 20), Remaining: 19, Reset: 600 * time.Millisecond},
			map[string]string{
				"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "19", "X-RateLimit-Reset": "1", "RateLimit-Policy": `"user";q=100;w=60`,
			},
		},
		"refused": {
			limit.Verdict{Limit: limit.PerMinute("login", 5, 0), Reset: time.Minute, RetryAfter: 12*time.Second + 1},
			map[string]string{
				"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60", "RateLimit-Policy": `"login";q=5;w=60`, "Retry-After": "13",
			},
		},
		"refused for a moment": {
			limit.Verdict{Limit: limit.Limit{Name: "x", Rate: 1000, Per: 1500 * time.Millisecond, Burst: 1}, Reset: time.Microsecond, RetryAfter: time.Microsecond},
			map[string]string{
				"X-RateLimit-Limit": "1", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1", "RateLimit-Policy": `"x";q=1000;w=2`, "Retry-After": "1",
			},
		},
	} {
		if diff := cmp.Diff(c.want, maps.Collect(limit.Headers(c.verdict))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	n := 0
	for range limit.Headers(limit.Verdict{}) {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d headers after a break", n)
	}
}
