package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// maxAnswer bounds what is kept of an answer of the API, in bytes. No operation that is asked here has one of that size.
const maxAnswer = 8 << 20

// outerKey is where a context holds the client's request.
type outerKey struct{}

// withClient returns a context that also ends with the client's request: the protocol's library lets older clients' calls go on without one.
func withClient(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	outer, ok := ctx.Value(outerKey{}).(*http.Request)
	if !ok {
		return ctx, cancel
	}
	stop := context.AfterFunc(outer.Context(), cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// request is one to the API.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         []byte
}

// passed are the headers of the client's request that a request to the API has as well: who asks, for whom, from where, and as part of what.
var passed = []string{"Authorization", "X-Api-Key", "X-Tenant-Id", "X-Forwarded-For", "X-Forwarded-Proto", "Origin", "User-Agent", "Traceparent"}

// open makes r a request in the name of the client that ctx's call comes from.
func (s *Server) open(ctx context.Context, r request) (*http.Request, error) {
	outer, ok := ctx.Value(outerKey{}).(*http.Request)
	if !ok {
		return nil, fault.New(fault.Unauthorized, "nobody is known to ask")
	}
	target := s.cfg.Prefix + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	in, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, fault.New(fault.NotFound, "there is no such thing: %w", err)
	}
	for name, values := range r.header {
		in.Header[name] = values
	}
	for _, name := range passed {
		if values := outer.Header.Values(name); len(values) > 0 {
			in.Header[name] = values
		}
	}
	if len(r.body) > 0 {
		in.Header.Set("Content-Type", "application/json")
	}
	if id := ctx.Value(IDKey{}); id != nil {
		in.Header.Set("X-Request-Id", id.(string))
	}
	in.Host, in.RemoteAddr, in.TLS, in.RequestURI = outer.Host, outer.RemoteAddr, outer.TLS, target
	return in, nil
}

// IDKey is where the context of a request may hold its id, a string: what it leads to is logged under the same one.
type IDKey struct{}

// ask performs an operation and returns its answer's data. A refusal is a *refusal.
func (s *Server) ask(ctx context.Context, r request) (json.RawMessage, error) {
	in, err := s.open(ctx, r)
	if err != nil {
		return nil, err
	}
	w := &recorder{header: http.Header{}}
	s.cfg.API.ServeHTTP(w, in)
	return w.answer()
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
	over   bool
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(data []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.over = w.over || w.body.Len()+len(data) > maxAnswer; w.over {
		return 0, fault.New(fault.TooLarge, "the answer is larger than %d bytes", maxAnswer)
	}
	return w.body.Write(data)
}

// answer returns the data of what was written, or a *refusal.
func (w *recorder) answer() (json.RawMessage, error) {
	if w.over {
		return nil, fault.New(fault.TooLarge, "the answer is larger than %d bytes", maxAnswer)
	}
	var envelope struct {
		Data    json.RawMessage `json:"data"`
		Message string          `json:"message"`
		Error   *Problem        `json:"error"`
	}
	if err := json.Unmarshal(w.body.Bytes(), &envelope); err != nil {
		return nil, fault.New(fault.Internal, "the API answered %d with what is no JSON: %w", w.status, err)
	}
	if w.status < 300 {
		return envelope.Data, nil
	}
	no := &refusal{status: w.status, Message: envelope.Message}
	if envelope.Error != nil {
		no.Problem = *envelope.Error
	}
	if after, err := time.ParseDuration(w.header.Get("Retry-After") + "s"); err == nil {
		no.RetryAfter = int(after.Seconds())
	}
	return nil, no
}
