package channels

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// conn is a client. At rest it has one goroutine, which reads.
type conn struct {
	s   *Server
	ws  *websocket.Conn
	net net.Conn
	id  string // the socket id
	out queue

	heard atomic.Int64 // when the client last said something, since the server began

	mu        sync.Mutex
	timer     *time.Timer // nil once the connection has ended
	pinged    int64       // when a ping was sent that is not answered yet, as heard; 0 when there is none
	subs      map[string]*subscription
	user      user
	watchlist []string

	bucket bucket // of client events; the reader's alone
}

var errTooLarge = errors.New("the message is larger than 64 KiB")

// buffers hold messages while they are read.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxPooled = 16 << 10

// serve runs the connection until it ends.
func (c *conn) serve() {
	defer c.cleanUp()
	if !c.s.admit(c) {
		c.close(codeReconnect, "The server is going away")
		return
	}
	c.touch()
	c.mu.Lock()
	c.timer = time.AfterFunc(c.s.cfg.ActivityTimeout, c.checkActivity)
	c.mu.Unlock()
	seconds := max(int(c.s.cfg.ActivityTimeout/time.Second), 1)
	data := object("socket_id", quote(c.id), "activity_timeout", strconv.Itoa(seconds))
	c.push(encode("pusher:connection_established", "", data, ""))
	for c.read() {
	}
}

// read reads and handles one message. It returns false when the connection has ended.
func (c *conn) read() bool {
	typ, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return false
	}
	buf := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= maxPooled {
			buf.Reset()
			buffers.Put(buf)
		}
	}()
	_, err = buf.ReadFrom(io.LimitReader(r, maxFrame+1))
	if err == nil && buf.Len() > maxFrame {
		if _, err = io.Copy(io.Discard, r); err == nil {
			err = errTooLarge
		}
	}
	c.touch()
	switch {
	case errors.Is(err, errTooLarge):
		c.push(encodeError(codeNone, "The message is larger than 64 KiB"))
	case err != nil:
		return false
	case typ != websocket.MessageText:
		c.push(encodeError(codeNone, "Binary messages are not supported"))
	default:
		c.handle(buf.Bytes())
	}
	return true
}

// handle handles one message. Events that nobody knows are passed over, as Pusher does.
func (c *conn) handle(text []byte) {
	m, err := parseFrame(text)
	if err != nil {
		c.push(encodeError(codeNone, "The message is not an event: one JSON object with an event's name"))
		return
	}
	switch m.Event {
	case "pusher:ping":
		c.push(encode("pusher:pong", "", "{}", ""))
	case "pusher:subscribe":
		c.subscribe(m)
	case "pusher:unsubscribe":
		c.unsubscribe(m)
	case "pusher:signin":
		c.signIn(m)
	default:
		if strings.HasPrefix(m.Event, "client-") {
			c.clientEvent(m)
		}
	}
}

func (c *conn) touch() { c.heard.Store(int64(time.Since(c.s.began)) + 1) }

// checkActivity sends a ping to a client that is silent, and closes the connection of one that stays so.
func (c *conn) checkActivity() {
	c.mu.Lock()
	if c.timer == nil {
		c.mu.Unlock()
		return
	}
	now, heard := int64(time.Since(c.s.began))+1, c.heard.Load()
	silent, dead := false, false
	if heard > c.pinged {
		c.pinged = 0
	}
	switch quiet := time.Duration(now - heard); {
	case c.pinged != 0:
		dead = true
	case quiet >= c.s.cfg.ActivityTimeout:
		silent, c.pinged = true, now
		c.timer.Reset(c.s.cfg.PongTimeout)
	default:
		c.timer.Reset(c.s.cfg.ActivityTimeout - quiet)
	}
	c.mu.Unlock()
	if silent {
		c.push(encode("pusher:ping", "", "{}", ""))
	}
	if dead {
		c.close(codeNoPong, "Pong reply not received")
	}
}

// close says goodbye with a code and lets go of what is queued. It does not wait; the reader cleans up.
func (c *conn) close(code int, why string) {
	c.out.stop(func() {
		c.s.spawn(func() {
			guard := time.AfterFunc(closeTimeout, func() { _ = c.net.Close() })
			defer guard.Stop()
			_ = c.ws.Close(websocket.StatusCode(code), reason(why))
		})
	})
}

// cleanUp makes all forget the connection.
func (c *conn) cleanUp() {
	c.out.stop(func() {})
	c.mu.Lock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	subs := c.subs
	c.subs = nil
	c.mu.Unlock()
	for _, sub := range subs {
		c.s.leave(sub)
	}
	c.signOut()
	c.s.dismiss(c)
	_ = c.ws.CloseNow()
	_ = c.net.Close()
	c.s.open.Add(-1)
}
