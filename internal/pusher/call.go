package pusher

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// maxAnswer bounds what is read of an answer, in bytes. A longer one costs its connection.
const maxAnswer = 64 << 10

// call is the transport of one request. It binds the request to a context, which the library cannot do, and keeps what the
// library's errors lose.
type call struct {
	ctx       context.Context // of this one request; the call ends before it does
	transport http.RoundTripper

	status     int // 0 until the server has answered
	retryAfter time.Duration
	text       string // the beginning of the answer's body
}

// RoundTrip sends req and reads the answer to its end, so that nothing is read outside the call's context.
func (c *call) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.transport.RoundTrip(req.WithContext(c.ctx))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	success := resp.StatusCode >= 200 && resp.StatusCode < 300
	if err != nil && !success {
		return nil, err
	}
	c.status = resp.StatusCode
	c.retryAfter = parseRetryAfter(resp.Header.Get("Retry-After"))
	c.text = strings.ToValidUTF8(string(body[:min(len(body), 200)]), "")
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// refusal returns the fault that the server's answer stands for.
func (c *call) refusal() error {
	kind := fault.Internal
	switch {
	case c.status == http.StatusRequestEntityTooLarge:
		kind = fault.TooLarge
	case c.status == http.StatusBadRequest:
		kind = fault.Invalid
	case c.status == http.StatusUnauthorized, c.status == http.StatusForbidden:
		kind = fault.Unauthorized
	case c.status == http.StatusNotFound:
		kind = fault.NotFound
	case c.status == http.StatusTooManyRequests:
		kind = fault.RateLimited
	case c.status == http.StatusRequestTimeout, c.status >= 500:
		kind = fault.Unavailable
	}
	err := fault.New(kind, "pusher answered with status %d: %q", c.status, c.text)
	if kind == fault.RateLimited || kind == fault.Unavailable {
		err.RetryAfter = c.retryAfter
	}
	return err
}

// parseRetryAfter reads seconds or a date; 0 for neither, and for what is over.
func parseRetryAfter(v string) time.Duration {
	if s, err := strconv.Atoi(v); err == nil {
		const day = 24 * 60 * 60
		return time.Duration(min(max(s, 0), day)) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
