package nats_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/nats"
)

// proxy stands between a client and its broker, and can be cut: then both see a connection on which nothing arrives.
type proxy struct {
	listener net.Listener
	broken   chan struct{}
	once     sync.Once
	group    sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
	away     bool // connections are refused
}

func startProxy(t *testing.T, url string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, broken: make(chan struct{})}
	p.group.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			broker, err := net.Dial("tcp", strings.TrimPrefix(url, "nats://"))
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, broker)
			if p.away {
				_ = client.Close()
				_ = broker.Close()
			}
			p.mu.Unlock()
			p.group.Go(func() { p.carry(broker, client) })
			p.group.Go(func() { p.carry(client, broker) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.group.Wait()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

// connect connects through the proxy until the test ends.
func (p *proxy) connect(t *testing.T) *natsgo.Conn {
	t.Helper()
	nc, _, err := nats.Connect(nats.ConnectConfig{URL: p.url(), Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// hangUp closes all connections and refuses others until the returned function is called.
func (p *proxy) hangUp() (back func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = true
	for _, c := range p.conns {
		_ = c.Close()
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.away = false
	}
}

// cut lets nothing through any more.
func (p *proxy) cut() { p.once.Do(func() { close(p.broken) }) }

func (p *proxy) carry(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			_ = to.Close()
			return
		}
		select {
		case <-p.broken:
			_, _ = io.Copy(io.Discard, from)
			return
		default:
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
