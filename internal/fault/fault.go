// Package fault gives every error of the platform a kind that its edges can act on.
//
// A fault is made where the trouble is found, wrapped with fmt.Errorf("…: %w") on its way up, and turned into an HTTP
// status, an exit code or a retry decision in one place at each edge. The zero Kind is Internal: an error that nobody
// classified is a bug of ours, never the caller's.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what sort of trouble an error is. The set is closed: edges switch over it.
type Kind uint8

const (
	Internal     Kind = iota // a bug, or an error that nobody classified
	Invalid                  // the caller's input breaks a rule; Details name the fields
	Unauthorized             // no valid proof of who is asking
	Forbidden                // known, but may not do this
	NotFound                 // it does not exist, or not for this caller
	Conflict                 // the state moved on, or the same key came with other content
	TooLarge                 // the body or value exceeds a limit
	RateLimited              // too many requests; RetryAfter says when to come back
	Unavailable              // a dependency is down or full; RetryAfter says when to come back
	Timeout                  // the work did not end in its time
	Canceled                 // the caller went away or withdrew the work
)

var codes = [...]string{
	Internal: "internal", Invalid: "invalid", Unauthorized: "unauthorized", Forbidden: "forbidden",
	NotFound: "not_found", Conflict: "conflict", TooLarge: "too_large", RateLimited: "rate_limited",
	Unavailable: "unavailable", Timeout: "timeout", Canceled: "canceled",
}

// String returns the kind's code as it stands in API answers, such as "not_found".
func (k Kind) String() string {
	if int(k) < len(codes) {
		return codes[k]
	}
	return codes[Internal]
}

// Retryable reports whether the same request may succeed later without a change.
func (k Kind) Retryable() bool {
	return k == RateLimited || k == Unavailable || k == Timeout
}

// Detail names one field of the input and what is wrong with it.
type Detail struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// Error is a classified error. It is immutable once returned.
type Error struct {
	Kind       Kind
	Message    string        // one sentence for the person or program that asked; no secrets
	Details    []Detail      // for Invalid and TooLarge
	RetryAfter time.Duration // for RateLimited and Unavailable; 0 when unknown
	Err        error         // what caused it; not shown to API callers
}

// Error returns the message, the details and the cause.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for i, d := range e.Details {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(d.Field + " " + d.Reason)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of the given kind with a formatted message. A %w verb keeps its operand as the cause.
func New(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return Error{Kind: kind, Message: err.Error(), Err: errors.Unwrap(err)}.tidy()
}

// tidy keeps a wrapped cause from being printed twice: the message already holds its text.
func (e Error) tidy() *Error {
	if e.Err != nil {
		e.Message = strings.TrimSuffix(strings.TrimSuffix(e.Message, e.Err.Error()), ": ")
	}
	return &e
}

// InvalidField returns an Invalid error about one field.
func InvalidField(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Message: "the input is not valid", Details: []Detail{{field, fmt.Sprintf(format, args...)}}}
}

// InvalidFields returns an Invalid error about several fields.
func InvalidFields(details []Detail) *Error {
	return &Error{Kind: Invalid, Message: "the input is not valid", Details: details}
}

// After returns an Unavailable error that says when to try again.
func After(d time.Duration, format string, args ...any) *Error {
	e := New(Unavailable, format, args...)
	e.RetryAfter = d
	return e
}

// KindOf returns the kind of the first Error in err's chain. Context errors count as Timeout and Canceled; anything
// else, and nil, is Internal.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Internal
}

// Is reports whether err is classified as kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// RetryAfter returns how long err asks to wait before the next try, 0 when it does not say.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}
