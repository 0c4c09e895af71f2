package callback

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Bounds of a request.
const (
	sendWait   = 15 * time.Second // from the name's resolution to the answer's status
	drainWait  = time.Second      // for the rest of an answer, so that the connection can be used again
	maxDrain   = 4 << 10          // bytes of such a rest; of more, and of an unknown length, nothing is read
	maxHeaders = 16 << 10         // bytes of an answer's headers
)

// answer is what came of one request.
type answer struct {
	status     int           // 0: there was none
	err        error         // why
	retryAfter time.Duration // what it asks for; 0: nothing
}

// sender makes the requests. It is safe for concurrent use; close it.
type sender struct {
	dialer    *dialer
	transport *http.Transport
	client    *http.Client
	wait      time.Duration
	now       func() time.Time
}

func newSender(d *dialer, roots *x509.CertPool, wait time.Duration, now func() time.Time) *sender {
	t := &http.Transport{
		Proxy:                  nil, // the environment's would resolve names for itself
		DialContext:            d.connect,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		DisableCompression:     true,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxHeaders,
	}
	return &sender{dialer: d, transport: t, wait: wait, now: now, client: &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (s *sender) close() { s.transport.CloseIdleConnections() }

// send posts a message and returns the answer. The URL is held against the rules once more: they may be stricter than when it was kept.
func (s *sender) send(ctx context.Context, to, id string, body []byte, secrets [][]byte) answer {
	u, why := checkURL(to, s.dialer.allow)
	if why != "" {
		return answer{err: &urlError{why}}
	}
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	at := s.now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "ToolboxAI-Callbacks/1")
	req.Header.Set(HeaderID, id)
	req.Header.Set(HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	req.Header.Set(HeaderSignature, Sign(id, at, body, secrets...))
	res, err := s.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	if res.ContentLength >= 0 && res.ContentLength <= maxDrain {
		defer time.AfterFunc(drainWait, cancel).Stop()
		_, _ = io.CopyN(io.Discard, res.Body, maxDrain)
	}
	return answer{status: res.StatusCode, retryAfter: retryAfter(res.Header.Get("Retry-After"), at)}
}

// urlError says that a URL is not, or no longer, one that requests go to.
type urlError struct{ why string }

func (e *urlError) Error() string { return "the URL " + e.why }

// retryAfter reads a Retry-After header: seconds, or a date. What is neither asks for nothing.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

var _ Resolver = net.DefaultResolver
