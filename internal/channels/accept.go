package channels

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	maxRefusals   = 256 // clients at a time that are being told why they may not connect
	maxFrame      = 64 << 10
	maxDiscard    = 1 << 20 // a message that is larger than maxFrame is read and thrown away; beyond that the connection ends with 1009
	readerSize    = 512
	writerSize    = 1 << 10
	oldestVersion = 5 // older clients do not answer pings
	version       = 7
	readyTimeout  = 5 * time.Second
)

// ServeHTTP accepts clients at /app/{key}. What is wrong with the key or the query (protocol, client, version) is said on the WebSocket, by
// a pusher:error and a close code, as clients expect it. 503 until Run has joined the Bus and when too many are being refused.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, ok := strings.CutPrefix(r.URL.Path, "/app/")
	if !ok || key == "" || strings.Contains(key, "/") {
		http.NotFound(w, r)
		return
	}
	if !s.begin(r.Context()) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the server is not ready", http.StatusServiceUnavailable)
		return
	}
	defer s.goroutine.Done()
	if code, why := s.check(key, r); code != codeNone {
		s.turnAway(w, r, code, why)
		return
	}
	if s.open.Add(1) > int64(s.cfg.MaxConnections) {
		s.open.Add(-1)
		s.turnAway(w, r, codeOverCapacity, "Over capacity")
		return
	}
	c := &conn{s: s, id: strconv.FormatUint(rand.Uint64N(1<<40), 10) + "." + strconv.FormatUint(rand.Uint64N(1<<40), 10)}
	if err := c.upgrade(w, r); err != nil {
		s.open.Add(-1)
		return // the client has been told
	}
	s.spawn(c.serve) // not in this goroutine: net/http's has a large stack and keeps the request
}

// begin waits until clients are let in and counts the caller as running.
func (s *Server) begin(ctx context.Context) bool {
	timer := time.NewTimer(readyTimeout)
	defer timer.Stop()
	select {
	case <-s.ready:
	case <-s.ending:
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.goroutine.Add(1)
	return true
}

// check returns the close code for a client that may not connect.
func (s *Server) check(key string, r *http.Request) (code int, why string) {
	asked := r.URL.Query().Get("protocol")
	n, err := strconv.Atoi(asked)
	switch {
	case key != s.cfg.App.Key:
		return codeNoApp, fmt.Sprintf("App key %.64s not in this cluster. Did you forget to specify the cluster?", key)
	case asked == "":
		return codeNoVersion, "No protocol version supplied"
	case err != nil:
		return codeInvalidVersion, fmt.Sprintf("Invalid version string format %.20q", asked)
	case n < oldestVersion || n > version:
		return codeUnsupportedVersion, fmt.Sprintf("Unsupported protocol version: %d", n)
	}
	return codeNone, ""
}

// turnAway accepts a client only to say why it may not connect.
func (s *Server) turnAway(w http.ResponseWriter, r *http.Request, code int, why string) {
	select {
	case s.refusals <- struct{}{}:
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	defer func() { <-s.refusals }()
	c := &conn{s: s}
	if err := c.upgrade(w, r); err != nil {
		return
	}
	guard := time.AfterFunc(closeTimeout, func() { _ = c.net.Close() })
	defer guard.Stop()
	_ = c.ws.Write(context.Background(), websocket.MessageText, encodeError(code, why))
	_ = c.ws.Close(websocket.StatusCode(code), reason(why))
}

// reason cuts a close frame's text to what fits, at a character's end.
func reason(why string) string { return strings.ToValidUTF8(why[:min(len(why), 123)], "") }

// upgrade turns the request into a WebSocket with small buffers: idle connections are most of them, and net/http's are 8 KiB.
func (c *conn) upgrade(w http.ResponseWriter, r *http.Request) error {
	small := &smallBuffers{ResponseWriter: w}
	ws, err := websocket.Accept(small, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // any Origin: what a client may do is said by signatures, never by cookies
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     func(context.Context, []byte) bool { c.touch(); return true },
		OnPongReceived:     func(context.Context, []byte) { c.touch() },
	})
	if err != nil {
		return err
	}
	ws.SetReadLimit(maxDiscard)
	c.ws, c.net = ws, small.net
	return nil
}

// smallBuffers hijacks a connection with buffers that are smaller than net/http's.
type smallBuffers struct {
	http.ResponseWriter
	net net.Conn
}

func (w *smallBuffers) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.net = conn
	early, _ := rw.Peek(rw.Reader.Buffered()) // what is buffered can be had
	if len(early) > readerSize {
		return conn, rw, nil
	}
	reader := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn), readerSize)
	_, _ = reader.Peek(len(early)) // Accept takes over what is in the buffer
	return conn, bufio.NewReadWriter(reader, bufio.NewWriterSize(conn, writerSize)), nil
}
