package nats

import (
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// Words of the acknowledgement protocol.
const (
	ackOK       = "+ACK"
	ackNak      = "-NAK"
	ackProgress = "+WPI"
)

// deliveryKey names a message in a consumer.
type deliveryKey struct {
	ref ConsumerRef
	seq uint64
}

type heartbeat struct {
	reply string
	every time.Duration
	due   time.Time
}

// heartbeats keeps deliveries alive: one goroutine for all of them.
type heartbeats struct {
	nc   *natsgo.Conn
	mu   sync.Mutex
	live map[deliveryKey]heartbeat
	next time.Time // when run looks again
	wake chan struct{}
	once sync.Once
	stop chan struct{}
	done chan struct{}
}

func newHeartbeats(nc *natsgo.Conn) *heartbeats {
	h := &heartbeats{
		nc: nc, live: map[deliveryKey]heartbeat{}, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go h.run()
	return h
}

// add keeps d alive. It returns false, and changes nothing, when an earlier delivery of the same message is kept alive here.
func (h *heartbeats) add(d *delivery) bool {
	h.mu.Lock()
	key := d.key()
	if _, alive := h.live[key]; alive {
		h.mu.Unlock()
		return false
	}
	beat := heartbeat{reply: d.reply, every: d.lane.ackWait * 2 / 9}
	beat.due = time.Now().Add(beat.every)
	h.live[key] = beat
	early := beat.due.Before(h.next)
	h.mu.Unlock()
	if early {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// remove returns once no further heartbeat is sent for d.
func (h *heartbeats) remove(d *delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.live[d.key()].reply == d.reply { // else a later delivery of the same message lives on
		delete(h.live, d.key())
	}
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

// send sends what is due and returns when something is due again. What cannot be sent is due again at the usual time: while
// the broker is away deliveries lapse, and the fence on the log decides.
func (h *heartbeats) send(now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next = now.Add(time.Hour)
	for key, beat := range h.live {
		if !beat.due.After(now) {
			_ = h.nc.Publish(beat.reply, []byte(ackProgress))
			beat.due = now.Add(beat.every)
			h.live[key] = beat
		}
		if beat.due.Before(h.next) {
			h.next = beat.due
		}
	}
	return h.next
}
