// Package pushertest is a stand-in for Pusher's HTTP API on a loopback port. It takes what the real service takes, refuses
// what that refuses, keeps what it accepted and misbehaves on request. It needs no *testing.T.
//
// It checks every request as the service does: the signature and its age, the hash of the body, at most 10 events in a
// batch, at most 100 channels of one event, the names of channels and events, and 10 kB of data. It has no subscribers: for
// those see package channels.
package pushertest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Limits that the service documents.
const (
	MaxBatch    = 10
	MaxChannels = 100
	MaxData     = 10 * 1024
	MaxAge      = 600 * time.Second // of a signature, either way

	maxBody = 1 << 20
)

// App is the app that the server serves.
type App struct {
	ID, Key, Secret string
	Now             func() time.Time // default time.Now
}

// Message is one event on one channel as it was accepted.
type Message struct {
	Channel string
	Event   string
	Data    string
}

// Fault is how the server treats one request. Its zero value is none.
type Fault struct {
	Status     int    // answer this status
	RetryAfter string // with this header
	Drop       bool   // close the connection without an answer
	Hang       bool   // answer nothing until the client goes away or the server is closed

	// Accepted says that the request was served before the fault happened, so that only its answer is lost.
	Accepted bool
}

// Server is a running server. All methods are safe for concurrent use.
type Server struct {
	app    App
	host   string
	port   int
	http   *http.Server
	closed context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	faults   func(request int) Fault
	requests int
	batches  []int // accepted events of each accepted request
	messages map[string][]Message
	changed  chan struct{} // closed and replaced when something was accepted
}

// New starts a server. Close it.
func New(app App) (*Server, error) {
	if app.Now == nil {
		app.Now = time.Now
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a stand-in of pusher: %w", err)
	}
	addr := l.Addr().(*net.TCPAddr)
	alive, closed := context.WithCancel(context.Background())
	s := &Server{
		app: app, host: addr.IP.String(), port: addr.Port, closed: closed, done: make(chan struct{}),
		messages: make(map[string][]Message), changed: make(chan struct{}),
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return alive }}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l)
	}()
	return s, nil
}

// Host returns the address to call.
func (s *Server) Host() string { return s.host }

// Port returns the port to call.
func (s *Server) Port() int { return s.port }

// Close ends hanging requests, waits up to a second for the others and drops all connections. What was accepted stays
// readable.
func (s *Server) Close() {
	s.closed()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.done
}

// Misbehave decides the fault of each request from now on by its number, which counts from 1 over all requests. The
// function is called under a lock, one request at a time. nil ends all faults.
func (s *Server) Misbehave(faults func(request int) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults
}

// Messages returns what was accepted on a channel, in order.
func (s *Server) Messages(channel string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages[channel])
}

// Channels returns the names of all channels on which something was accepted, sorted.
func (s *Server) Channels() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.messages))
}

// Requests returns how many requests there were, good and bad.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Batches returns the number of messages in each accepted request.
func (s *Server) Batches() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

// Wait returns nil as soon as ok is true, which is asked now and after each accepted request, or ctx's error.
func (s *Server) Wait(ctx context.Context, ok func(*Server) bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if ok(s) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ServeHTTP serves one request of the HTTP API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	fault := s.next()
	if !fault.Accepted && s.fail(w, r, fault) {
		return
	}
	var msgs []Message
	refusal := &refusal{http.StatusRequestEntityTooLarge, "the body cannot be read"}
	if err == nil {
		msgs, refusal = s.read(r, body)
	}
	if refusal != nil {
		http.Error(w, refusal.reason, refusal.status)
		return
	}
	s.accept(msgs)
	if s.fail(w, r, fault) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{}")
}

func (s *Server) next() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.faults == nil {
		return Fault{}
	}
	return s.faults(s.requests)
}

// fail lets a fault happen and reports whether there was one.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, f Fault) bool {
	switch {
	case f.Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		http.Error(w, "told to fail", f.Status)
		return true
	}
	return false
}

func (s *Server) accept(msgs []Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range msgs {
		s.messages[m.Channel] = append(s.messages[m.Channel], m)
	}
	s.batches = append(s.batches, len(msgs))
	close(s.changed)
	s.changed = make(chan struct{})
}
