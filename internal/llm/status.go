package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	maxRetryAfter    = time.Hour // what a provider's wish to be left alone is cut to
	maxProviderWords = 300       // of a provider's own error text, in bytes
)

// complaint is what a provider says about a request that it did not serve. The formats differ little: an object "error"
// with message and type or code (OpenAI, Anthropic), the same in a list, with a status and details (Google), or "error" as
// a bare string (Ollama).
type complaint struct {
	code    string // "overloaded_error", "insufficient_quota", "RESOURCE_EXHAUSTED"
	status  int    // where the code is a number
	message string
	wait    time.Duration
}

func parseComplaint(body []byte) complaint {
	body = bytes.TrimSpace(body)
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil && len(list) > 0 {
		body = list[0]
	}
	var outer struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &outer) != nil {
		return complaint{}
	}
	return parseErrorField(outer.Error)
}

func parseErrorField(raw json.RawMessage) complaint {
	var c complaint
	if json.Unmarshal(raw, &c.message) == nil {
		return c
	}
	var e struct {
		Message string
		Type    string
		Status  string
		Code    any
		Details []struct {
			RetryDelay string `json:"retryDelay"`
		}
	}
	if json.Unmarshal(raw, &e) != nil {
		return c
	}
	c.message = e.Message
	switch code := e.Code.(type) {
	case string:
		c.code = code
	case float64:
		c.status = int(code)
	}
	for _, s := range []string{e.Type, e.Status} {
		if c.code == "" {
			c.code = s
		}
	}
	for _, d := range e.Details {
		if wait, err := time.ParseDuration(d.RetryDelay); err == nil && wait > 0 {
			c.wait = min(wait, maxRetryAfter)
		}
	}
	return c
}

// statusFault turns an answer other than 200 into a fault.
func (x *exchange) statusFault(status int, header http.Header, body []byte) *fault.Error {
	c := parseComplaint(body)
	e := x.complain(kindOfStatus(status), fmt.Sprintf("%s answered %d", x.provider, status), c)
	if e.Kind == fault.RateLimited || e.Kind == fault.Unavailable {
		if e.RetryAfter = retryAfter(header, time.Now()); e.RetryAfter == 0 {
			e.RetryAfter = c.wait
		}
	}
	return e
}

// complaintFault turns an error that came within an answer of status 200 into a fault.
func (x *exchange) complaintFault(raw json.RawMessage) *fault.Error {
	c := parseErrorField(raw)
	e := x.complain(kindOfComplaint(c), x.provider+" broke off its answer", c)
	if e.Kind == fault.RateLimited || e.Kind == fault.Unavailable {
		e.RetryAfter = c.wait
	}
	return e
}

// complain puts the provider's words behind the message, where API callers do not see them.
func (x *exchange) complain(kind fault.Kind, message string, c complaint) *fault.Error {
	if code := x.clean(c.code); code != "" {
		message += " (" + code + ")"
	}
	e := &fault.Error{Kind: kind, Message: message}
	if words := x.clean(c.message); words != "" {
		e.Err = errors.New(words)
	}
	return e
}

func kindOfStatus(status int) fault.Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return fault.RateLimited
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusPaymentRequired:
		return fault.Unauthorized
	case status == http.StatusRequestTimeout:
		return fault.Timeout
	case status == http.StatusConflict, status == http.StatusTooEarly:
		return fault.Unavailable
	case status >= 300 && status < 500:
		return fault.Invalid
	}
	return fault.Unavailable
}

func kindOfComplaint(c complaint) fault.Kind {
	if c.status >= 300 {
		return kindOfStatus(c.status)
	}
	switch c.code {
	case "rate_limit_error", "rate_limit_exceeded", "RESOURCE_EXHAUSTED":
		return fault.RateLimited
	case "authentication_error", "permission_error", "billing_error", "invalid_api_key", "UNAUTHENTICATED", "PERMISSION_DENIED":
		return fault.Unauthorized
	case "invalid_request_error", "not_found_error", "request_too_large", "INVALID_ARGUMENT", "NOT_FOUND":
		return fault.Invalid
	}
	return fault.Unavailable
}

// retryAfter reads how long a provider asks to wait: retry-after-ms, or Retry-After in seconds or as a date, counted from
// the answer's own Date where it has one. It returns 0 when nothing usable is said, and at most an hour.
func retryAfter(h http.Header, now time.Time) time.Duration {
	wait := time.Duration(0)
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil {
		wait = scale(ms, time.Millisecond)
	} else if value := h.Get("Retry-After"); value != "" {
		if s, err := strconv.ParseFloat(value, 64); err == nil {
			wait = scale(s, time.Second)
		} else if at, err := http.ParseTime(value); err == nil {
			if sent, err := http.ParseTime(h.Get("Date")); err == nil {
				now = sent
			}
			wait = at.Sub(now)
		}
	}
	return min(max(wait, 0), maxRetryAfter)
}

func scale(n float64, unit time.Duration) time.Duration {
	if !(n > 0) { // NaN included
		return 0
	}
	return time.Duration(min(n, float64(maxRetryAfter/unit)) * float64(unit))
}

// networkFault turns an error of the network into a fault.
func (x *exchange) networkFault(message string, err error) *fault.Error {
	var outer *url.Error // its text is the URL, which says nothing new
	if errors.As(err, &outer) {
		err = outer.Err
	}
	kind := fault.Unavailable
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		kind = fault.Timeout
	}
	return &fault.Error{Kind: kind, Message: x.provider + " " + message, Err: err}
}

// endedFault says that ctx ended the call. Both ctx.Err() and the cause are in its chain.
func endedFault(ctx context.Context, provider string) *fault.Error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if !errors.Is(cause, err) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &fault.Error{Kind: fault.Timeout, Message: provider + " did not answer in time", Err: err}
	}
	return &fault.Error{Kind: fault.Canceled, Message: "the call to " + provider + " was withdrawn", Err: err}
}

// clean makes a provider's words fit for an error: one line, bounded, and none at all when they repeat the key, be it masked
// but for its ends, as some refusals do.
func (x *exchange) clean(s string) string {
	if k := x.key; k != "" && strings.Contains(s, k) || len(k) >= 12 && (strings.Contains(s, k[:6]) || strings.Contains(s, k[len(k)-4:])) {
		return ""
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	return clip(strings.TrimSpace(s), maxProviderWords)
}
