package limit

import (
	"iter"
	"strconv"
	"time"
)

// Headers returns the names and values of the HTTP headers that tell a client of a Verdict:
//
//	X-RateLimit-Limit      how many requests pass at once when none came before: Capacity
//	X-RateLimit-Remaining  how many pass now
//	X-RateLimit-Reset      whole seconds from now until Remaining is Limit again: no date, for clocks of clients are wrong
//	RateLimit-Policy       the sustained rate: "user";q=100;w=60 is 100 in 60 seconds
//	Retry-After            whole seconds until the refused request passes; only when it was refused
//
// Limit and Reset agree with each other: Limit requests in Reset seconds are the sustained rate of an emptied bucket, as in the
// RateLimit header's "r" and "t" (draft-ietf-httpapi-ratelimit-headers), where t is when the quota is restored. Seconds are
// rounded up: who waits so long is not early.
func Headers(v Verdict) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		_ = yield("X-RateLimit-Limit", strconv.Itoa(v.Limit.Capacity())) &&
			yield("X-RateLimit-Remaining", strconv.Itoa(max(v.Remaining, 0))) &&
			yield("X-RateLimit-Reset", seconds(v.Reset)) &&
			yield("RateLimit-Policy", `"`+v.Limit.Name+`";q=`+strconv.Itoa(v.Limit.Rate)+";w="+seconds(v.Limit.Per)) &&
			(v.Allowed || yield("Retry-After", seconds(max(v.RetryAfter, time.Second))))
	}
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((max(d, 0)+time.Second-1)/time.Second), 10)
}
