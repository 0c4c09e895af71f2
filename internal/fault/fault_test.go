package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want fault.Kind
	}{
		{nil, fault.Internal},
		{errors.New("x"), fault.Internal},
		{fault.New(fault.NotFound, "no task %s", "a"), fault.NotFound},
		{fmt.Errorf("get: %w", fault.New(fault.Conflict, "moved on")), fault.Conflict},
		{fmt.Errorf("call: %w", context.DeadlineExceeded), fault.Timeout},
		{context.Canceled, fault.Canceled},
		{fault.After(time.Second, "full"), fault.Unavailable},
	} {
		if got := fault.KindOf(c.err); got != c.want {
			t.Errorf("KindOf(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestError_SaysEverythingOnce(t *testing.T) {
	t.Parallel()
	err := fault.New(fault.Unavailable, "publish: %w", io.ErrUnexpectedEOF)
	if got, want := err.Error(), "publish: unexpected EOF"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	bad := fault.InvalidFields([]fault.Detail{{Field: "kind", Reason: "is missing"}, {Field: "input", Reason: "is not an object"}})
	if got, want := bad.Error(), "the input is not valid: kind is missing; input is not an object"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	if got := fault.RetryAfter(fmt.Errorf("x: %w", fault.After(3*time.Second, "full"))); got != 3*time.Second {
		t.Errorf("got %v", got)
	}
	if got := fault.RetryAfter(io.EOF); got != 0 {
		t.Errorf("got %v", got)
	}
}
