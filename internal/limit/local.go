package limit

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	shards         = 64
	defaultBuckets = 1 << 16
	sampled        = 8 // buckets that are weighed against each other when one must go
)

// LocalConfig bounds a Local. Zero fields take the defaults.
type LocalConfig struct {
	// Buckets is how many are remembered at the most, about 200 bytes each; 65,536. Beyond, of some buckets at random the one that
	// is nearest to full capacity goes: a flood of new keys does not free those that it should hold back.
	Buckets int
}

// Local counts in this process alone. It does no I/O.
type Local struct {
	start  time.Time // its monotonic clock is the one that counts
	most   int       // buckets of a shard
	shards [shards]shard
}

type shard struct {
	mu      sync.Mutex
	buckets map[[16]byte]*bucket
}

var _ Limiter = (*Local)(nil)

// NewLocal returns a limiter that has counted nothing yet. A bound that makes no sense is Invalid.
func NewLocal(cfg LocalConfig) (*Local, error) {
	if cfg.Buckets == 0 {
		cfg.Buckets = defaultBuckets
	}
	if cfg.Buckets < shards {
		return nil, fault.New(fault.Invalid, "%d buckets are too few, must be %d at least", cfg.Buckets, shards)
	}
	l := &Local{start: time.Now(), most: cfg.Buckets / shards}
	for i := range l.shards {
		l.shards[i].buckets = map[[16]byte]*bucket{}
	}
	return l, nil
}

// Take implements Limiter. Errors are Invalid, Canceled and Timeout.
func (l *Local) Take(ctx context.Context, asks ...Ask) (Verdict, error) {
	if err := CheckAsks(asks); err != nil {
		return Verdict{}, err
	}
	if err := ctx.Err(); err != nil {
		return Verdict{}, fault.New(fault.KindOf(err), "take from a limit: %w", err)
	}
	return l.take(asks, 1, false), nil
}

// taking is one Ask on its way through a Local.
type taking struct {
	ask         Ask
	digest      [16]byte
	bucket      *bucket
	shape       shape
	fits, takes int
}

// take grants one of so many parts.
func (l *Local) take(asks []Ask, processes int, owed bool) Verdict {
	var room [4]taking
	all, unlock := l.begin(room[:0], asks, processes)
	defer unlock()
	now := l.now()
	v := Verdict{Allowed: true}
	for _, t := range all {
		t.bucket.drain(t.shape, now)
		ok, wait := t.bucket.fits(t.shape, now, t.fits)
		if retry := time.Duration(wait) * time.Microsecond; !ok && (v.Allowed || retry > v.RetryAfter) {
			v = Verdict{Limit: t.ask.Limit, RetryAfter: retry}
			v.Remaining, v.Reset = t.bucket.left(t.shape, now)
		}
	}
	if !v.Allowed {
		return v
	}
	for i, t := range all {
		l.fill(t, now, owed)
		if remaining, reset := t.bucket.left(t.shape, now); i == 0 || remaining < v.Remaining {
			v.Limit, v.Remaining, v.Reset = t.ask.Limit, remaining, reset
		}
	}
	return v
}

// note counts what was granted elsewhere.
func (l *Local) note(asks []Ask, processes int) {
	var room [4]taking
	all, unlock := l.begin(room[:0], asks, processes)
	defer unlock()
	now := l.now()
	for _, t := range all {
		t.bucket.drain(t.shape, now)
		l.fill(t, now, false)
	}
}

// begin locks the shards of asks, in an order that all callers share, and finds their buckets. It puts them into all.
func (l *Local) begin(all []taking, asks []Ask, processes int) (_ []taking, unlock func()) {
	var room [4]int
	held := room[:0]
	for _, a := range asks {
		t := taking{ask: a, digest: a.digest()}
		t.fits, t.takes = a.Price()
		t.shape = shapeOf(a.Limit, processes, t.fits)
		all = append(all, t)
		held = append(held, shardOf(t.digest))
	}
	slices.Sort(held)
	held = slices.Compact(held)
	for _, i := range held {
		l.shards[i].mu.Lock()
	}
	for i := range all {
		t := &all[i]
		if t.bucket = l.shards[shardOf(t.digest)].buckets[t.digest]; t.bucket == nil {
			t.bucket = &bucket{}
		}
		t.bucket.limit = t.ask.Limit
	}
	return all, func() {
		for _, i := range held {
			l.shards[i].mu.Unlock()
		}
	}
}

// fill counts t, and keeps its bucket.
func (l *Local) fill(t taking, now int64, owed bool) {
	if t.takes == 0 {
		return
	}
	t.bucket.take(t.shape, now, t.takes, owed)
	sh := &l.shards[shardOf(t.digest)]
	if _, known := sh.buckets[t.digest]; !known && len(sh.buckets) >= l.most {
		sh.evict(now)
	}
	sh.buckets[t.digest] = t.bucket
}

// debts returns what is owed to the store, all that is remembered when the store has lost its memory, and takes it for paid.
func (l *Local) debts(processes int, lost bool) []Debt {
	now := l.now()
	var all []Debt
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.Lock()
		for digest, b := range sh.buckets {
			b.drain(shapeOf(b.limit, processes, 1), now)
			if n := b.settle(lost); n > 0 {
				all = append(all, Debt{Bucket: bucketName(b.limit.Name, digest), Limit: b.limit, Requests: min(n, b.limit.Capacity()), digest: digest})
			}
		}
		sh.mu.Unlock()
	}
	return all
}

// owe takes back debts that could not be paid.
func (l *Local) owe(debts []Debt) {
	for _, d := range debts {
		sh := &l.shards[shardOf(d.digest)]
		sh.mu.Lock()
		if b, ok := sh.buckets[d.digest]; ok {
			b.owe(d.Requests)
		}
		sh.mu.Unlock()
	}
}

func (l *Local) now() int64 { return time.Since(l.start).Microseconds() }

func shardOf(digest [16]byte) int { return int(digest[0]) % shards }

// evict drops the bucket that is missed least.
func (sh *shard) evict(now int64) {
	var worst [16]byte
	least, seen := 2.0, 0
	for digest, b := range sh.buckets { // a map begins anywhere
		if used := b.used(now); used < least {
			worst, least = digest, used
		}
		if seen++; seen == sampled {
			break
		}
	}
	delete(sh.buckets, worst)
}

// used returns which part of its capacity b has used up, 0 to 1.
func (b *bucket) used(now int64) float64 {
	capacity := float64(max(b.limit.Capacity(), 1))
	if b.limit.Sliding {
		if n := len(b.log); n == 0 || b.log[n-1] <= now-b.limit.Per.Microseconds() {
			return 0
		}
		return float64(len(b.log)) / capacity
	}
	level := float64(b.level) - float64(now-b.at)*float64(b.limit.Rate)
	return max(level, 0) / (capacity * float64(max(b.per, 1)))
}
