package main

import (
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// relay stands between clients and several APIs. It passes each connection on to one of those that live, and breaks connections when it is told to.
type relay struct {
	listener net.Listener
	base     string
	targets  []string
	serving  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{} // of clients
	broken int
}

// openRelay starts a relay that ends with the test. It prefers the first of the APIs, or none.
func openRelay(t *testing.T, prefer bool, bases ...string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, base: "http://" + l.Addr().String(), open: map[net.Conn]struct{}{}}
	for _, base := range bases {
		r.targets = append(r.targets, strings.TrimPrefix(base, "http://"))
	}
	r.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			first := 0
			if !prefer {
				first = rand.IntN(len(r.targets))
			}
			r.serving.Go(func() { r.serve(conn, first) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.mu.Lock()
		r.closed = true
		r.mu.Unlock()
		r.cut(1)
		r.serving.Wait()
	})
	return r
}

// serve passes on what one client sends and is answered, until one side ends.
func (r *relay) serve(from net.Conn, first int) {
	defer from.Close()
	var to net.Conn
	for i := range r.targets {
		var err error
		if to, err = net.DialTimeout("tcp", r.targets[(first+i)%len(r.targets)], time.Second); err == nil {
			break
		}
	}
	if to == nil || !r.keep(from) {
		return
	}
	defer to.Close()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, from)
	}()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(from, to)
		from.Close()
	})
	_, _ = io.Copy(to, from)
	to.Close()
	back.Wait()
}

func (r *relay) keep(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.open[conn] = struct{}{}
	}
	return !r.closed
}

// cut breaks connections, each with that probability.
func (r *relay) cut(probability float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.open {
		if rand.Float64() < probability {
			_ = conn.(*net.TCPConn).SetLinger(0) // a reset: nothing is said in farewell
			conn.Close()
			r.broken++
		}
	}
}

// cuts returns how many connections were broken.
func (r *relay) cuts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}
