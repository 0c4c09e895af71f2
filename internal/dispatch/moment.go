package dispatch

import (
	"cmp"
	"time"
)

// moment is a point in time in Unix nanoseconds, a third of a time.Time: a board holds many. 0 is none.
type moment int64

func at(t time.Time) moment {
	if t.IsZero() {
		return 0
	}
	return moment(t.UnixNano())
}

func atp(t *time.Time) moment {
	if t == nil {
		return 0
	}
	return at(*t)
}

func (m moment) time() time.Time { return time.Unix(0, int64(m)).UTC() }

func (m moment) add(d time.Duration) moment { return m + moment(d) }

func (m moment) sub(other moment) time.Duration { return time.Duration(m - other) }

// come reports whether m is set and not after now.
func (m moment) come(now moment) bool { return m != 0 && m <= now }

// earliest returns the first of the moments that are set, 0 when none is.
func earliest(all ...moment) moment {
	var first moment
	for _, m := range all {
		if m != 0 && (first == 0 || m < first) {
			first = m
		}
	}
	return first
}

// bucket bounds a rate: so many a second, and so many at once.
type bucket struct {
	rate, burst float64
	tokens      float64
	filled      moment
}

// take takes a token if there is one.
func (b *bucket) take(now moment) bool {
	if b.filled == 0 {
		b.tokens = b.burst
	} else {
		b.tokens = min(b.burst, b.tokens+b.rate*max(now.sub(b.filled), 0).Seconds())
	}
	b.filled = max(b.filled, now)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// next returns when there is a token after one was refused.
func (b *bucket) next() moment {
	missing := (1 - b.tokens) / b.rate
	return b.filled.add(time.Duration(missing*float64(time.Second)) + 1)
}

// clamp bounds v.
func clamp[T cmp.Ordered](v, least, most T) T { return max(least, min(v, most)) }
