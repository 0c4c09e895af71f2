package apikey

import "sync"

// cache remembers values by the ids of keys, in two generations: when the newer one is full, the older one is forgotten. It is safe
// for concurrent use.
type cache[V any] struct {
	mu         sync.RWMutex
	newer      map[string]V
	older      map[string]V
	generation int
}

// newCache returns a cache of at most size values.
func newCache[V any](size int) *cache[V] {
	return &cache[V]{newer: map[string]V{}, generation: size / 2}
}

func (c *cache[V]) get(id string) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.newer[id]
	if !ok {
		v, ok = c.older[id]
	}
	return v, ok
}

// put remembers v unless stale says that it came too late; stale is asked while nothing can be dropped.
func (c *cache[V]) put(id string, v V, stale func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if stale() {
		return
	}
	if _, there := c.newer[id]; !there && len(c.newer) >= c.generation {
		c.newer, c.older = make(map[string]V), c.newer
	}
	c.newer[id] = v
}

// drop forgets what fn says.
func (c *cache[V]) drop(fn func(id string, v V) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, generation := range []map[string]V{c.newer, c.older} {
		for id, v := range generation {
			if fn(id, v) {
				delete(generation, id)
			}
		}
	}
}

// remove forgets one.
func (c *cache[V]) remove(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.newer, id)
	delete(c.older, id)
}
