package llmtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// Key is the API key that the clients under test are to use: RunFaults looks for it in every error.
const Key = "sk-llmtest-4f1c9a7be2d0"

// Fault is one thing that can go wrong with a provider.
type Fault struct {
	Name string
	// Check plays the fault to a client that open makes and returns what the client did wrong. With stream the client is to
	// ask for a stream.
	Check func(t testing.TB, d Dialect, stream bool, open Opener) error
}

// Opener returns the client of a server at base.
type Opener func(t testing.TB, base string) llm.Client

// RunFaults checks what the client of a remote provider makes of every fault, streamed and not.
func RunFaults(t *testing.T, d Dialect, open Opener) {
	t.Helper()
	for _, f := range Faults() {
		for _, stream := range []bool{false, true} {
			t.Run(f.Name+"/"+Mode(stream), func(t *testing.T) {
				t.Parallel()
				if err := f.Check(t, d, stream, open); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Mode names how an answer is asked for, for the names of tests.
func Mode(stream bool) string {
	if stream {
		return "streamed"
	}
	return "whole"
}

// sentence is long enough for several events of a stream.
const sentence = "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen, in the leaves of every plant."

// Faults lists them.
func Faults() []Fault {
	return append(toolFaults(), []Fault{
		status("RateLimitedWithSeconds", http.StatusTooManyRequests, header("Retry-After", "7"), fault.RateLimited, 7*time.Second),
		status("RateLimitedWithMilliseconds", http.StatusTooManyRequests,
			header("Retry-After-Ms", "1500", "Retry-After", "2"), fault.RateLimited, 1500*time.Millisecond),
		status("RateLimitedWithDate", http.StatusTooManyRequests,
			header("Date", "Mon, 02 Feb 2026 10:00:00 GMT", "Retry-After", "Mon, 02 Feb 2026 10:00:30 GMT"), fault.RateLimited, 30*time.Second),
		status("RateLimitedWithoutATime", http.StatusTooManyRequests, nil, fault.RateLimited, 0),
		status("ServerError", http.StatusInternalServerError, nil, fault.Unavailable, 0),
		status("Overloaded", 529, header("Retry-After", "3"), fault.Unavailable, 3*time.Second),
		status("WrongKey", http.StatusUnauthorized, nil, fault.Unauthorized, 0),
		status("ForbiddenModel", http.StatusForbidden, nil, fault.Unauthorized, 0),
		status("BadRequest", http.StatusBadRequest, nil, fault.Invalid, 0),
		status("Redirect", http.StatusTemporaryRedirect, header("Location", "http://192.0.2.1/elsewhere"), fault.Invalid, 0),
		broken("EndsWithoutAStopReason", Reply{Text: sentence, End: NoStop}, fault.Unavailable),
		broken("EndsInTheMiddle", Reply{Text: sentence, End: Truncated}, fault.Unavailable),
		broken("ConnectionClosedInTheMiddle", Reply{Text: sentence, End: Cut}, fault.Unavailable),
		broken("ConnectionResetInTheMiddle", Reply{Text: sentence, End: Reset}, fault.Unavailable),
		broken("EmptyBody", Reply{Status: http.StatusOK}, fault.Unavailable),
		broken("NotJSON", Reply{Raw: "data: <html>Sign in to the network</html>\n\n"}, fault.Unavailable),
		{"HugeBody", checkHuge},
		{"ErrorWithinTheAnswer", checkErrorWithin},
		{"StopsAtTheTokenLimit", checkTokenLimit},
		broken("Refuses", Reply{Text: "I cannot", Stop: "content_filter"}, fault.Invalid),
		broken("SaysNothing", Reply{}, fault.Invalid),
		{"SlowServer", checkDeadline},
		{"CanceledWhileItAnswers", checkCancel},
		{"ServerNotThere", checkUnreachable},
		{"JSONInAFence", checkJSON("Here is the quiz:\n```json\n{\"title\": \"The sky\"}\n```\nHave fun!", `{"title": "The sky"}`)},
		{"JSONInProse", checkJSON(`Sure [as asked]: {"title": "a {b} c"} – done.`, `{"title": "a {b} c"}`)},
		{"NoJSON", checkNoJSON("I would rather talk about the sea.")},
		{"BrokenJSON", checkNoJSON(`{"title": "The sky", "parts": [{"title": "Blue"}, ]`)},
		{"TwoJSONValues", checkNoJSON(`{"title": "The sky"} or {"title": "The sea"}`)},
	}...)
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// played is what became of one call.
type played struct {
	resp   llm.Response
	err    error
	deltas string
}

// play has a client ask for req from a server that answers with reply.
func play(t testing.TB, d Dialect, stream bool, open Opener, req llm.Request, reply Reply) played {
	s := New(t, d, func(Call) Reply { return reply })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return ask(ctx, open(t, s.Base()), stream, req)
}

func ask(ctx context.Context, c llm.Client, stream bool, req llm.Request) played {
	var p played
	if stream {
		req.OnDelta = func(delta string) { p.deltas += delta }
	}
	p.resp, p.err = c.Complete(ctx, req)
	return p
}

// failedWith checks what holds for every error: its kind, no text beside it, no key in it.
func (p played) failedWith(kind fault.Kind) error {
	switch {
	case p.err == nil:
		return fmt.Errorf("no error, but the text %q; want %v", p.resp.Text, kind)
	case p.resp.Text != "":
		return fmt.Errorf("the text %q came with the error %w", p.resp.Text, p.err)
	case fault.KindOf(p.err) != kind:
		return fmt.Errorf("the error is %v, want %v: %w", fault.KindOf(p.err), kind, p.err)
	case strings.Contains(p.err.Error(), Key):
		return errors.New("the key is in the error")
	case strings.ContainsAny(p.err.Error(), "\r\n"):
		return fmt.Errorf("the error has several lines: %q", p.err.Error())
	}
	return nil
}

// status plays an answer with an HTTP status, whose body repeats the key.
func status(name string, code int, h http.Header, kind fault.Kind, wait time.Duration) Fault {
	return Fault{name, func(t testing.TB, d Dialect, stream bool, open Opener) error {
		body := `{"type":"error","error":{"type":"some_error","message":"no, \nnot for ` + Key + `"}}`
		p := play(t, d, stream, open, Requests()[0], Reply{Status: code, Header: h, Raw: body})
		if err := p.failedWith(kind); err != nil {
			return err
		}
		if got := fault.RetryAfter(p.err); got != wait {
			return fmt.Errorf("RetryAfter is %v, want %v", got, wait)
		}
		return nil
	}}
}

// broken plays an answer that must not be taken for one.
func broken(name string, reply Reply, kind fault.Kind) Fault {
	return Fault{name, func(t testing.TB, d Dialect, stream bool, open Opener) error {
		return play(t, d, stream, open, Requests()[0], reply).failedWith(kind)
	}}
}

// checkHuge plays an answer of 9 MiB. In a stream most of it is comments: the bound is on what is read, whatever it is.
func checkHuge(t testing.TB, d Dialect, stream bool, open Opener) error {
	reply := Reply{Text: strings.Repeat("x", 9<<20)}
	if stream {
		reply = Reply{Raw: strings.Repeat(": "+strings.Repeat("x", 9<<10)+"\n", 1<<10) + rendered(d, sentence)}
	}
	return play(t, d, stream, open, Requests()[0], reply).failedWith(fault.Unavailable)
}

// rendered is a whole streamed answer.
func rendered(d Dialect, text string) string {
	var b strings.Builder
	for _, f := range frames(d, Call{Stream: true}, Reply{Text: text, Delta: 24, Model: "m"}) {
		b.WriteString(f.data)
	}
	return b.String()
}

// checkErrorWithin plays an error that comes when the status has been sent already.
func checkErrorWithin(t testing.TB, d Dialect, stream bool, open Opener) error {
	raw := `{"type":"error","error":{"type":"rate_limit_error","message":"too fast for ` + Key + `"}}`
	if stream {
		begin, _, _ := strings.Cut(rendered(d, sentence), "carbon") // and only the whole events of it
		raw = begin[:strings.LastIndex(begin, "\n\n")] + "\n\ndata: " + raw + "\n\n"
	}
	return play(t, d, stream, open, Requests()[0], Reply{Raw: raw}).failedWith(fault.RateLimited)
}

func checkTokenLimit(t testing.TB, d Dialect, stream bool, open Opener) error {
	p := play(t, d, stream, open, Requests()[0], Reply{Text: sentence, Stop: limitStop(d), InputTokens: 11, OutputTokens: 22})
	if err := p.failedWith(fault.Invalid); err != nil {
		return err
	}
	var bad *llm.InvalidOutputError
	if !errors.As(p.err, &bad) || !errors.Is(p.err, llm.ErrTruncated) {
		return fmt.Errorf("not an InvalidOutputError for ErrTruncated: %w", p.err)
	}
	if bad.LastText != sentence || bad.Usage.InputTokens != 11 || bad.Usage.OutputTokens != 22 {
		return fmt.Errorf("the error lacks what was paid for: %d + %d tokens, text %q", bad.Usage.InputTokens, bad.Usage.OutputTokens, bad.LastText)
	}
	return nil
}

func checkDeadline(t testing.TB, d Dialect, stream bool, open Opener) error {
	s := New(t, d, func(Call) Reply { return Reply{Text: sentence, Hold: make(chan struct{}), HoldAfter: 2} })
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	p := ask(ctx, open(t, s.Base()), stream, Requests()[0])
	if err := p.failedWith(fault.Timeout); err != nil {
		return err
	}
	if !errors.Is(p.err, context.DeadlineExceeded) {
		return fmt.Errorf("context.DeadlineExceeded is not in the chain: %w", p.err)
	}
	return hungUp(s)
}

func checkCancel(t testing.TB, d Dialect, stream bool, open Opener) error {
	s := New(t, d, func(Call) Reply { return Reply{Text: sentence, Hold: make(chan struct{}), HoldAfter: 2} })
	reason := errors.New("the task was withdrawn")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	client, req, arrived := open(t, s.Base()), Requests()[0], make(chan error, 1)
	var p played
	if stream { // the first words are there, the rest is held back
		req.OnDelta = func(string) { cancel(reason) }
	} else {
		go func() {
			wait, done := context.WithTimeout(context.Background(), patience)
			defer done()
			arrived <- s.Await(wait, 1)
			cancel(reason)
		}()
	}
	p.resp, p.err = client.Complete(ctx, req)
	if !stream {
		if err := <-arrived; err != nil {
			return err
		}
	}
	if err := p.failedWith(fault.Canceled); err != nil {
		return err
	}
	if !errors.Is(p.err, context.Canceled) || !errors.Is(p.err, reason) {
		return fmt.Errorf("context.Canceled and the cause are not both in the chain: %w", p.err)
	}
	return hungUp(s)
}

// hungUp checks that the client has let go of the server.
func hungUp(s *Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.AwaitIdle(ctx); err != nil {
		return fmt.Errorf("the request is still open: %w", err)
	}
	return nil
}

func checkUnreachable(t testing.TB, d Dialect, stream bool, open Opener) error {
	s, stop := NewServer(d, Say(sentence))
	stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return ask(ctx, open(t, s.Base()), stream, Requests()[0]).failedWith(fault.Unavailable)
}

func checkJSON(text, want string) func(testing.TB, Dialect, bool, Opener) error {
	return func(t testing.TB, d Dialect, stream bool, open Opener) error {
		p := play(t, d, stream, open, Requests()[1], Reply{Text: text})
		if p.err != nil {
			return p.err
		}
		if p.resp.Text != want || !json.Valid([]byte(p.resp.Text)) {
			return fmt.Errorf("got %q, want %q", p.resp.Text, want)
		}
		return nil
	}
}

func checkNoJSON(text string) func(testing.TB, Dialect, bool, Opener) error {
	return func(t testing.TB, d Dialect, stream bool, open Opener) error {
		p := play(t, d, stream, open, Requests()[1], Reply{Text: text})
		if err := p.failedWith(fault.Invalid); err != nil {
			return err
		}
		var bad *llm.InvalidOutputError
		if !errors.Is(p.err, llm.ErrNoJSON) || !errors.As(p.err, &bad) || bad.LastText != text || len(bad.Details) == 0 {
			return fmt.Errorf("not an InvalidOutputError for ErrNoJSON with the text: %w", p.err)
		}
		return nil
	}
}
