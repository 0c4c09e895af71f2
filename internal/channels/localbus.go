package channels

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	localBacklog = 1 << 14 // messages that wait for one listener; beyond that it loses them and is told
	localValues  = 1 << 16
)

// LocalBus is a Bus for the servers of one process. What it carries has one order for all.
type LocalBus struct {
	trunk *trunk

	mu    sync.Mutex
	away  bool
	deaf  bool
	delay time.Duration
	hold  chan struct{} // closed when Get may go on; nil when it may
}

// trunk is what the branches of a LocalBus share.
type trunk struct {
	mu        sync.Mutex
	listeners map[*listener]struct{}
	values    map[string]value
}

type value struct {
	data  []byte
	until time.Time
}

type listener struct {
	bus     *LocalBus
	backlog [][]byte
	lost    bool
	wake    chan struct{}
}

var _ Bus = (*LocalBus)(nil)

// NewLocalBus returns a bus that joins all servers that are given it or a branch of it.
func NewLocalBus() *LocalBus {
	return &LocalBus{trunk: &trunk{listeners: map[*listener]struct{}{}, values: map[string]value{}}}
}

// Branch returns the same bus by a link of its own, which can be disturbed without the others.
func (b *LocalBus) Branch() *LocalBus { return &LocalBus{trunk: b.trunk} }

// Cut breaks this link, or mends it: while it is broken nothing can be published, put or got by it, and nothing comes. Listeners are told of
// the loss once it is mended.
func (b *LocalBus) Cut(broken bool) { b.disturb(func() { b.away = broken }, !broken) }

// Deafen makes this link lose what comes, or ends that, while it carries what is published. Listeners are told when it ends.
func (b *LocalBus) Deafen(deaf bool) { b.disturb(func() { b.deaf = deaf }, !deaf) }

// Delay makes each message wait before it is received by this link.
func (b *LocalBus) Delay(d time.Duration) { b.disturb(func() { b.delay = d }, false) }

// HoldGets makes Get by this link wait once it has its answer, until that ends.
func (b *LocalBus) HoldGets(hold bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hold != nil {
		close(b.hold)
		b.hold = nil
	}
	if hold {
		b.hold = make(chan struct{})
	}
}

func (b *LocalBus) disturb(change func(), lost bool) {
	b.trunk.mu.Lock()
	defer b.trunk.mu.Unlock()
	b.mu.Lock()
	change()
	b.mu.Unlock()
	for l := range b.trunk.listeners {
		if lost && l.bus == b {
			l.lost = true
			l.signal()
		}
	}
}

// Publish gives a copy of data to every listener. Unavailable while the link is cut.
func (b *LocalBus) Publish(ctx context.Context, data []byte) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	data = bytes.Clone(data)
	b.trunk.mu.Lock()
	defer b.trunk.mu.Unlock()
	for l := range b.trunk.listeners {
		if away, deaf, _ := l.bus.disturbed(); away || deaf {
			continue
		}
		if len(l.backlog) >= localBacklog {
			l.backlog, l.lost = nil, true
		}
		l.backlog = append(l.backlog, data)
		l.signal()
	}
	return nil
}

// Listen implements Bus. It returns nil when ctx ends.
func (b *LocalBus) Listen(ctx context.Context, receive func(data []byte), lost func()) error {
	l := &listener{bus: b, wake: make(chan struct{}, 1)}
	b.trunk.mu.Lock()
	b.trunk.listeners[l] = struct{}{}
	b.trunk.mu.Unlock()
	defer func() {
		b.trunk.mu.Lock()
		delete(b.trunk.listeners, l)
		b.trunk.mu.Unlock()
	}()
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return nil
		}
		b.trunk.mu.Lock()
		backlog, missed := l.backlog, l.lost
		l.backlog, l.lost = nil, false
		b.trunk.mu.Unlock()
		if missed {
			lost()
		}
		for _, data := range backlog {
			if _, _, delay := b.disturbed(); delay > 0 {
				select {
				case <-time.After(delay):
				case <-ctx.Done():
					return nil
				}
			}
			receive(data)
		}
	}
}

// Put implements Bus.
func (b *LocalBus) Put(ctx context.Context, key string, data []byte, ttl time.Duration) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	b.trunk.mu.Lock()
	defer b.trunk.mu.Unlock()
	now := time.Now()
	if _, exists := b.trunk.values[key]; !exists && len(b.trunk.values) >= localValues {
		b.trunk.makeRoom(now)
	}
	b.trunk.values[key] = value{bytes.Clone(data), now.Add(ttl)}
	return nil
}

// makeRoom drops the values that are over, and any one when none is.
func (t *trunk) makeRoom(now time.Time) {
	for key, v := range t.values {
		if now.After(v.until) {
			delete(t.values, key)
		}
	}
	for key := range t.values {
		if len(t.values) < localValues {
			return
		}
		delete(t.values, key)
	}
}

// Get implements Bus.
func (b *LocalBus) Get(ctx context.Context, key string) ([]byte, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	b.trunk.mu.Lock()
	v, ok := b.trunk.values[key]
	if ok && time.Now().After(v.until) {
		delete(b.trunk.values, key)
		ok = false
	}
	b.trunk.mu.Unlock()
	b.mu.Lock()
	hold := b.hold
	b.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if !ok {
		return nil, fault.New(fault.NotFound, "no value under %s", key)
	}
	return bytes.Clone(v.data), nil
}

func (b *LocalBus) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if away, _, _ := b.disturbed(); away {
		return fault.New(fault.Unavailable, "the link is cut")
	}
	return nil
}

func (b *LocalBus) disturbed() (away, deaf bool, delay time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.away, b.deaf, b.delay
}

func (l *listener) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
