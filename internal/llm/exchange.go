package llm

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	maxAnswer     = 8 << 20    // of an answer's body, in bytes
	maxErrorBody  = 64 << 10   // of a refusal's body, in bytes
	maxStreamLine = 256 << 10  // of one line of an event stream: some servers send a call in one piece
	maxPassedLine = 64<<10 - 1 // of a line that langchaingo sees: its scanner takes no more
)

// exchange carries one call of langchaingo over HTTP and watches what comes back. langchaingo v0.1.14 drops the status and
// the headers of a refusal, takes a stream that just ends for a whole answer, passes over stream events that it cannot
// decode and over errors among them, and reads without bound. So the exchange is langchaingo's HTTP client for one call,
// reads every byte first, and remembers what went wrong (the fault) and what the provider said of its answer (the sighting).
//
// It also says and hears what langchaingo mangles. Of tools: it tells the pieces of a streamed call apart by their type, not
// their index, so that calls run into each other; hands them to the listener as if they were text; loses the usage of an answer
// that is all calls; and to Anthropic sends one part of a turn and each result as a turn of its own, which is refused. Of
// schemas: it has a few keywords of them, for one client, and for OpenAI only. So the dialect writes conversations, tools and
// schemas into the body itself (amend), and takes calls and usage off the answer before langchaingo sees it (inspect).
type exchange struct {
	provider string
	key      string // only to keep it out of errors
	client   *http.Client
	dialect  dialect
	ask      ask
	streamed bool // the answer was asked for as an event stream

	mu   sync.Mutex // langchaingo reads streams on a goroutine that may outlive the call
	err  *fault.Error
	seen sighting
}

// sighting is what the provider itself says about an answer.
type sighting struct {
	model string
	stop  string // why the answer ended; empty while it did not
	done  bool   // nothing follows
	text  int    // bytes of answer text seen in a stream
	// refused is set when the model declined in a field of its own.
	refused bool
	used    tokens
	calls   callSet
	// thoughts is what the model thought before its calls, as the provider wants it back; nil where that is nothing.
	thoughts *thoughts
}

// Do sends a request of langchaingo's. It returns an answer of status 200 only; everything else is a fault.
func (x *exchange) Do(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", "toolboxai")
	if err := x.amend(req); err != nil {
		return nil, err
	}
	resp, err := x.client.Do(req)
	if err != nil {
		return nil, x.fail(x.networkFault("could not be reached", err))
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what could be read of it is good enough
		_ = resp.Body.Close()
		return nil, x.fail(x.statusFault(resp.StatusCode, resp.Header, body))
	}
	if x.streamed {
		resp.Body = &stream{x: x, body: resp.Body, lines: bufio.NewReaderSize(resp.Body, maxStreamLine), left: maxAnswer}
		return resp, nil
	}
	body, err := x.readWhole(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// amend has the dialect write into the body what langchaingo cannot say.
func (x *exchange) amend(req *http.Request) error {
	if !x.ask.amends() || req.Body == nil {
		return nil
	}
	written, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	var body map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(written, &body)
	}
	if err == nil {
		err = x.dialect.amend(body, x.ask)
	}
	if err == nil {
		written, err = json.Marshal(body)
	}
	if err != nil {
		return x.fail(fault.New(fault.Invalid, "the request cannot be written: %w", err))
	}
	req.ContentLength = int64(len(written))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(written)), nil }
	req.Body, err = req.GetBody()
	return err
}

// readWhole reads and closes the body of an answer that is no stream.
func (x *exchange) readWhole(from io.ReadCloser) ([]byte, error) {
	defer func() { _ = from.Close() }()
	body, err := io.ReadAll(io.LimitReader(from, maxAnswer+1))
	if err != nil {
		return nil, x.fail(x.networkFault("broke off its answer", err))
	}
	if len(body) > maxAnswer {
		return nil, x.fail(fault.New(fault.Unavailable, "%s sent an answer of more than %d bytes", x.provider, maxAnswer))
	}
	return x.inspect(body)
}

// inspect lets the dialect look at one JSON value of the answer. It returns what langchaingo may see of it, nil for nothing.
func (x *exchange) inspect(data []byte) (pass []byte, err error) {
	x.mu.Lock()
	complaint, pass, err := x.dialect.inspect(data, &x.seen)
	x.mu.Unlock()
	switch {
	case err != nil:
		return nil, x.fail(fault.New(fault.Unavailable, "%s sent something that is not an answer: %w", x.provider, err))
	case complaint != nil:
		return nil, x.fail(x.complaintFault(complaint))
	}
	return pass, nil
}

// fail remembers the first fault of the call and returns it.
func (x *exchange) fail(e *fault.Error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err == nil {
		x.err = e
	}
	return x.err
}

func (x *exchange) outcome() (sighting, *fault.Error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	seen := x.seen
	seen.calls = x.seen.calls.clone()
	return seen, x.err
}

func (x *exchange) done() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seen.done
}

// stream is the body of a streamed answer. It hands on whole lines, each only after a look at it, and ends with an error
// unless the provider said why its answer ended.
type stream struct {
	x       *exchange
	body    io.ReadCloser
	lines   *bufio.Reader
	left    int
	pending []byte
	err     error
}

func (s *stream) Read(p []byte) (int, error) {
	for len(s.pending) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.pending, s.err = s.next()
	}
	n := copy(p, s.pending)
	s.pending = s.pending[n:]
	return n, nil
}

func (s *stream) Close() error { return s.body.Close() }

// next returns the next line to hand on, nil for one to leave out; it is valid until the next call.
func (s *stream) next() ([]byte, error) {
	line, err := s.lines.ReadSlice('\n')
	if s.left -= len(line); s.left < 0 {
		return nil, s.x.fail(fault.New(fault.Unavailable, "%s sent an answer of more than %d bytes", s.x.provider, maxAnswer))
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF) && len(line) > 0: // a last line without its end; the next call finds the end
	case errors.Is(err, io.EOF):
		if !s.x.done() {
			return nil, s.x.fail(s.x.incomplete())
		}
		return nil, io.EOF
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, s.x.fail(fault.New(fault.Unavailable, "%s sent a stream line of more than %d bytes", s.x.provider, maxStreamLine))
	default:
		return nil, s.x.fail(s.x.networkFault("broke off its answer", err))
	}
	pass, err := s.look(line)
	if err == nil && len(pass) > maxPassedLine {
		return nil, s.x.fail(fault.New(fault.Unavailable, "%s sent %d bytes of text at once", s.x.provider, len(pass)))
	}
	return pass, err
}

// look inspects one line of the stream and returns what to hand on of it.
func (s *stream) look(line []byte) ([]byte, error) {
	field, value, found := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
	switch {
	case len(field) == 0: // an empty line, or a comment
		return line, nil
	case found && string(field) == "data":
		value = bytes.TrimSpace(value)
		pass, err := s.x.inspect(value)
		switch {
		case err != nil || pass == nil:
			return nil, err
		case bytes.Equal(pass, value):
			return line, nil
		}
		return append(append([]byte("data: "), pass...), '\n'), nil
	case found && (string(field) == "event" || string(field) == "id" || string(field) == "retry"):
		return line, nil
	}
	return nil, s.x.fail(fault.New(fault.Unavailable, "%s sent a line that is not part of an event stream", s.x.provider))
}

// incomplete is the fault of an answer that ended without a reason.
func (x *exchange) incomplete() *fault.Error {
	return &fault.Error{
		Kind: fault.Unavailable, Message: x.provider + " ended its answer without saying why",
		Err: fmt.Errorf("no stop reason: %w", io.ErrUnexpectedEOF),
	}
}
