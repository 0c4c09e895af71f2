// Package scheduletest has the document store that packages schedule and campaign need, in memory, and the conformance suite
// that it and the real one (package nats) pass.
package scheduletest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Documents is what the suite holds a store against: schedule.Documents and campaign.Documents, for any type.
type Documents[T any] interface {
	Get(ctx context.Context, key string) (T, uint64, error)
	Put(ctx context.Context, key string, doc T, rev uint64) (uint64, error)
	Delete(ctx context.Context, key string, rev uint64) error
	List(ctx context.Context, pattern string, limit int) ([]T, error)
	Watch(ctx context.Context, fn func(key string, doc T, rev uint64, gone bool)) error
}

// Memory is a Documents in memory. Documents are kept as JSON, as the real store keeps them. It is safe for concurrent use.
type Memory[T any] struct {
	mu      sync.Mutex
	rev     uint64
	docs    map[string]kept
	changed chan struct{} // closed and replaced at each change
	before  func(op, key string) error
}

type kept struct {
	rev  uint64
	data []byte // nil: deleted
}

var _ Documents[int] = (*Memory[int])(nil)

// NewMemory returns an empty one.
func NewMemory[T any]() *Memory[T] {
	return &Memory[T]{docs: map[string]kept{}, changed: make(chan struct{})}
}

// SetDown makes every call but Watch fail as it does while the store is away.
func (m *Memory[T]) SetDown(down bool) {
	var before func(op, key string) error
	if down {
		before = func(string, string) error { return fault.After(time.Second, "the store is away") }
	}
	m.Before(before)
}

// Before calls fn before each Get, Put, Delete and List ("get", …), which fail with its error; nil undoes it.
func (m *Memory[T]) Before(fn func(op, key string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = fn
}

func (m *Memory[T]) enter(ctx context.Context, op, key string) error {
	m.mu.Lock()
	before := m.before
	m.mu.Unlock()
	if before != nil {
		if err := before(op, key); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Get implements Documents.
func (m *Memory[T]) Get(ctx context.Context, key string) (T, uint64, error) {
	var doc T
	if err := m.enter(ctx, "get", key); err != nil {
		return doc, 0, err
	}
	m.mu.Lock()
	k := m.docs[key]
	m.mu.Unlock()
	if k.data == nil {
		return doc, 0, fault.New(fault.NotFound, "there is no document %s", key)
	}
	return doc, k.rev, json.Unmarshal(k.data, &doc)
}

// Put implements Documents.
func (m *Memory[T]) Put(ctx context.Context, key string, doc T, rev uint64) (uint64, error) {
	if err := m.enter(ctx, "put", key); err != nil {
		return 0, err
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.docs[key]; k.data == nil && rev != 0 || k.data != nil && k.rev != rev {
		return 0, fault.New(fault.Conflict, "document %s was changed meanwhile", key)
	}
	m.set(key, data)
	return m.rev, nil
}

// Delete implements Documents.
func (m *Memory[T]) Delete(ctx context.Context, key string, rev uint64) error {
	if err := m.enter(ctx, "delete", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch k := m.docs[key]; {
	case k.data == nil:
		return nil
	case rev != 0 && rev != k.rev:
		return fault.New(fault.Conflict, "document %s was changed meanwhile", key)
	}
	m.set(key, nil)
	return nil
}

func (m *Memory[T]) set(key string, data []byte) {
	m.rev++
	m.docs[key] = kept{m.rev, data}
	close(m.changed)
	m.changed = make(chan struct{})
}

// List implements Documents.
func (m *Memory[T]) List(ctx context.Context, pattern string, limit int) ([]T, error) {
	if err := m.enter(ctx, "list", pattern); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var docs []T
	for _, key := range slices.Sorted(maps.Keys(m.docs)) {
		if m.docs[key].data == nil || !matches(key, pattern) || limit > 0 && len(docs) == limit {
			continue
		}
		var doc T
		if err := json.Unmarshal(m.docs[key].data, &doc); err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

// matches reports whether a key has the parts of a pattern; the empty pattern fits all.
func matches(key, pattern string) bool {
	if pattern == "" {
		return true
	}
	return slices.EqualFunc(strings.Split(key, "."), strings.Split(pattern, "."), func(k, p string) bool { return p == "*" || p == k })
}

// Watch implements Documents. Of several changes of a document in quick succession only the last may be told.
func (m *Memory[T]) Watch(ctx context.Context, fn func(key string, doc T, rev uint64, gone bool)) error {
	var seen uint64
	for first := true; ; first = false {
		m.mu.Lock()
		fresh := map[uint64]string{}
		for key, k := range m.docs {
			if k.rev > seen && (k.data != nil || !first) {
				fresh[k.rev] = key
			}
		}
		docs, changed := maps.Clone(m.docs), m.changed
		m.mu.Unlock()
		for _, rev := range slices.Sorted(maps.Keys(fresh)) {
			var doc T
			data := docs[fresh[rev]].data
			if data != nil {
				if err := json.Unmarshal(data, &doc); err != nil {
					return err
				}
			}
			fn(fresh[rev], doc, rev, data == nil)
			seen = rev
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
