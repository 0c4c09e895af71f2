package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getsentry/sentry-go"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/telemetry"
)

// ingest is a server that takes reports.
type ingest struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
}

func newIngest(t *testing.T) *ingest {
	t.Helper()
	in := &ingest{}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		data, err := io.ReadAll(io.LimitReader(body, 1<<20))
		if err != nil {
			t.Error(err)
		}
		in.mu.Lock()
		in.bodies = append(in.bodies, string(data))
		in.mu.Unlock()
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(in.Close)
	return in
}

// dsn returns the server's address as that of a project.
func (in *ingest) dsn() string {
	return strings.Replace(in.URL, "http://", "http://publickey@", 1) + "/42"
}

func (in *ingest) got() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]string(nil), in.bodies...)
}

// reporter returns one that reports to in, and what sends everything and lets go of it.
func reporter(t *testing.T, in *ingest) (r *telemetry.Reporter, done func()) {
	t.Helper()
	transport := &http.Transport{}
	r, err := telemetry.NewReporter(telemetry.ReporterConfig{
		DSN: in.dsn(), Environment: "test", Release: "v1.2.3", Redactor: newRedactor(), Client: &http.Client{Transport: transport, Timeout: 5 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
	}
}

func TestReporter_SendsWhatIsLoggedAsAnError(t *testing.T) {
	t.Parallel()
	in := newIngest(t)
	r, done := reporter(t, in)
	var out bytes.Buffer
	l := slog.New(r.Handler(slog.NewJSONHandler(&out, nil))).With("component", "recorder").WithGroup("task")
	l.Info("all is well")
	l.Warn("it is slow")
	l.Error("record events", "id", "0199", "error", fmt.Errorf("write: %w", fault.After(time.Second, "the database is away")), slog.Group("at", "seq", 7))
	done()
	got := in.got()
	if len(got) != 1 {
		t.Fatalf("%d reports arrived", len(got))
	}
	for _, want := range []string{
		"record events", `"value":"write: the database is away"`, `"value":"the database is away"`, "*fault.Error", `"component":"recorder"`,
		`"task.id":"0199"`, `"task.at.seq":"7"`, "TestReporter_SendsWhatIsLoggedAsAnError", `"environment":"test"`, `"release":"v1.2.3"`,
	} {
		if !strings.Contains(got[0], want) {
			t.Errorf("%s is missing in\n%s", want, got[0])
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 3 {
		t.Errorf("%d lines were logged, want 3", n)
	}
}

// request is an event as a careless integration would fill it in.
func careless(text string) *sentry.Event {
	return &sentry.Event{
		Message: text, Transaction: text, ServerName: text, Dist: text, Logger: text, Environment: text, Release: text,
		Request: &sentry.Request{URL: "https://x?" + text, Data: text, Cookies: text, QueryString: text, Headers: map[string]string{"Authorization": text}, Env: map[string]string{"A": text}},
		User:    sentry.User{ID: text, Email: text, IPAddress: text, Username: text, Name: text, Data: map[string]string{"a": text}},
		Tags:    map[string]string{"a": text}, Modules: map[string]string{"a": text}, Fingerprint: []string{text},
		Contexts:    map[string]sentry.Context{"attributes": {"a": text, text: 1}, "device": {"name": text}},
		Breadcrumbs: []*sentry.Breadcrumb{{Message: text, Data: map[string]any{"a": text}}},
		Attachments: []*sentry.Attachment{{Filename: "a", Payload: []byte(text)}},
		Threads:     []sentry.Thread{{Name: text}},
		Exception: []sentry.Exception{{Type: text, Value: text, Module: text, Mechanism: &sentry.Mechanism{Type: text, Description: text, Data: map[string]any{"a": text}}, Stacktrace: &sentry.Stacktrace{
			Frames: []sentry.Frame{{Function: text, Filename: text, AbsPath: text, Module: text, ContextLine: text, PreContext: []string{text}, PostContext: []string{text}, Vars: map[string]any{"a": text}}},
		}}},
	}
}

func TestReporter_SendsNothingThatWasPlanted(t *testing.T) {
	t.Parallel()
	in := newIngest(t)
	for i := 0; i < len(planted); i += 5 { // a few at a time: no more than twenty leave at once
		r, done := reporter(t, in)
		l := slog.New(r.Handler(slog.DiscardHandler))
		for _, p := range planted[i:min(i+5, len(planted))] {
			l.With("a", p.text).Error("with "+p.text, "error", fmt.Errorf("x: %w", errors.New(p.text)), "password", "plain words", slog.Group("g", "b", p.text)) //nolint:sloglint // as above
			r.Hub().CaptureEvent(careless(p.text))
			r.Hub().CaptureException(errors.New(p.text))
		}
		done()
	}
	got := strings.Join(in.got(), "\n")
	if n := strings.Count(got, telemetry.Redacted); n < 10*len(planted) {
		t.Fatalf("only %d redacted strings arrived", n)
	}
	for _, p := range planted {
		if strings.Contains(got, p.secret) {
			t.Errorf("%q arrived", p.secret)
		}
	}
	if strings.Contains(got, "plain words") {
		t.Error("a password that looks like nothing arrived")
	}
}

// What is no secret but of no concern to anybody else does not arrive either.
func TestReporter_SendsNoRequestAndNoPerson(t *testing.T) {
	t.Parallel()
	in := newIngest(t)
	r, done := reporter(t, in)
	event := careless("of-a-pupil")
	event.Message, event.Exception, event.Contexts["attributes"] = "a message", nil, sentry.Context{"kind": "quiz"}
	event.Logger, event.Environment, event.Release, event.Fingerprint = "", "", "", nil
	scope := r.Hub().Scope()
	scope.SetUser(sentry.User{Username: "of-a-pupil"})
	scope.SetTag("name", "of-a-pupil")
	scope.SetRequest(httptest.NewRequest(http.MethodPost, "/of-a-pupil", strings.NewReader("of-a-pupil")))
	scope.AddBreadcrumb(&sentry.Breadcrumb{Message: "of-a-pupil"}, 10)
	scope.AddAttachment(&sentry.Attachment{Filename: "of-a-pupil", Payload: []byte("of-a-pupil")})
	r.Hub().CaptureEvent(event)
	done()
	got := strings.Join(in.got(), "\n")
	if !strings.Contains(got, "a message") || !strings.Contains(got, "quiz") {
		t.Fatalf("the event did not arrive: %s", got)
	}
	if strings.Contains(got, "of-a-pupil") {
		t.Errorf("it arrived: %s", got)
	}
}

// The negative control: the library alone sends what is planted.
func TestReporter_WithoutItWhatIsPlantedArrives(t *testing.T) {
	t.Parallel()
	in := newIngest(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client, err := sentry.NewClient(sentry.ClientOptions{Dsn: in.dsn(), HTTPTransport: transport, DisableTelemetryBuffer: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.CaptureEvent(careless(apiKey), nil, sentry.NewScope())
	if !client.Flush(10 * time.Second) {
		t.Fatal("it was not sent")
	}
	if n := strings.Count(strings.Join(in.got(), "\n"), apiKey); n < 10 {
		t.Errorf("it arrived %d times: the test would not see it", n)
	}
}

func TestReporter_IsOffWithoutADSN(t *testing.T) {
	t.Parallel()
	r, err := telemetry.NewReporter(telemetry.ReporterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	next := slog.NewJSONHandler(&out, nil)
	if r.On() || r.Hub() != nil || r.Handler(next) != slog.Handler(next) {
		t.Error("it is on")
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for _, dsn := range []string{"nonsense", "https://host/1", "https://s3cretkey@"} {
		if _, err := telemetry.NewReporter(telemetry.ReporterConfig{DSN: dsn}); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}

func TestReporter_BoundsAFlood(t *testing.T) {
	t.Parallel()
	in := newIngest(t)
	r, done := reporter(t, in)
	l := slog.New(r.Handler(slog.DiscardHandler))
	began := time.Now()
	for range 1000 {
		l.Error("again", "error", errors.New(strings.Repeat("long ", 10_000)))
	}
	allowed := 20 + int(time.Since(began).Seconds()) + 1
	done()
	if n := len(in.got()); n == 0 || n > allowed {
		t.Errorf("%d reports arrived, at most %d may", n, allowed)
	}
	if n := r.Dropped(); n < uint64(1000-allowed) {
		t.Errorf("%d were counted as dropped", n)
	}
	for _, body := range in.got() {
		if len(body) > 64<<10 {
			t.Errorf("a report has %d bytes", len(body))
		}
	}
}
