package llmtest

import (
	"net/http"
	"strconv"

	"github.com/toolboxai/orchestrator/internal/llm"
)

// End is how an answer ends.
type End uint8

const (
	Whole     End = iota // as the format asks
	NoStop               // in good order, but without a stop reason
	Truncated            // in the middle, while the connection says that this was all
	Cut                  // in the middle, with the connection closed too early
	Reset                // in the middle, with the connection reset
)

// Reply is one answer. The zero Reply is an empty but whole answer.
type Reply struct {
	Text         string
	Calls        []llm.ToolCall // tools that the model asks for, behind Text
	Vectors      [][]float64    // of a call for embeddings; nil makes up some
	Delta        int            // bytes of text, or of a call's arguments, per event of a stream; 0 takes 24
	Stop         string         // the stop reason; "" takes the format's word for "done"
	Model        string         // "" repeats the request's
	InputTokens  int            // 0 takes the length of the request over 4
	OutputTokens int            // 0 takes the length of the text over 4
	End          End

	// Hold makes the answer wait until it is closed: after HoldAfter events of text (or all of them, if there are fewer), or
	// before anything is sent when the answer is no stream. A client that hangs up ends the wait.
	Hold      <-chan struct{}
	HoldAfter int

	// Status, Header and Raw replace the answer: Raw is sent as it is when Status or Raw is set.
	Status int
	Header http.Header
	Raw    string
}

// frame is one piece of an answer on the wire.
type frame struct {
	data string
	text bool // it carries text of the answer
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, call Call, reply Reply) {
	if reply.Status != 0 || reply.Raw != "" {
		s.answerRaw(w, r, call, reply)
		return
	}
	if reply.Delta == 0 {
		reply.Delta = 24
	}
	if reply.Model == "" {
		reply.Model = call.Model
	}
	if reply.InputTokens == 0 {
		reply.InputTokens = len(call.Body)/4 + 1
	}
	if reply.OutputTokens == 0 {
		reply.OutputTokens = len(reply.Text)/4 + 1
	}
	frames := frames(s.dialect, call, reply)
	if !call.Stream {
		s.answerWhole(w, r, reply, frames[0].data)
		return
	}
	s.answerStream(w, r, reply, frames)
}

func (s *Server) answerRaw(w http.ResponseWriter, r *http.Request, call Call, reply Reply) {
	s.hold(r.Context(), reply.Hold)
	w.Header().Set("Content-Type", "application/json")
	if call.Stream && (reply.Status == 0 || reply.Status == http.StatusOK) {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	for key, values := range reply.Header {
		w.Header()[key] = values
	}
	if reply.Status != 0 {
		w.WriteHeader(reply.Status)
	}
	_, _ = w.Write([]byte(reply.Raw)) // the client is gone when this fails
}

func (s *Server) answerWhole(w http.ResponseWriter, r *http.Request, reply Reply, body string) {
	s.hold(r.Context(), reply.Hold)
	w.Header().Set("Content-Type", "application/json")
	part := body
	if reply.End >= Truncated {
		part = body[:len(body)/2]
	}
	if reply.End == Cut || reply.End == Reset {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	_, _ = w.Write([]byte(part)) // the client is gone when this fails
	s.end(w, reply.End)
}

func (s *Server) answerStream(w http.ResponseWriter, r *http.Request, reply Reply, frames []frame) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	all := 0
	for _, f := range frames {
		if f.text {
			all++
		}
	}
	texts, held := 0, false
	for _, f := range frames {
		due := f.text && texts >= reply.HoldAfter || !f.text && texts == all
		if due && !held {
			held = true
			s.hold(r.Context(), reply.Hold)
		}
		if f.text {
			if texts++; reply.End >= Truncated && texts > 2 {
				break
			}
		}
		if _, err := w.Write([]byte(f.data)); err != nil || flush() != nil {
			return
		}
	}
	s.end(w, reply.End)
}

func (s *Server) end(w http.ResponseWriter, end End) {
	switch end {
	case Cut:
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case Reset:
		reset(w)
	}
}

// pieces cuts text into deltas of about n bytes, at the boundaries of runes.
func pieces(text string, n int) []string {
	var out []string
	start := 0
	for i := range text {
		if i-start >= n {
			out = append(out, text[start:i])
			start = i
		}
	}
	if start < len(text) {
		out = append(out, text[start:])
	}
	return out
}

func event(name string, data any) string {
	line := "data: " + encode(data) + "\n\n"
	if name != "" {
		line = "event: " + name + "\n" + line
	}
	return line
}
