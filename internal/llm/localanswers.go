package llm

import (
	"container/list"
	"context"
	"strconv"
	"sync"
	"time"
)

const (
	maxLocalBytes   = 64 << 20 // of answers
	maxLocalTallies = 4096     // tenants
)

// LocalAnswers keeps answers and vectors of this process alone, where there is no Redis: 64 MiB of answers, those that were used longest ago
// going first. It is an AnswerStore and a VectorStore.
type LocalAnswers struct {
	mu      sync.Mutex
	bytes   int
	recent  *list.List // of *localAnswer, the latest used first
	answers map[string]*list.Element
	leases  map[string]localLease
	tallies map[string]Tally
	vectors map[string]*localVectors
}

type localAnswer struct {
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
	}
}

func (l *LocalAnswers) drop(e *list.Element) {
	a := l.recent.Remove(e).(*localAnswer)
	l.bytes -= len(a.answer.Text) + len(a.key)
	delete(l.answers, a.key)
}

// Answer implements AnswerStore.
func (l *LocalAnswers) Answer(_ context.Context, tenant, key string) (Answer, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.answers[tenant+"\x00"+key]
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
func (l *LocalAnswers) Keep(_ context.Context, tenant, key string, a Answer, ttl time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	key = tenant + "\x00" + key
	if e, ok := l.answers[key]; ok {
		l.drop(e)
	}
	l.answers[key] = l.recent.PushFront(&localAnswer{key, a, time.Now().Add(ttl)})
	l.bytes += len(a.Text) + len(key)
	for l.bytes > maxLocalBytes {
		l.drop(l.recent.Back())
	}
	return nil
}

// Lease implements AnswerStore.
func (l *LocalAnswers) Lease(_ context.Context, tenant, key, holder string, ttl time.Duration) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for k, held := range l.leases {
		if now.After(held.until) {
			delete(l.leases, k)
		}
	}
	key = tenant + "\x00" + key
	if held, ok := l.leases[key]; ok && held.holder != holder {
		return false, nil
	}
	l.leases[key] = localLease{holder, now.Add(ttl)}
	return true, nil
}

// Release implements AnswerStore.
func (l *LocalAnswers) Release(_ context.Context, tenant, key, holder string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if key = tenant + "\x00" + key; l.leases[key].holder == holder {
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
func (l *LocalAnswers) Append(_ context.Context, tenant string, v Vector, ttl time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for name, held := range l.vectors {
		if now.After(held.until) {
			delete(l.vectors, name)
		}
	}
	held, ok := l.vectors[tenant]
	if !ok {
		if len(l.vectors) >= maxTenants {
			return nil
		}
		held = &localVectors{first: int(now.UnixNano())} // behind every cursor of an earlier list
		l.vectors[tenant] = held
	}
	sole := v.Sole
	v.Sole = false
	held.entries, held.until = append(held.entries, v), now.Add(ttl)
	if over := len(held.entries) - MaxVectors; over > 0 {
		for _, gone := range held.entries[:over] {
			if e, ok := l.answers[tenant+"\x00"+gone.Key]; ok && sole {
				l.drop(e)
			}
		}
		held.entries, held.first = append([]Vector(nil), held.entries[over:]...), held.first+over
	}
	return nil
}

// Since implements VectorStore.
func (l *LocalAnswers) Since(_ context.Context, tenant, cursor string) ([]Vector, string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held, ok := l.vectors[tenant]
	if !ok {
		return nil, cursor, nil
	}
	seen, _ := strconv.Atoi(cursor)
	from := min(max(seen+1-held.first, 0), len(held.entries))
	return append([]Vector(nil), held.entries[from:]...), strconv.Itoa(held.first + len(held.entries) - 1), nil
}
