package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// comeBack is what callers are told to wait while the broker is away or full.
const comeBack = 5 * time.Second

// Codes of the JetStream API that callers have to tell apart. The broker has many more.
const (
	codeWrongLast     jetstream.ErrorCode = 10071 // "wrong last sequence: 42"
	codeWrongLastBusy jetstream.ErrorCode = 10164 // the same, while another append to the subject is under way
	codeStoreFailed   jetstream.ErrorCode = 10077 // the stream's limits refuse the message; the text says which one
	codeNoMessage     jetstream.ErrorCode = 10037
	codeTooLarge      jetstream.ErrorCode = 10054

	textSubjectTaken = "maximum messages per subject exceeded"
)

// broken classifies what went wrong while op was done for ctx.
func broken(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s: %w", op, cause)
	}
	if errors.Is(err, events.ErrMalformed) { // no trouble of the broker's: it should never have got there
		return fmt.Errorf("%s: %w", op, err)
	}
	var api *jetstream.APIError
	switch {
	case errors.Is(err, natsgo.ErrMaxPayload), errors.As(err, &api) && api.ErrorCode == codeTooLarge:
		return fault.New(fault.TooLarge, "%s: the message is larger than the broker accepts: %w", op, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, natsgo.ErrTimeout):
		return fault.New(fault.Timeout, "%s: the broker did not answer in time: %w", op, err)
	case errors.Is(err, natsgo.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fault.After(comeBack, "%s: no stream answers; the broker is electing a leader, or is not provisioned: %w", op, err)
	}
	return fault.After(comeBack, "%s: the broker refused or cannot be reached: %w", op, err)
}

// isConflict reports whether the broker refused an append because another one came first.
func isConflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == codeWrongLast || api.ErrorCode == codeWrongLastBusy)
}

// isTaken reports whether the broker refused a message because its subject holds one already.
func isTaken(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeStoreFailed && strings.Contains(api.Description, textSubjectTaken)
}

// isNoMessage reports whether the broker has no message like the one that was asked for.
func isNoMessage(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeNoMessage
}
