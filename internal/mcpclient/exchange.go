package mcpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// goodbye is how long a server has to hear that an exchange is over.
const goodbye = time.Second

var (
	errTooMuch = errors.New("the server sends too much")
	errTooMany = errors.New("the exchange takes too many requests")
)

// exchange connects to a server, runs fn and closes, within Limits.Call. Errors: Timeout, Canceled with ctx, Unavailable for a server that cannot be spoken to,
// TooLarge for one that sends too much, and the faults of fn.
func (c *Client) exchange(ctx context.Context, s Server, fn func(context.Context, *mcp.ClientSession) error) error {
	brk := c.breakers[s.Name]
	done, err := brk.Allow()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.limits.Call)
	defer cancel()
	whole, end := context.WithCancel(context.WithoutCancel(ctx)) // all requests of the exchange end with it, also those that go on beside fn
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(goodbye, end) })()
	t := &bounded{next: c.transport, whole: whole, token: s.Token, limits: c.limits}
	err = c.converse(ctx, s, t, fn)
	err = t.explain(ctx, s, err)
	done(err)
	return err
}

func (c *Client) converse(ctx context.Context, s Server, t *bounded, fn func(context.Context, *mcp.ClientSession) error) error {
	client := mcp.NewClient(&mcp.Implementation{Name: "toolboxai", Version: c.version}, &mcp.ClientOptions{Capabilities: &mcp.ClientCapabilities{}})
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: s.URL, MaxRetries: -1, DisableStandaloneSSE: true,
		HTTPClient: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil)
	if err != nil {
		return err
	}
	defer func() {
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			_ = session.Close() // it asks the server to forget the session, where there is one
		}()
		timer := time.AfterFunc(goodbye, t.stop)
		<-closed
		timer.Stop()
	}()
	return fn(ctx, session)
}

// bounded is the transport of one exchange.
type bounded struct {
	next     http.RoundTripper
	whole    context.Context // ends with the exchange
	token    string
	limits   Limits
	requests atomic.Int32
	received atomic.Int64
	cancels  cancels
	why      atomic.Pointer[error] // what bound was broken
	status   atomic.Int32          // of the last answer
}

// RoundTrip implements http.RoundTripper.
func (t *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.requests.Add(1) > int32(t.limits.Requests) {
		t.why.CompareAndSwap(nil, &errTooMany)
		return nil, errTooMany
	}
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(t.whole, cancel)
	release := t.cancels.add(cancel)
	free := func() {
		stop()
		release()
		cancel()
	}
	r = r.Clone(ctx)
	if t.token != "" {
		r.Header.Set("Authorization", "Bearer "+t.token)
	}
	answer, err := t.next.RoundTrip(r)
	if err != nil {
		free()
		return nil, err
	}
	t.status.Store(int32(answer.StatusCode))
	answer.Body = &boundedBody{answer.Body, t, free}
	return answer, nil
}

// stop ends all requests that are under way.
func (t *bounded) stop() { t.cancels.all() }

// explain makes a fault of what went wrong. It shows nothing that the server said but the message of its protocol's errors, cut.
func (t *bounded) explain(ctx context.Context, s Server, err error) error {
	if err == nil {
		return nil
	}
	var known *fault.Error
	var told *jsonrpc.Error
	switch why := t.why.Load(); {
	case errors.As(err, &known):
		return err
	case why != nil && errors.Is(*why, errTooMuch):
		return fault.New(fault.TooLarge, "the server %s sent more than %d bytes", s.Name, t.limits.Answer)
	case why != nil:
		return fault.New(fault.Unavailable, "the server %s: %w", s.Name, *why)
	case errors.Is(ctx.Err(), context.Canceled):
		return fault.New(fault.Canceled, "the exchange with the server %s was withdrawn", s.Name)
	case ctx.Err() != nil:
		return fault.New(fault.Timeout, "the server %s did not answer within %s", s.Name, t.limits.Call)
	case errors.As(err, &told):
		return fault.New(fault.Unavailable, "the server %s refused (%d)", s.Name, told.Code)
	case t.status.Load() >= 300:
		return fault.New(fault.Unavailable, "the server %s answered with status %d", s.Name, t.status.Load())
	}
	return fault.New(fault.Unavailable, "the server %s cannot be reached: %w", s.Name, err)
}

// boundedBody counts what is read of all answers together.
type boundedBody struct {
	io.ReadCloser
	of   *bounded
	free func()
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.of.received.Add(int64(n)) > b.of.limits.Answer {
		b.of.why.CompareAndSwap(nil, &errTooMuch)
		b.of.stop()
		return 0, errTooMuch
	}
	return n, err
}

func (b *boundedBody) Close() error {
	defer b.free()
	return b.ReadCloser.Close()
}

func (c *Client) list(ctx context.Context, s Server) (found []*mcp.Tool, err error) {
	err = c.exchange(ctx, s, func(ctx context.Context, session *mcp.ClientSession) error {
		for tool, err := range session.Tools(ctx, nil) {
			if err != nil {
				return err
			}
			if found = append(found, tool); len(found) > maxListed {
				return fault.New(fault.TooLarge, "the server %s lists more than %d tools", s.Name, maxListed)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the tools of %s: %w", s.Name, err)
	}
	return found, nil
}
