package api

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// socket is one client's WebSocket.
//
//	client ─► read ─► subscribe ─► a reader of the News, pump ─┐
//	            └───────── answers ────────────────────────────┴─► out ─► write ─► client
//
// What is behind waits: a client that does not read fills out, then the queue of its readers in the News, and is let go by whichever of the
// write's deadline and that queue's end comes first. Nothing else holds its messages.
type socket struct {
	s     *Server
	p     auth.Principal
	kinds kindSet
	ws    *websocket.Conn
	out   chan []byte

	life context.Context // of the connection
	kill context.CancelFunc
	open context.Context // ends first, with an *ending as its cause; then the client is told
	end  func(*ending)   // ends open; the first one counts

	mu    sync.Mutex
	subs  map[socketTarget]*subscription
	pumps sync.WaitGroup
}

func newSocket(ctx context.Context, s *Server, p auth.Principal, kinds kindSet, ws *websocket.Conn) *socket {
	c := &socket{s: s, p: p, kinds: kinds, ws: ws, out: make(chan []byte, socketQueue), subs: map[socketTarget]*subscription{}}
	c.life, c.kill = context.WithCancel(ctx)
	open, cancel := context.WithCancelCause(c.life)
	c.open, c.end = open, func(why *ending) { cancel(why) }
	return c
}

// serve runs the connection until it ends, and leaves nothing of it behind.
func (c *socket) serve() {
	defer c.kill()
	late := context.AfterFunc(c.open, func() { // whatever the client does, it is over soon
		timer := time.NewTimer(socketGoodbye)
		defer timer.Stop()
		select {
		case <-timer.C:
			c.kill()
		case <-c.life.Done():
		}
	})
	defer late()
	var group sync.WaitGroup
	for _, part := range []func(){c.read, c.watch, c.ping} {
		group.Go(part)
	}
	c.write()
	c.kill()
	_ = c.ws.CloseNow()
	group.Wait()
	c.pumps.Wait()
}

// read handles what the client says until open ends or the client goes.
func (c *socket) read() {
	pace := rate.NewLimiter(socketRate, socketBurst)
	for {
		kind, text, err := c.ws.Read(c.life)
		switch {
		case err != nil:
			c.end(&ending{}) // the library has told the client what it did wrong
			return
		case kind != websocket.MessageText:
			c.end(ended(websocket.StatusUnsupportedData, fault.Invalid, "messages are JSON in text frames"))
		case pace.Wait(c.open) == nil:
			c.handle(text)
		}
	}
}

func (c *socket) handle(text []byte) {
	m, err := parseSocketRequest(text)
	if err == nil {
		switch m.Type {
		case typePing:
			c.push(c.open, socketAnswer{Type: typePong})
		case typeSubscribe:
			err = c.subscribe(m)
		case typeUnsubscribe:
			err = c.unsubscribe(m.socketTarget)
		}
	}
	if err != nil {
		c.push(c.open, errorAnswer(m.socketTarget, err))
	}
}

// push queues a message, waits for room, and reports whether it got it before ctx ended.
func (c *socket) push(ctx context.Context, m socketAnswer) bool {
	data, err := json.Marshal(m)
	if err != nil {
		c.s.logger.ErrorContext(ctx, "a message of a WebSocket cannot be encoded", "request_id", callOf(ctx).id, "error", err)
		return false
	}
	select {
	case c.out <- data:
		return true
	case <-ctx.Done():
		return false
	}
}

// write sends what is queued until open ends, and then says why.
func (c *socket) write() {
	for {
		select {
		case <-c.open.Done():
			c.goodbye()
			return
		default:
		}
		select {
		case data := <-c.out:
			if err := c.send(data); err != nil {
				c.end(&ending{})
				return
			}
		case <-c.open.Done():
		}
	}
}

func (c *socket) send(data []byte) error {
	ctx, cancel := context.WithTimeout(c.life, frameTime)
	defer cancel()
	return c.ws.Write(ctx, websocket.MessageText, data)
}

func (c *socket) goodbye() {
	var why *ending
	if !errors.As(context.Cause(c.open), &why) || why.err == nil {
		return
	}
	last := errorAnswer(socketTarget{}, why.err)
	data, err := json.Marshal(last)
	if err == nil && c.send(data) == nil {
		_ = c.ws.Close(why.code, clipTo(last.Message, socketReason))
	}
}

// ping ends the connection of a client that does not answer any more.
func (c *socket) ping() {
	every := time.NewTicker(socketPing)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			ctx, cancel := context.WithTimeout(c.life, frameTime)
			err := c.ws.Ping(ctx)
			cancel()
			if err != nil {
				c.end(&ending{})
				c.kill()
			}
		case <-c.open.Done():
			return
		}
	}
}

// watch ends the connection with the token that opened it, with its proof and with the server, as relay does for a stream.
func (c *socket) watch() {
	proof := time.NewTicker(proofEvery)
	defer proof.Stop()
	expired, stop := expiry(c.p)
	defer stop()
	for asked := 1; ; {
		select {
		case <-proof.C:
			c.check(asked%sharedEvery == 0)
			asked++
		case <-expired:
			c.end(ended(websocket.StatusPolicyViolation, fault.Unauthorized, "the token has expired"))
		case <-c.s.stopping:
			c.end(ended(websocket.StatusGoingAway, fault.Unavailable, "the server stops"))
		case <-c.open.Done():
		}
		if c.open.Err() != nil {
			return
		}
	}
}
