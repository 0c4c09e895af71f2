package llm

import (
	"container/list"
	"context"
	"maps"
	"strconv"
	"sync"
	"time"
)

const (
	maxLocalBytes   = 64 << 20 // of answers
	maxLocalTallies = 4096     // tenants
)

// LocalAnswers keeps answers and vectors of this process alone, where there is no Redis: 64 MiB of answers, those that were used longest ago
// going first. What is kept in a new generation of a tenant's drops what there is of its others. It is an AnswerStore and a VectorStore.
type LocalAnswers struct {
	mu      sync.Mutex
	bytes   int
	recent  *list.List // of *localAnswer, the latest used first
	answers map[string]*list.Element
	leases  map[string]localLease
	tallies map[string]Tally
	vectors map[string]*localVectors
	scopes  map[string]string // the latest of each tenant
	swept   time.Time         // when what has expired was last looked for
}

type localAnswer struct {
	scope  string
	key    string
	answer Answer
	until  time.Time
}

type localLease struct {
	holder string
	until  time.Time
}

type localVectors struct {
	first   int // the number of entries[0]
	entries []Vector
	until   time.Time
}

var (
	_ AnswerStore = (*LocalAnswers)(nil)
	_ VectorStore = (*LocalAnswers)(nil)
)

// NewLocalAnswers returns an empty store.
func NewLocalAnswers() *LocalAnswers {
	return &LocalAnswers{
		recent: list.New(), answers: map[string]*list.Element{}, leases: map[string]localLease{}, tallies: map[string]Tally{}, vectors: map[string]*localVectors{},
		scopes: map[string]string{},
	}
}

func (l *LocalAnswers) drop(e *list.Element) {
	a := l.recent.Remove(e).(*localAnswer)
	l.bytes -= len(a.answer.Text) + len(a.key)
	delete(l.answers, a.key)
}

// sweepEvery is how often what has expired is looked for: what nobody asks for again is not to stay until something needs its room.
const sweepEvery = time.Hour

// enter makes scope the latest of its tenant: what there is of the others goes, and from time to time what has expired.
func (l *LocalAnswers) enter(scope string) {
	tenant, now := TenantOf(scope), time.Now()
	latest, known := l.scopes[tenant]
	if !known && len(l.scopes) >= maxLocalTallies {
		clear(l.scopes)
	}
	l.scopes[tenant] = scope
	if (!known || latest == scope) && now.Sub(l.swept) < sweepEvery {
		return
	}
	gone := func(of string, until time.Time) bool {
		return now.After(until) || of != scope && TenantOf(of) == tenant
	}
	for e := l.recent.Front(); e != nil; {
		a, next := e.Value.(*localAnswer), e.Next()
		if gone(a.scope, a.until) {
			l.drop(e)
		}
		e = next
	}
	maps.DeleteFunc(l.vectors, func(of string, held *localVectors) bool { return gone(of, held.until) })
	l.swept = now
}

// Answer implements AnswerStore.
func (l *LocalAnswers) Answer(_ context.Context, scope, key string) (Answer, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.answers[scope+"\x00"+key]
	if !ok {
		return Answer{}, false, nil
	}
	a := e.Value.(*localAnswer)
	if time.Now().After(a.until) {
		l.drop(e)
		return Answer{}, false, nil
	}
	l.recent.MoveToFront(e)
	return a.answer, true, nil
}

// Keep implements AnswerStore.
func (l *LocalAnswers) Keep(_ context.Context, scope, key string, a Answer, ttl time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter(scope)
	key = scope + "\x00" + key
	if e, ok := l.answers[key]; ok {
		l.drop(e)
	}
	l.answers[key] = l.recent.PushFront(&localAnswer{scope, key, a, time.Now().Add(ttl)})
	l.bytes += len(a.Text) + len(key)
	for l.bytes > maxLocalBytes {
		l.drop(l.recent.Back())
	}
	return nil
}

// Lease implements AnswerStore.
func (l *LocalAnswers) Lease(_ context.Context, scope, key, holder string, ttl time.Duration) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for k, held := range l.leases {
		if now.After(held.until) {
			delete(l.leases, k)
		}
	}
	key = scope + "\x00" + key
	if held, ok := l.leases[key]; ok && held.holder != holder {
		return false, nil
	}
	l.leases[key] = localLease{holder, now.Add(ttl)}
	return true, nil
}

// Release implements AnswerStore.
func (l *LocalAnswers) Release(_ context.Context, scope, key, holder string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if key = scope + "\x00" + key; l.leases[key].holder == holder {
		delete(l.leases, key)
	}
	return nil
}

// Count implements AnswerStore.
func (l *LocalAnswers) Count(_ context.Context, tenant string, t Tally) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.tallies[tenant]; !ok && len(l.tallies) >= maxLocalTallies {
		return nil
	}
	l.tallies[tenant] = l.tallies[tenant].Add(t)
	return nil
}

// Tally implements AnswerStore.
func (l *LocalAnswers) Tally(_ context.Context, tenant string) (Tally, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tallies[tenant], nil
}

// Append implements VectorStore.
func (l *LocalAnswers) Append(_ context.Context, scope string, v Vector, ttl time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter(scope)
	now := time.Now()
	maps.DeleteFunc(l.vectors, func(_ string, held *localVectors) bool { return now.After(held.until) })
	held, ok := l.vectors[scope]
	if !ok {
		if len(l.vectors) >= maxTenants {
			return nil
		}
		held = &localVectors{first: int(now.UnixNano())} // behind every cursor of an earlier list
		l.vectors[scope] = held
	}
	sole := v.Sole
	v.Sole = false
	held.entries, held.until = append(held.entries, v), now.Add(ttl)
	if over := len(held.entries) - MaxVectors; over > 0 {
		for _, gone := range held.entries[:over] {
			if e, ok := l.answers[scope+"\x00"+gone.Key]; ok && sole {
				l.drop(e)
			}
		}
		held.entries, held.first = append([]Vector(nil), held.entries[over:]...), held.first+over
	}
	return nil
}

// Since implements VectorStore.
func (l *LocalAnswers) Since(_ context.Context, scope, cursor string) ([]Vector, string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held, ok := l.vectors[scope]
	if !ok {
		return nil, cursor, nil
	}
	seen, _ := strconv.Atoi(cursor)
	from := min(max(seen+1-held.first, 0), len(held.entries))
	return append([]Vector(nil), held.entries[from:]...), strconv.Itoa(held.first + len(held.entries) - 1), nil
}
