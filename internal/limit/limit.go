// Package limit says how often somebody may do something, and counts it.
//
// A Limit is one of two kinds. Most are a GCRA, in its form as a leaky bucket (ITU-T I.371): each request fills the bucket by its
// cost, the bucket drains at Rate per Per, and what would make it overflow Burst is refused. So in any time t at most
// Burst + Rate·t/Per pass, and nobody waits for a window to end. A Sliding limit keeps the moments of what passed and never lets
// more than Rate pass in any Per: for what is rare and must not be guessed at, such as signing in.
//
// Counting is exact: a bucket's level is kept in whole units of request·microsecond, which both int64 and the numbers of Lua
// hold, so all implementations agree on every request.
//
// Three Limiters count: Local in this process, redis.Limiter for all processes, and Fallback, which asks the shared one and goes
// on with this process' share of each limit while that is away:
//
//	            the breaker opens
//	shared ─────────────────────────────────────► share of this process
//	   ▲                                                   │
//	   └── the store answers, and was told what was granted ┘
package limit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Bounds of limits and asks.
const (
	MaxRate    = 1_000_000
	MaxBurst   = 1_000_000
	MaxPer     = time.Hour // with MaxBurst, the product in µs is exact in Lua
	MinPer     = time.Millisecond
	MaxSliding = 1000 // of a sliding limit's Rate: each request is remembered apart
	MaxAsks    = 16   // of one Take

	maxName = 32 // bytes
)

// Limit is how often. It is comparable.
type Limit struct {
	Name    string        // the class, such as "generation": shown to who is refused; 1 to 32 of a-z, 0-9, _ and -
	Rate    int           // requests per Per in the long run; of a Sliding limit in any Per
	Per     time.Duration // a millisecond to an hour
	Burst   int           // requests at once; 0 of a Sliding limit, which has no other burst than its Rate
	Sliding bool          // keeps a log of the last Per rather than a bucket
}

// PerMinute returns a limit of n requests a minute, of which burst may come at once. A burst of 0 makes it Sliding.
func PerMinute(name string, n, burst int) Limit {
	return Limit{Name: name, Rate: n, Per: time.Minute, Burst: burst, Sliding: burst == 0}
}

// Capacity returns how many requests pass at once when none came before: Burst, or Rate of a Sliding limit.
func (l Limit) Capacity() int {
	if l.Sliding {
		return l.Rate
	}
	return l.Burst
}

// Check returns an Invalid fault when l is out of bounds.
func (l Limit) Check() error {
	switch {
	case !isName(l.Name):
		return fault.New(fault.Invalid, "the name of a limit must have 1 to %d characters of a-z, 0-9, _ and -", maxName)
	case l.Rate < 1 || l.Rate > MaxRate || l.Per < MinPer || l.Per > MaxPer:
		return fault.New(fault.Invalid, "the limit %s of %d per %s is out of bounds", l.Name, l.Rate, l.Per)
	case l.Sliding && (l.Burst != 0 || l.Rate > MaxSliding):
		return fault.New(fault.Invalid, "the limit %s slides: its rate must be at most %d, without a burst", l.Name, MaxSliding)
	case !l.Sliding && (l.Burst < 1 || l.Burst > MaxBurst):
		return fault.New(fault.Invalid, "the limit %s has a burst of %d, must have 1 to %d", l.Name, l.Burst, MaxBurst)
	}
	return nil
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// Peek as the Cost of an Ask looks whether one request would pass and takes nothing.
const Peek = -1

// Ask is one limit that a request has to pass. What is counted together has the same Key, the same Limit.Name, and a limit of the
// same kind and Per.
type Ask struct {
	Key   string // whose: a user's id, an address. Any text: only a digest of it is kept, wherever it is kept
	Limit Limit
	Cost  int // of the request; 0 takes 1; Peek; at most the limit's Capacity
}

// Bucket returns the name under which a is counted: the limit's name and a digest of all that tells buckets apart. It has at most
// 55 bytes, and Key cannot be read from it.
func (a Ask) Bucket() string {
	return bucketName(a.Limit.Name, a.digest())
}

func bucketName(limit string, digest [16]byte) string {
	return limit + ":" + base64.RawURLEncoding.EncodeToString(digest[:])
}

// digest is 128 bits of SHA-256: an attacker who chooses keys finds no two that share a bucket.
func (a Ask) digest() (d [16]byte) {
	var room [128]byte
	text := append(room[:0], a.Limit.Name...)
	text = append(text, '/')
	text = strconv.AppendInt(text, a.Limit.Per.Microseconds(), 10)
	text = append(text, '/')
	text = strconv.AppendBool(text, a.Limit.Sliding)
	text = append(text, '/')
	text = append(text, a.Key...)
	sum := sha256.Sum256(text)
	copy(d[:], sum[:])
	return d
}

// Price returns what must fit and what is taken: both the cost, or 1 and 0 for Peek.
func (a Ask) Price() (fits, takes int) {
	switch a.Cost {
	case 0:
		return 1, 1
	case Peek:
		return 1, 0
	}
	return a.Cost, a.Cost
}

// CheckAsks returns an Invalid fault when asks cannot be taken: none or too many, a limit out of bounds, a cost that never fits,
// a bucket that is named twice.
func CheckAsks(asks []Ask) error {
	if len(asks) == 0 || len(asks) > MaxAsks {
		return fault.New(fault.Invalid, "%d limits are asked at once, must be 1 to %d", len(asks), MaxAsks)
	}
	for i, a := range asks {
		if err := a.Limit.Check(); err != nil {
			return err
		}
		if a.Cost < Peek || a.Cost > a.Limit.Capacity() {
			return fault.New(fault.Invalid, "a cost of %d never fits the limit %s of %d", a.Cost, a.Limit.Name, a.Limit.Capacity())
		}
		for _, b := range asks[:i] {
			if a.Key == b.Key && a.Limit.Name == b.Limit.Name {
				return fault.New(fault.Invalid, "the limit %s is asked twice for the same key", a.Limit.Name)
			}
		}
	}
	return nil
}

// Verdict is what a Limiter decided.
type Verdict struct {
	Allowed    bool
	Limit      Limit         // the one that refused, of several the one that refuses longest; else the one with the least left
	Remaining  int           // requests that Limit would let pass now
	Reset      time.Duration // until Limit has all its Capacity again, if nothing else comes
	RetryAfter time.Duration // until the same asks would pass, if nothing else comes; 0 when allowed
}

// Limiter counts. It is safe for concurrent use.
type Limiter interface {
	// Take takes the cost of all asks when all of them fit, and else of none. That nothing fits is no error. Errors are Invalid
	// (see CheckAsks), Canceled and Timeout when ctx ended, and of a limiter that others share Unavailable.
	Take(ctx context.Context, asks ...Ask) (Verdict, error)
}
