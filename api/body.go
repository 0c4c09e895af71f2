package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// admit holds the head of a request with a body against b and bounds what can be read of it.
func (b *body) admit(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength > b.limit {
		return tooLarge(b.limit)
	}
	for _, coding := range r.Header.Values(echo.HeaderContentEncoding) {
		if !strings.EqualFold(coding, "identity") {
			w.Header().Set(echo.HeaderAcceptEncoding, "identity")
			return echo.NewHTTPError(http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %q is not accepted; send the body as it is", clip(coding)))
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, b.limit)
	if r.ContentLength == 0 {
		return nil // whether it may be missing, the reader of the body knows
	}
	given := r.Header.Get(echo.HeaderContentType)
	mediaType, parameters, err := mime.ParseMediaType(given)
	charset := parameters["charset"]
	if err != nil || !slices.Contains(b.mediaTypes, mediaType) || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return echo.NewHTTPError(http.StatusUnsupportedMediaType,
			fmt.Sprintf("Content-Type %q is not accepted; send %s in UTF-8", clip(given), strings.Join(b.mediaTypes, " or ")))
	}
	r.Header.Set(echo.HeaderContentType, mediaType)
	return nil
}

func tooLarge(limit int64) error {
	return &fault.Error{Kind: fault.TooLarge, Message: fmt.Sprintf("the body is larger than %d bytes", limit),
		Details: []fault.Detail{{Field: "body", Reason: fmt.Sprintf("at most %d bytes are allowed", limit)}}}
}

// readBody reads the whole body, which admit has bounded. Memory for a large one is taken as it comes: anybody may announce one.
func readBody(r *http.Request) ([]byte, error) {
	_, here := r.Body.(received)
	if r.ContentLength > 0 && (here || r.ContentLength <= maxBody) {
		raw := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, raw); err != nil {
			return nil, readFault(err)
		}
		return raw, nil
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, readFault(err)
	}
	return raw, nil
}

// takesItsTime reports whether a body is to come that is received before the request takes a place. Batches, which are large and sent by
// teachers alone, have theirs while they are received: it bounds how many are in memory.
func (op *operation) takesItsTime() bool {
	return op != nil && op.body != nil && op.body.limit < maxBatchBody
}

// received is a body that is there.
type received struct{ *bytes.Reader }

// Close implements io.Closer.
func (received) Close() error { return nil }

// receive reads the whole body of r, which admit has bounded, and puts it back to be read again.
func receive(r *http.Request) error {
	raw, err := readBody(r)
	if err == nil {
		r.Body = received{bytes.NewReader(raw)}
	}
	return err
}

func readFault(err error) error {
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return tooLarge(over.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.New(fault.Timeout, "the body did not arrive in time")
	}
	return fault.New(fault.Canceled, "the body ended too early: %w", err)
}

// binder reads a body for the generated code, strictly: what the contract does not allow is refused, and names are matched
// exactly.
type binder struct{}

// Bind implements echo.Binder. An empty body that is not required is io.EOF, as the generated code has it.
func (binder) Bind(into any, c echo.Context) error {
	raw, err := readBody(c.Request())
	if err != nil {
		return err
	}
	b := callOf(c.Request().Context()).operation.body
	if len(raw) == 0 {
		if b.required {
			return fault.InvalidField("body", "is missing")
		}
		return io.EOF
	}
	if b.schema == nil {
		return handOver(raw, into)
	}
	if err := checkBody(b.schema, raw); err != nil {
		return err
	}
	return decode(raw, into)
}

// handOver gives the body to a handler that checks it itself.
func handOver(raw []byte, into any) error {
	out, ok := into.(*json.RawMessage)
	if !ok {
		return fmt.Errorf("the contract has no schema for a body of type %T", into)
	}
	*out = raw
	return nil
}

// decode fills into from a body that satisfies its schema. What still fails, such as a number that is too large for its Go
// type, is the client's.
func decode(raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	var typed *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &typed):
		return fault.InvalidField(typed.Field, "%s does not fit", typed.Value)
	}
	return fault.InvalidField("body", "is not valid: %v", err)
}
