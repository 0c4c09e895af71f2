package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// submission is a request as it stands on the wire.
const submission = `{"kind":"quiz","input":` + quizInput + `,"priority":"high","labels":{"class":"7b"}}`

// nowhere takes log lines, so that writing them counts and storing them does not.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// clients is how many connections a benchmark keeps busy.
const clients = 16

// BenchmarkSubmit sends submissions to a server on parts in memory, as in production with a token and an access log, and the same
// requests to an Echo handler that answers 202 at once. "ratio" is the first rate over the second, "cpu-ratio" the same for
// processor time, which holds also on a machine with other work. Both count the client: "http" is Go's, "wire" writes bytes
// prepared beforehand and is about as cheap as a client can be.
func BenchmarkSubmit(b *testing.B) {
	for name, connect := range map[string]func(testing.TB, string, string) func(key string) error{"http": httpClient, "wire": wireClient} {
		for _, keyed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/key=%t", name, keyed), func(b *testing.B) {
				k := newKit(b, func(cfg *api.Config) { cfg.Logger = slog.New(slog.NewJSONHandler(nowhere{}, nil)) })
				bare := echo.New()
				bare.POST("/api/v1/tasks", func(c echo.Context) error { return c.NoContent(http.StatusAccepted) })
				base, baseCPU := drive(b, bare, connect, keyed)
				b.ResetTimer()
				took, cpu := drive(b, k.handler, connect, keyed)
				b.ReportMetric(float64(b.N)/took.Seconds(), "submissions/s")
				b.ReportMetric(base.Seconds()/took.Seconds(), "ratio")
				b.ReportMetric(baseCPU.Seconds()/cpu.Seconds(), "cpu-ratio")
				b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// drive sends b.N requests from as many clients as there are and returns how long that took, on the clock and of the processors.
func drive(b *testing.B, handler http.Handler, connect func(testing.TB, string, string) func(string) error, keyed bool) (took, cpu time.Duration) {
	b.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	bearer := token(b, auth.Teacher, "ada")
	sends := make([]func(string) error, clients)
	for c := range sends {
		sends[c] = connect(b, server.Listener.Addr().String(), bearer)
	}
	var wait sync.WaitGroup
	began, beganCPU := time.Now(), processorTime(b)
	for c, send := range sends {
		wait.Go(func() {
			for i := c; i < b.N; i += clients {
				key := ""
				if keyed {
					key = fmt.Sprintf("key-%d", i)
				}
				if err := send(key); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	return time.Since(began), processorTime(b) - beganCPU
}

func httpClient(b testing.TB, address, bearer string) func(string) error {
	transport := &http.Transport{}
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	return func(key string) error {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+address+"/api/v1/tasks", strings.NewReader(submission))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+bearer)
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		return accepted(answer)
	}
}

func wireClient(b testing.TB, address, bearer string) func(string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	in := bufio.NewReader(conn)
	return func(key string) error {
		if key != "" {
			key = "Idempotency-Key: " + key + "\r\n"
		}
		_, err := fmt.Fprintf(conn, "POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n%sContent-Length: %d\r\n\r\n%s",
			bearer, key, len(submission), submission)
		if err != nil {
			return err
		}
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		return accepted(answer)
	}
}

func accepted(answer *http.Response) error {
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		body, err := io.ReadAll(answer.Body)
		return errors.Join(fmt.Errorf("%s: %s", answer.Status, body), err)
	}
	_, err := io.Copy(io.Discard, answer.Body)
	return err
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHandler is BenchmarkSubmit without connections: what the handler itself costs.
func BenchmarkHandler(b *testing.B) {
	k := newKit(b, func(cfg *api.Config) { cfg.Logger = slog.New(slog.NewJSONHandler(nowhere{}, nil)) })
	bearer := token(b, auth.Teacher, "ada")
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		k.handler.ServeHTTP(w, k.request(ask{method: "POST", path: "/api/v1/tasks", body: submission, as: bearer}))
		if w.Code != http.StatusAccepted {
			b.Fatal(w.Body)
		}
	}
}

// BenchmarkContract compares what holding a submission against the OpenAPI document costs.
func BenchmarkContract(b *testing.B) {
	k := newKit(b)
	bearer := token(b, auth.Teacher, "ada")
	doc, err := openapi3.NewLoader().LoadFromData(k.document())
	if err != nil {
		b.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		b.Fatal(err)
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	b.Run("openapi3filter", func(b *testing.B) {
		for b.Loop() {
			r := k.request(ask{method: "POST", path: "/api/v1/tasks", body: submission, as: bearer})
			route, params, err := router.FindRoute(r)
			if err != nil {
				b.Fatal(err)
			}
			err = openapi3filter.ValidateRequest(b.Context(), &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("whole handler", func(b *testing.B) {
		for b.Loop() {
			w := httptest.NewRecorder()
			k.handler.ServeHTTP(w, k.request(ask{method: "POST", path: "/api/v1/tasks", body: submission, as: bearer}))
		}
	})
}

// BenchmarkGuard measures what the guard adds to a request: the places, the token or key, the limits, the rule and the contract. "first" is a
// token that was not seen before.
func BenchmarkGuard(b *testing.B) {
	for name, c := range map[string]struct {
		change func(*api.Config)
		token  func(i int) string
	}{
		"token":         {func(*api.Config) {}, func(int) string { return token(b, auth.Teacher, "ada") }},
		"token, limits": {func(cfg *api.Config) { generous(b, cfg) }, func(int) string { return token(b, auth.Teacher, "ada") }},
		"first":         {func(*api.Config) {}, func(i int) string { return token(b, auth.Teacher, fmt.Sprintf("u%d", i)) }},
		"key":           {func(*api.Config) {}, func(int) string { return "tbai_bench" }},
	} {
		b.Run(name, func(b *testing.B) {
			k := newKit(b, c.change)
			k.keys["tbai_bench"] = auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher, KeyID: "k", Scopes: auth.Scopes()}
			requests := make([]func() error, min(b.N, 50_000)) // more than the verifier remembers
			var bare func() error
			for i := range requests {
				if i == 0 || name == "first" {
					requests[i], bare = k.server.Guarded(k.request(ask{method: "GET", path: "/api/v1/tasks?limit=10", as: c.token(i)}), "/api/v1/tasks")
					continue
				}
				requests[i] = requests[0]
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if err := requests[i%len(requests)](); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			took := b.Elapsed()
			began := time.Now()
			for range b.N {
				_ = bare()
			}
			b.ReportMetric(float64((took-time.Since(began)).Nanoseconds())/float64(b.N), "added-ns/op")
		})
	}
}

// generous limits count and refuse nothing.
func generous(b *testing.B, cfg *api.Config) {
	b.Helper()
	local, err := limit.NewLocal(limit.LocalConfig{})
	if err != nil {
		b.Fatal(err)
	}
	rates := limit.NewRates(policy.Policy{Rates: []policy.Rate{{Class: "user", PerMinute: policy.MaxPerMinute, Burst: policy.MaxBurst}, {Class: "global", PerMinute: policy.MaxPerMinute, Burst: policy.MaxBurst}}})
	cfg.Limiter, cfg.Rates = local, func() limit.Rates { return rates }
}
