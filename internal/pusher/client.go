// Package pusher sends messages to Pusher Channels, or to a server that speaks its HTTP API, and signs what subscribers ask for: see
// Signer.
//
// It wraps pusher-http-go, which signs and encodes, and closes its gaps: TLS is on unless it is switched off, every call
// has a context and a time limit, answers become faults with the server's Retry-After, the limits of the service are
// checked before anything is sent, an empty batch is no request, redirects are not followed, and no error repeats the URL
// with its key and signature. The library keeps no state of ours: each call works on its own copy of the library's
// client, whose transport is bound to the call's context. So a Client is safe for concurrent use.
//
// The package imports notify for Message and implements notify.Sender. It retries nothing: that is the notifier's work.
package pusher

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	pusherhttp "github.com/pusher/pusher-http-go/v5"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/notify"
)

var _ notify.Sender = (*Client)(nil)

// Client calls one Pusher app. Safe for concurrent use.
type Client struct {
	lib       pusherhttp.Client // a template: copied for each call, never called itself
	transport http.RoundTripper
	timeout   time.Duration
	close     func()
}

// New returns a Client, or an Invalid fault that names the wrong fields. It does not call the server.
func New(cfg Config) (*Client, error) {
	host, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	c := &Client{
		lib:     pusherhttp.Client{AppID: cfg.AppID, Key: cfg.Key, Secret: cfg.Secret, Host: host, Secure: !cfg.Plaintext},
		timeout: cfg.Timeout,
		close:   func() {},
	}
	switch {
	case cfg.HTTPClient == nil:
		own := newTransport()
		c.transport, c.close = own, own.CloseIdleConnections
	case cfg.HTTPClient.Transport == nil:
		c.transport = http.DefaultTransport
	default:
		c.transport = cfg.HTTPClient.Transport
	}
	return c, nil
}

// Close drops idle connections, unless they are those of Config.HTTPClient. Call it when no Send is under way any more.
func (c *Client) Close() { c.close() }

// Send passes on at most notify.MaxBatch messages in one request; none at all is a success. It fails with
//
//   - Invalid or TooLarge when a message breaks a rule of the service: nothing was sent
//   - RateLimited with the server's RetryAfter
//   - Unauthorized when the key, the secret or the clock is wrong or the app is disabled or over its quota
//   - Unavailable when the server cannot be reached, does not answer in time or fails: all or nothing may have been passed on
//   - NotFound when the server has no such app, and Internal after an answer that nobody expects, such as a redirect
//   - ctx's error when ctx ends; then, too, all or nothing may have been passed on
func (c *Client) Send(ctx context.Context, msgs []notify.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	if err := check(msgs); err != nil {
		return err
	}
	batch := make([]pusherhttp.Event, len(msgs))
	for i, m := range msgs {
		batch[i] = pusherhttp.Event{Channel: m.Channel, Name: m.Event, Data: m.Data}
	}

	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	call := &call{ctx: bounded, transport: c.transport}
	lib := c.lib
	lib.HTTPClient = &http.Client{Transport: call, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

	switch _, err := lib.TriggerBatch(batch); {
	case call.status >= 200 && call.status < 300:
		return nil // whatever the body says: we asked for nothing but acceptance
	case call.status != 0:
		return call.refusal()
	case ctx.Err() != nil:
		return ctx.Err()
	case bounded.Err() != nil:
		return fault.New(fault.Unavailable, "pusher did not answer within %v", c.timeout)
	default:
		return fault.New(fault.Unavailable, "call pusher: %w", withoutURL(err))
	}
}

func check(msgs []notify.Message) error {
	if len(msgs) > notify.MaxBatch {
		return fault.New(fault.Invalid, "%d messages are too many for one request, at most %d are allowed", len(msgs), notify.MaxBatch)
	}
	for _, m := range msgs {
		switch {
		case !notify.ValidChannel(m.Channel):
			return fault.InvalidField("channel", "%.200q is no channel name", m.Channel)
		case strings.HasPrefix(m.Channel, encryptedPrefix):
			return fault.InvalidField("channel", "%q would need an encryption key", m.Channel)
		case m.Event == "" || len(m.Event) > maxEventName:
			return fault.InvalidField("event", "must have 1 to %d bytes", maxEventName)
		case len(m.Data) > notify.MaxData:
			return fault.New(fault.TooLarge, "the data of an event on %s has %d bytes, at most %d are allowed", m.Channel, len(m.Data), notify.MaxData)
		}
	}
	return nil
}

const (
	encryptedPrefix = "private-encrypted-"
	maxEventName    = 200
)

// withoutURL drops the request's URL, which holds the app's key and a signature, from an error of net/http.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
