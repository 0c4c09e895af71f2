package nats

import (
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// Words of the acknowledgement protocol.
var (
	ackOK       = []byte("+ACK")
	ackNak      = []byte("-NAK")
	ackProgress = []byte("+WPI")
)

// heartbeats keeps deliveries alive: one goroutine for all of them.
type heartbeats struct {
	nc   *natsgo.Conn
	mu   sync.Mutex
	live map[*delivery]time.Time // when each is due
	next time.Time               // when run looks again
	wake chan struct{}
	once sync.Once
	stop chan struct{}
	done chan struct{}
}

func newHeartbeats(nc *natsgo.Conn) *heartbeats {
	h := &heartbeats{
		nc: nc, live: map[*delivery]time.Time{}, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go h.run()
	return h
}

func (h *heartbeats) add(d *delivery) {
	h.mu.Lock()
	due := time.Now().Add(d.beat())
	h.live[d] = due
	early := due.Before(h.next)
	h.mu.Unlock()
	if early {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
}

// remove returns once no further heartbeat is sent for d.
func (h *heartbeats) remove(d *delivery) {
	h.mu.Lock()
	delete(h.live, d)
	h.mu.Unlock()
}

// close may be called again.
func (h *heartbeats) close() {
	h.once.Do(func() { close(h.stop) })
	<-h.done
}

func (h *heartbeats) run() {
	defer close(h.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-h.wake:
		case <-timer.C:
		}
		timer.Reset(time.Until(h.send(time.Now())))
	}
}

// send sends what is due and returns when something is due again. What cannot be sent is due again at the usual time: while the
// broker is away deliveries lapse, and the fence on the log decides.
func (h *heartbeats) send(now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next = now.Add(time.Hour)
	for d, due := range h.live {
		if !due.After(now) {
			_ = h.nc.Publish(d.reply, ackProgress)
			due = now.Add(d.beat())
			h.live[d] = due
		}
		if due.Before(h.next) {
			h.next = due
		}
	}
	return h.next
}
