package limit

import (
	"math"
	"slices"
	"time"
)

// shape is a limit in the units of counting, as one of several processes applies it.
type shape struct {
	rate     int64 // requests per per
	per      int64 // µs, times the number of processes that share a bucket
	capacity int64 // requests
}

// shapeOf returns the part of l that one of so many processes grants: a bucket with that part of the burst, which drains at that
// part of the rate, or that part of a sliding rate; but never less than what one request costs, so that nobody is shut out for
// good.
func shapeOf(l Limit, processes, cost int) shape {
	s := shape{rate: int64(l.Rate), per: l.Per.Microseconds(), capacity: int64(max(l.Capacity()/processes, cost, 1))}
	if !l.Sliding {
		s.per *= int64(processes)
	}
	return s
}

// bucket is what is counted of one key. Times are in µs. Of what it holds, the newest part is owed: the store that is shared has
// not been told of it.
type bucket struct {
	limit Limit
	at    int64 // when level was last right

	per   int64 // the unit of level and owed: request/per
	level int64
	owed  int64

	log     []int64 // of a sliding limit instead: when its requests were taken, oldest first
	owedLog int     // so many of the newest
}

// drain brings b up to now.
func (b *bucket) drain(s shape, now int64) {
	if b.limit.Sliding {
		b.slide(s, now)
		return
	}
	if b.per != s.per { // the number of processes has changed: the part that is full stays full
		b.level = min(rescale(b.level, b.per, s.per), s.capacity*s.per)
		b.owed, b.per = rescale(b.owed, b.per, s.per), s.per
	}
	if elapsed := max(now-b.at, 0); elapsed >= b.level/s.rate+1 {
		b.level = 0
	} else {
		b.level = max(b.level-elapsed*s.rate, 0)
	}
	b.level = min(b.level, int64(b.limit.Burst)*s.per) // a burst may have become smaller
	b.owed = min(b.owed, b.level)
	b.at = now
}

func (b *bucket) slide(s shape, now int64) {
	old := 0
	for old < len(b.log) && b.log[old] <= now-s.per {
		old++
	}
	b.log = slices.Delete(b.log, 0, old)
	b.owedLog = min(b.owedLog, len(b.log))
}

func rescale(level, from, to int64) int64 {
	if from == 0 {
		return 0
	}
	return int64(math.Ceil(float64(level) / float64(from) * float64(to)))
}

// fits reports whether n requests fit into b, which is drained, and how long they would have to wait.
func (b *bucket) fits(s shape, now int64, n int) (ok bool, wait int64) {
	if b.limit.Sliding {
		over := len(b.log) + n - int(s.capacity)
		if over <= 0 {
			return true, 0
		}
		return false, b.log[over-1] + s.per - now // over is at most len(b.log), as n is at most the capacity
	}
	over := b.level + (int64(n)-s.capacity)*s.per
	if over <= 0 {
		return true, 0
	}
	return false, divUp(over, s.rate)
}

// take fills b by n requests. They need not fit: a bucket gets no fuller than full, a log forgets its oldest.
func (b *bucket) take(s shape, now int64, n int, owed bool) {
	if b.limit.Sliding {
		for range n {
			b.log = append(b.log, now)
		}
		b.log = slices.Delete(b.log, 0, max(len(b.log)-b.limit.Rate, 0))
		if owed {
			b.owedLog += n
		}
		b.owedLog = min(b.owedLog, len(b.log))
		return
	}
	b.level = max(b.level, min(b.level+int64(n)*s.per, s.capacity*s.per))
	if owed {
		b.owed += int64(n) * s.per
	}
	b.owed = min(b.owed, b.level)
}

// left returns how many requests fit now and how long b takes to be empty.
func (b *bucket) left(s shape, now int64) (remaining int, reset time.Duration) {
	if b.limit.Sliding {
		if n := len(b.log); n > 0 {
			reset = time.Duration(b.log[n-1]+s.per-now) * time.Microsecond
		}
		return max(int(s.capacity)-len(b.log), 0), reset
	}
	return int(max(s.capacity*s.per-b.level, 0) / s.per), time.Duration(divUp(b.level, s.rate)) * time.Microsecond
}

// settle returns how many requests of b the store has to be told of, rounded up, and forgets that they are owed. When the store
// has lost its memory they are all.
func (b *bucket) settle(lost bool) int {
	if b.limit.Sliding {
		n := b.owedLog
		if lost {
			n = len(b.log)
		}
		b.owedLog = 0
		return n
	}
	n := b.owed
	if lost {
		n = b.level
	}
	b.owed = 0
	return int(divUp(n, max(b.per, 1)))
}

// owe undoes settle.
func (b *bucket) owe(n int) {
	b.owedLog = min(b.owedLog+n, len(b.log))
	b.owed = min(b.owed+int64(n)*b.per, b.level)
}

func divUp(a, b int64) int64 { return (a + b - 1) / b }
