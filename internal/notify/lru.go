package notify

import "container/list"

// lru is a map of at most max entries that forgets the one that was added or got longest ago. It is not safe for concurrent
// use.
type lru[K comparable, V any] struct {
	max   int
	order *list.List // of item[K, V], the latest in front
	at    map[K]*list.Element
}

type item[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](max int) *lru[K, V] {
	return &lru[K, V]{max: max, order: list.New(), at: make(map[K]*list.Element)}
}

func (l *lru[K, V]) get(k K) (V, bool) {
	el, ok := l.at[k]
	if !ok {
		var zero V
		return zero, false
	}
	l.order.MoveToFront(el)
	return el.Value.(item[K, V]).value, true
}

// has reports whether k has a value. The entry does not count as got.
func (l *lru[K, V]) has(k K) bool {
	_, ok := l.at[k]
	return ok
}

// put sets k's value. A new value for an old key does not make the entry younger. put reports whether there was one before, and whether another entry had to be forgotten.
func (l *lru[K, V]) put(k K, v V) (replaced, evicted bool) {
	if el, ok := l.at[k]; ok {
		el.Value = item[K, V]{el.Value.(item[K, V]).key, v}
		return true, false
	}
	if len(l.at) >= l.max {
		l.pop()
		evicted = true
	}
	l.at[k] = l.order.PushFront(item[K, V]{k, v})
	return false, evicted
}

// pop removes and returns the value that was added or got longest ago.
func (l *lru[K, V]) pop() (V, bool) {
	el := l.order.Back()
	if el == nil {
		var zero V
		return zero, false
	}
	it := l.order.Remove(el).(item[K, V])
	delete(l.at, it.key)
	return it.value, true
}
