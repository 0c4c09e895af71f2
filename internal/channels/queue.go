package channels

import (
	"context"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// writeTimeout is how long a client may take to accept one message.
const writeTimeout = 10 * time.Second

// queue holds what a connection has not been sent yet. It is bounded in messages and in bytes. A goroutine writes while there is something to
// write; at rest there is none.
type queue struct {
	mu      sync.Mutex
	frames  [][]byte
	bytes   int
	writing bool
	closed  bool
}

// push queues a message, which is not copied and must not change. It never waits. A connection whose queue is full is closed with 4200.
func (c *conn) push(frame []byte) {
	q := &c.out
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	if len(q.frames) >= c.s.cfg.QueueMessages || q.bytes+len(frame) > c.s.cfg.QueueBytes {
		q.mu.Unlock()
		c.close(codeReconnect, "The client reads too slowly") // the goroutine that closes is another one: locks are held here
		return
	}
	q.frames = append(q.frames, frame)
	q.bytes += len(frame)
	if !q.writing {
		q.writing = true
		c.s.spawn(c.write)
	}
	q.mu.Unlock()
}

// stop drops what is queued, refuses more and calls then; it does nothing when that was so before.
func (q *queue) stop(then func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed, q.frames, q.bytes = true, nil, 0
		then()
	}
}

// next returns the oldest message and forgets it; ok is false when there is none and the writer must end.
func (q *queue) next() (frame []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) == 0 {
		q.frames, q.writing = nil, false
		return nil, false
	}
	frame = q.frames[0]
	q.frames[0] = nil
	q.frames = q.frames[1:]
	q.bytes -= len(frame)
	return frame, true
}

func (c *conn) write() {
	guard := time.AfterFunc(writeTimeout, func() { _ = c.net.Close() })
	defer guard.Stop()
	for {
		frame, ok := c.out.next()
		if !ok {
			return
		}
		guard.Reset(writeTimeout)
		if err := c.ws.Write(context.Background(), websocket.MessageText, frame); err != nil {
			c.out.stop(func() {})
			_ = c.net.Close() // ends the reader, which cleans up
		}
	}
}
