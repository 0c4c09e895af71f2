// Package llmtest plays the providers of language models, in their own wire formats and with their faults, and holds the
// suites that every llm.Client passes.
//
//   - Server is a scripted provider: each request gets the next Reply of a Script, may be held back until released, and is
//     recorded. NewServer works without a *testing.T, so that a command can be run against it by OPENAI_API_BASE.
//   - RunEmbedder and RunEmbedFaults do the same for what embeds texts.
//   - Run checks what every Client promises, the offline composer included.
//   - RunFaults checks what the Client of a remote provider makes of each fault of that provider.
package llmtest

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
)

// Dialect is a provider's wire format.
type Dialect string

const (
	OpenAI    Dialect = "openai"    // chat completions; Google's endpoint speaks it, too
	Anthropic Dialect = "anthropic" // messages
	Ollama    Dialect = "ollama"    // chat completions below /v1, and the list of installed models
)

// maxRequest bounds the body of a request, in bytes.
const maxRequest = 4 << 20

// Call is one request as the server got it.
type Call struct {
	N           int // 0 for the first
	Path        string
	Header      http.Header
	Body        json.RawMessage
	Model       string
	System      string
	Prompt      string // what users say, all turns
	Turns       []Turn // everything but the system text
	Tools       []llm.Tool
	Texts       []string // to be embedded; the call is one for embeddings where it is not nil
	NoTools     bool     // tools are listed and may not be called
	Stream      bool
	JSONMode    bool            // any JSON object is asked for
	Schema      json.RawMessage // that the answer is to be held to; nil where none is asked for
	Strict      bool            // OpenAI's word for that it must
	MaxTokens   int
	Temperature *float64 // nil when the request had none
}

// Turn is one turn of a conversation as it came over the wire.
type Turn struct {
	Role    string // as the format calls it
	Text    string
	Calls   []llm.ToolCall // that an assistant's turn repeats; State is what it said of them beside
	Results []Result
}

// Result is a tool's result.
type Result struct{ Call, Text string }

// Script says how a server answers. It is called once per request, also at the same time.
type Script func(Call) Reply

// Say answers the first request with the first text and so on, and repeats the last one.
func Say(texts ...string) Script {
	return func(c Call) Reply { return Reply{Text: texts[min(c.N, len(texts)-1)]} }
}

// Server is a scripted provider on a port of the loopback interface. It is safe for concurrent use.
type Server struct {
	URL string // without a path

	dialect Dialect
	script  Script
	http    *httptest.Server
	closing chan struct{}

	mu      sync.Mutex
	calls   []Call
	active  int
	changed chan struct{} // closed and replaced when calls or active change
	models  []string      // models that Ollama has installed
}

// NewServer starts a provider. The caller calls stop, which ends held answers and waits for every handler.
func NewServer(d Dialect, script Script) (s *Server, stop func()) {
	s = &Server{dialect: d, script: script, closing: make(chan struct{}), changed: make(chan struct{}), models: []string{"llama3.2:3b"}}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.http.URL
	return s, sync.OnceFunc(func() {
		close(s.closing)
		s.http.CloseClientConnections()
		s.http.Close()
	})
}

// New starts a provider that stops with the test.
func New(t testing.TB, d Dialect, script Script) *Server {
	t.Helper()
	s, stop := NewServer(d, script)
	t.Cleanup(stop)
	return s
}

// NewOpenAI starts a provider of the OpenAI format that stops with the test. Base is a value for OPENAI_API_BASE.
func NewOpenAI(t testing.TB, script Script) *Server {
	t.Helper()
	return New(t, OpenAI, script)
}

// Base returns the base that a client of this server takes.
func (s *Server) Base() string {
	if s.dialect == Ollama {
		return s.URL
	}
	return s.URL + "/v1"
}

// Install sets the models that an Ollama server lists; it starts with one.
func (s *Server) Install(models ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models = models
}

// Calls returns the requests so far, in the order of their arrival.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Await returns when n requests have arrived, or with ctx's error.
func (s *Server) Await(ctx context.Context, n int) error {
	return s.await(ctx, func() bool { return len(s.calls) >= n })
}

// AwaitIdle returns when no request is being answered, or with ctx's error: after a client gave up, it shows that the
// client also hung up.
func (s *Server) AwaitIdle(ctx context.Context) error {
	return s.await(ctx, func() bool { return s.active == 0 })
}

func (s *Server) await(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		ok, changed := done(), s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// changeLocked wakes everyone who awaits something.
func (s *Server) changeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.dialect == Ollama && r.Method == http.MethodGet && r.URL.Path == "/api/tags" {
		s.mu.Lock()
		tags := ollamaTags(s.models)
		s.mu.Unlock()
		writeJSON(w, tags)
		return
	}
	if r.Method != http.MethodPost || !s.dialect.knows(r.URL.Path) {
		http.Error(w, `{"error":{"message":"no such method","type":"invalid_request_error"}}`, http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	call, bad := parseCall(s.dialect, body)
	if err != nil || bad != nil {
		http.Error(w, `{"error":{"message":"the body is no request","type":"invalid_request_error"}}`, http.StatusBadRequest)
		return
	}
	call.Path, call.Header = r.URL.Path, r.Header.Clone()
	s.mu.Lock()
	call.N = len(s.calls)
	s.calls = append(s.calls, call)
	s.active++
	s.changeLocked()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.active--
		s.changeLocked()
		s.mu.Unlock()
	}()
	s.answer(w, r, call, s.script(call))
}

// knows reports whether the format has a method of this path.
func (d Dialect) knows(path string) bool {
	if d == Anthropic {
		return strings.HasSuffix(path, "/messages")
	}
	return strings.HasSuffix(path, "/chat/completions") || strings.HasSuffix(path, "/embeddings")
}

// hold waits for release. When the client or the server goes away first it breaks the answer off, so that nobody takes what
// was sent for all of it.
func (s *Server) hold(ctx context.Context, release <-chan struct{}) {
	if release == nil {
		return
	}
	select {
	case <-release:
		return
	case <-ctx.Done():
	case <-s.closing:
	}
	panic(http.ErrAbortHandler)
}

// reset breaks the connection so that the client gets a reset rather than an end.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone when this fails
}
