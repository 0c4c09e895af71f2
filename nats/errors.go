package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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
	codeNoBatches     jetstream.ErrorCode = 10174 // "atomic publish is disabled"

	textSubjectTaken = "maximum messages per subject exceeded"
	textWrongLast    = "wrong last sequence: "
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

// isRefusal reports whether the broker answered, and stored nothing.
func isRefusal(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api)
}

// takesNoBatches reports whether the stream refuses atomic batches as such; a broker that does not know them takes their
// messages for single ones.
func takesNoBatches(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, errNoBatch) || (errors.As(err, &api) && api.ErrorCode == codeNoBatches)
}

// lastOfWrong returns the sequence that the broker has where an append expected another one, or 0 when it does not say.
func lastOfWrong(err error) uint64 {
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode != codeWrongLast {
		return 0
	}
	digits, _ := strings.CutPrefix(api.Description, textWrongLast)
	seq, _ := strconv.ParseUint(digits, 10, 64)
	return seq
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

// isNotFound reports whether there is nothing where something was asked for.
func isNotFound(err error) bool { return fault.Is(err, fault.NotFound) }

// isNoStream reports whether the broker knows no such stream.
func isNoStream(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamNotFound
}
