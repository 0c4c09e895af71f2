package channels

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	rollEvery    = 100 * time.Millisecond // until the Bus brings something back
	settleTime   = 250 * time.Millisecond // that the others have to say who is where, before the first client is let in
	relistenWait = time.Second
	farewell     = 5 * time.Second // for what is to be said when a server ends
	closeTimeout = 3 * time.Second // for a client to take leave
)

// Server serves the clients of an app. It is an http.Handler; Run makes it part of all servers on the Bus. It is safe for concurrent use.
type Server struct {
	cfg    Config
	id     string
	began  time.Time
	settle time.Duration

	hub    *hub
	people *people
	gossip *gossip
	view   view

	appliedSelf atomic.Uint64
	mute        atomic.Bool // the Bus takes no messages
	open        atomic.Int64
	refusals    chan struct{}

	heard     sync.Once
	back      chan struct{} // closed once the Bus brought something back
	ready     chan struct{} // closed once clients are let in
	ending    chan struct{} // closed once they are not any more
	goroutine sync.WaitGroup

	mu      sync.Mutex
	running bool
	ended   bool
	conns   map[*conn]struct{}

	faults faults
}

// faults break one mechanism each: tests see that they would notice.
type faults struct {
	anySignature  bool // signatures are not compared
	anyMember     bool // client events need no subscription
	echo          bool // exclusion by socket id is ignored
	ignoreGaps    bool // changes of other servers may be missing
	keepDead      bool // silent servers are not forgotten
	unboundedRate bool // client events are not counted
	eagerCache    bool // a cache channel's last message is sent even when a newer one has been
}

// New returns a server that lets nobody in until Run has joined the Bus. The error is Invalid and names the fields.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails
	s := &Server{
		cfg: cfg, id: hex.EncodeToString(random), began: time.Now(), settle: settleTime,
		hub: newHub(), people: newPeople(), gossip: newGossip(), refusals: make(chan struct{}, maxRefusals),
		back: make(chan struct{}), ready: make(chan struct{}), ending: make(chan struct{}), conns: map[*conn]struct{}{},
	}
	self := &peer{id: s.id, heard: s.began}
	s.view = view{self: self, peers: map[string]*peer{s.id: self}, counts: map[string]bool{}}
	return s, nil
}

// Run joins the Bus, lets clients in and serves until ctx ends. Then it closes all connections with 4200, tells the other servers and
// returns nil, within about 10 s. While the Bus is away it goes on: subscriptions wait, and clients keep their connections. It can run once:
// the second call returns Conflict.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	again := s.running
	s.running = true
	s.mu.Unlock()
	if again {
		return fault.New(fault.Conflict, "the server runs already or has ended")
	}
	busCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var bus sync.WaitGroup
	defer bus.Wait()
	bus.Go(func() { s.listen(busCtx) })
	bus.Go(func() { s.say(busCtx) })
	if s.joinBus(ctx) {
		close(s.ready)
	}
	<-ctx.Done()
	s.end()
	s.sayFarewell(busCtx)
	cancel()
	return nil
}

// listen hears the Bus until ctx ends.
func (s *Server) listen(ctx context.Context) {
	for {
		err := s.cfg.Bus.Listen(ctx, s.receive, s.lost)
		if ctx.Err() != nil {
			return
		}
		s.cfg.Logger.WarnContext(ctx, "bus cannot be heard, trying again", "error", err)
		select {
		case <-time.After(relistenWait):
			s.lost()
		case <-ctx.Done():
			return
		}
	}
}

// lost is called when something may have been missed: the beats of all say whether it was.
func (s *Server) lost() {
	s.gossip.want(func() { s.gossip.roll, s.gossip.beat = true, true })
}

// joinBus returns once this server hears itself on the Bus and has heard the others. It returns false when ctx ended before that.
func (s *Server) joinBus(ctx context.Context) bool {
	again := time.NewTicker(rollEvery)
	defer again.Stop()
	for {
		s.gossip.want(func() { s.gossip.roll = true })
		select {
		case <-s.back:
			select {
			case <-time.After(s.settle):
				return true
			case <-ctx.Done():
				return false
			}
		case <-again.C:
		case <-ctx.Done():
			return false
		}
	}
}

func (s *Server) heardSelf() { s.heard.Do(func() { close(s.back) }) }

// end closes all connections and waits until nothing runs any more on their behalf.
func (s *Server) end() {
	s.mu.Lock()
	s.ended = true
	close(s.ending)
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.close(codeReconnect, "The server is going away")
	}
	s.goroutine.Wait()
}

// sayFarewell tells the others what changed last. What takes too long they find out by themselves.
func (s *Server) sayFarewell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for s.appliedSelf.Load() < s.gossip.last() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
	_ = s.publish(ctx, message{Kind: kindBye})
}

// spawn runs f in a goroutine that Run waits for. Callers see to it that something that Run waits for is still running.
func (s *Server) spawn(f func()) { s.goroutine.Go(f) }

// admit adds a connection; false when the server is ending.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) dismiss(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *Server) verify(auth, text string) error {
	if s.faults.anySignature {
		return nil
	}
	return s.cfg.App.verify(auth, text)
}
