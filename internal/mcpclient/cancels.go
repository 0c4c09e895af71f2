package mcpclient

import (
	"context"
	"sync"
)

// cancels are those of requests that are under way. It is safe for concurrent use.
type cancels struct {
	mu   sync.Mutex
	over bool
	next int
	by   map[int]context.CancelFunc
}

// add keeps cancel until the returned function is called. When all were called, it is called at once.
func (c *cancels) add(cancel context.CancelFunc) (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		cancel()
		return func() {}
	}
	if c.by == nil {
		c.by = map[int]context.CancelFunc{}
	}
	id := c.next
	c.next++
	c.by[id] = cancel
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.by, id)
	}
}

// all calls those that are kept.
func (c *cancels) all() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, cancel := range c.by {
		cancel()
	}
	clear(c.by)
}
