package nats

import (
	"sync"

	natsgo "github.com/nats-io/nats.go"
)

// busQueue holds what has arrived for one listener of a ChannelBus and waits for it, with a mark where something is missing.
type busQueue struct {
	maxMessages, maxBytes int
	deaf                  bool
	wake                  chan struct{}
	last                  map[string]uint64 // number of a publisher's last message; used by arrived alone

	mu      sync.Mutex
	waiting [][]byte // nil is such a mark
	bytes   int
}

func newBusQueue(maxMessages, maxBytes int, deaf bool) *busQueue {
	return &busQueue{maxMessages: maxMessages, maxBytes: maxBytes, deaf: deaf, wake: make(chan struct{}, 1), last: map[string]uint64{}}
}

// arrived takes a message from the connection, which calls it once at a time. What comes over two nodes because its publisher changed
// from one to the other may be out of order: the late message is passed over, since it was marked as missing before.
func (q *busQueue) arrived(msg *natsgo.Msg) {
	from, count := lastValue(msg.Header, headerBusFrom), sequence(msg.Header, headerBusCount)
	last, known := q.last[from]
	if known && count <= last {
		return
	}
	if known && count > last+1 {
		q.add(nil)
	}
	if !known && len(q.last) == busPublishers { // most of them ended long ago
		clear(q.last)
	}
	q.last[from] = count
	data := msg.Data
	if data == nil {
		data = []byte{}
	}
	q.add(data)
}

// add appends data, or a mark: for nil, and in the place of what exceeds the bounds.
func (q *busQueue) add(data []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.maxMessages || q.bytes+len(data) > q.maxBytes {
		data = nil
	}
	if data == nil && (q.deaf || len(q.waiting) > 0 && q.waiting[len(q.waiting)-1] == nil) {
		return
	}
	q.waiting = append(q.waiting, data)
	q.bytes += len(data)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *busQueue) take() [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.waiting
	q.waiting, q.bytes = nil, 0
	return taken
}
