package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// pipes is a listener whose connections are in memory, so that whole servers run on the clock of a synctest bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run serves k on connections in memory until stop is called, which waits and returns what Run returned.
func (k *kit) run() (client *http.Client, stop func() error) {
	k.t.Helper()
	client, stop, _ = k.runDialled()
	return client, stop
}

// runDialled is run; dial opens a further connection, which is the caller's to close.
func (k *kit) runDialled() (client *http.Client, stop func() error, dial func(testing.TB) net.Conn) {
	k.t.Helper()
	l := newPipes()
	ctx, cancel := context.WithCancel(k.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.server.Run(ctx, l) }()
	transport := &http.Transport{DialContext: l.dial}
	client = &http.Client{Transport: transport}
	stop = func() error {
		cancel()
		err := <-ended
		transport.CloseIdleConnections()
		return err
	}
	dial = func(t testing.TB) net.Conn {
		t.Helper()
		conn, err := l.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	return client, stop, dial
}

// frame is one server-sent event, or a comment or retry line alone.
type frame struct {
	id, event, data, retry, comment string
}

// stream reads server-sent events from an answer.
type stream struct {
	answer *http.Response
	cancel context.CancelFunc
	in     *bufio.Reader
}

// openStream asks for the events of a task. after is a Last-Event-ID, or empty.
func (k *kit) openStream(t testing.TB, client *http.Client, base, id, after string) *stream {
	t.Helper()
	return k.openStreamAs(t, client, base, id, after, token(t, "teacher", "ada"))
}

func (k *kit) openStreamAs(t testing.TB, client *http.Client, base, id, after, as string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/tasks/"+id+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer "+as)
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return &stream{answer, cancel, bufio.NewReader(answer.Body)}
}

// close ends the connection from the client's side.
func (s *stream) close() {
	s.cancel()
	_ = s.answer.Body.Close()
}

// next returns the next frame, or io.EOF when the server ended the stream.
func (s *stream) next() (frame, error) {
	var f frame
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return f, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			return f, nil
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "id":
			f.id = value
		case "event":
			f.event = value
		case "data":
			f.data = value
		case "retry":
			f.retry = value
		case "":
			f.comment = value
		default:
			return f, fmt.Errorf("unknown line %q", line)
		}
	}
}

// rest returns all frames to the end of the stream.
func (s *stream) rest(t testing.TB) []frame {
	t.Helper()
	var all []frame
	for {
		f, err := s.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
}
