package llm_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// faultTable is what each thing that goes wrong with a provider is to callers: a kind, and whether the answer was whole but of no use
// (an *InvalidOutputError). The rows of the second column are llmtest.Faults.
var faultTable = []struct {
	what   string
	faults []string
	kind   fault.Kind
	output bool
}{
	{"asks to come back later, and says when", []string{"RateLimitedWithSeconds", "RateLimitedWithMilliseconds", "RateLimitedWithDate"}, fault.RateLimited, false},
	{"asks to come back later", []string{"RateLimitedWithoutATime"}, fault.RateLimited, false},
	{"asks so in the middle of its answer", []string{"ErrorWithinTheAnswer"}, fault.RateLimited, false},
	{"fails, or is overloaded", []string{"ServerError", "Overloaded"}, fault.Unavailable, false},
	{"is not there", []string{"ServerNotThere"}, fault.Unavailable, false},
	{"ends its answer without saying why", []string{"EndsWithoutAStopReason", "ToolCallsWithoutAStopReason"}, fault.Unavailable, false},
	{"ends its answer in the middle", []string{"EndsInTheMiddle", "ToolCallsThatEndInTheMiddle"}, fault.Unavailable, false},
	{"loses the connection", []string{"ConnectionClosedInTheMiddle", "ConnectionResetInTheMiddle", "ToolCallsCutInTheMiddle"}, fault.Unavailable, false},
	{"sends nothing, or something else", []string{"EmptyBody", "NotJSON"}, fault.Unavailable, false},
	{"sends without end", []string{"HugeBody"}, fault.Unavailable, false},
	{"waits for a tool, and does not say which", []string{"ToolStopWithoutACall"}, fault.Unavailable, false},
	{"does not take the key, or not for this model", []string{"WrongKey", "ForbiddenModel"}, fault.Unauthorized, false},
	{"refuses the request", []string{"BadRequest", "Redirect"}, fault.Invalid, false},
	{"is too slow", []string{"SlowServer"}, fault.Timeout, false},
	{"is interrupted by the caller", []string{"CanceledWhileItAnswers"}, fault.Canceled, false},
	{"reaches the limit of its answer", []string{"StopsAtTheTokenLimit", "ToolCallsAtTheTokenLimit"}, fault.Invalid, true},
	{"declines, or says nothing", []string{"Refuses", "SaysNothing"}, fault.Invalid, true},
	{"writes no JSON, or broken JSON, or twice", []string{"NoJSON", "BrokenJSON", "TwoJSONValues"}, fault.Invalid, true},
	{"asks for tools that are not offered", []string{"ToolThatIsNotOffered", "ToolWhereNoneIsOffered"}, fault.Invalid, true},
	{"asks for too many tools, or for too much", []string{"TooManyToolCalls", "HugeToolArguments"}, fault.Invalid, true},
	{"asks for tools with arguments that are none", []string{"ToolArgumentsThatAreNoObject", "ToolArgumentsThatAreNoJSON"}, fault.Invalid, true},
}

// goodAnswers are the rows of llmtest.Faults that a client mends.
var goodAnswers = []string{"JSONInAFence", "JSONInProse", "ToolCalls"}

// TestFaultTable is the table: every fault, of every format, streamed and whole, bare and governed, is what its row says, and nothing of
// the answer comes beside the error.
func TestFaultTable(t *testing.T) {
	t.Parallel()
	faults := map[string]llmtest.Fault{}
	for _, f := range llmtest.Faults() {
		faults[f.Name] = f
	}
	for _, name := range goodAnswers {
		delete(faults, name)
	}
	for _, row := range faultTable {
		for _, name := range row.faults {
			f, ok := faults[name]
			if !ok {
				t.Errorf("no fault is named %q", name)
				continue
			}
			delete(faults, name)
			t.Run(row.what+"/"+name, func(t *testing.T) {
				t.Parallel()
				checkRow(t, f, row.kind, row.output)
			})
		}
	}
	for name := range faults {
		t.Errorf("%s is in no row of the table", name)
	}
}

func checkRow(t *testing.T, f llmtest.Fault, kind fault.Kind, output bool) {
	for provider, p := range providers() {
		for _, stream := range []bool{false, true} {
			if f.Name == "ToolArgumentsThatAreNoJSON" && p.dialect == llmtest.Anthropic && !stream {
				continue // its whole answers hold arguments as JSON
			}
			for _, governed := range []bool{false, true} {
				seen := &witness{}
				open := func(t testing.TB, base string) llm.Client {
					client := p.open(t, base)
					if governed {
						client = govern(t, llm.GovernConfig{Client: client, MaxWait: time.Millisecond, Policy: fixed(policy.Policy{})})
					}
					seen.next = client
					return seen
				}
				if err := f.Check(t, p.dialect, stream, open); err != nil && !governed { // a governed client says when in its own words
					t.Errorf("%s/%s: %v", provider, llmtest.Mode(stream), err)
				}
				if err := seen.verdict(kind, output); err != "" {
					t.Errorf("%s/%s, governed %v: %s", provider, llmtest.Mode(stream), governed, err)
				}
			}
		}
	}
}

// witness keeps the last thing that a client returned.
type witness struct {
	next llm.Client

	mu   sync.Mutex
	resp llm.Response
	err  error
}

func (w *witness) Describe() string { return w.next.Describe() }

func (w *witness) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	resp, err := w.next.Complete(ctx, req)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resp, w.err = resp, err
	return resp, err
}

func (w *witness) verdict(kind fault.Kind, output bool) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var bad *llm.InvalidOutputError
	switch {
	case w.err == nil:
		return "no error"
	case fault.KindOf(w.err) != kind:
		return "the kind is " + fault.KindOf(w.err).String() + ", want " + kind.String() + ": " + w.err.Error()
	case errors.As(w.err, &bad) != output:
		return "an answer of no use is told from a failure: " + w.err.Error()
	case w.resp.Text != "" || len(w.resp.Calls) > 0:
		return "a part of the answer came with the error"
	}
	return ""
}
