package llm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Why a whole answer is of no use. Each comes inside an *InvalidOutputError.
var (
	ErrNoJSON    = errors.New("the answer does not hold exactly one JSON value")
	ErrTruncated = errors.New("the answer was cut off at its token limit")
	ErrEmpty     = errors.New("the answer is empty")
	ErrRefused   = errors.New("the model declined to answer")
	ErrToolCall  = errors.New("the answer asks for a tool in a way that cannot be served")
)

// maxLastText bounds what an InvalidOutputError keeps of the answer, in bytes.
const maxLastText = 64 << 10

// InvalidOutputError says that the model answered and the answer is of no use. Its fault kind is Invalid, so that nothing
// between here and the agent repeats the same call; the agent, which knows what an answer is worth, turns it into an
// invalid-output outcome.
type InvalidOutputError struct {
	Details  []fault.Detail // what is wrong with it, never empty
	LastText string         // the model's last answer, or its beginning: at most 64 KiB; not part of Error()
	Usage    Usage          // what was paid for it, all rounds
	Reason   error          // one of those above; nil when a validator refused it
}

// Error names what is wrong, at most five of the details.
func (e *InvalidOutputError) Error() string {
	var b strings.Builder
	b.WriteString("the model's answer is not valid: ")
	for i, d := range e.Details {
		if i == 5 {
			fmt.Fprintf(&b, "; and %d more", len(e.Details)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(strings.TrimSpace(d.Field + " " + d.Reason))
	}
	return b.String()
}

// Unwrap returns the Invalid fault and the reason.
func (e *InvalidOutputError) Unwrap() []error {
	kind := fault.Error{Kind: fault.Invalid, Message: "the model's answer is not valid", Details: e.Details}
	if e.Reason == nil {
		return []error{&kind}
	}
	return []error{&kind, e.Reason}
}

func unusable(reason error, text string, usage Usage) *InvalidOutputError {
	return &InvalidOutputError{
		Details:  []fault.Detail{{Field: "answer", Reason: strings.TrimPrefix(reason.Error(), "the answer ")}},
		LastText: clip(text, maxLastText), Usage: usage, Reason: reason,
	}
}

// clip cuts s to at most n bytes, at a rune's boundary.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
