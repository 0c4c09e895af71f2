package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/getsentry/sentry-go"
	"golang.org/x/time/rate"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	reportsPerSecond = 1  // in the long run
	reportsBurst     = 20 // at once
	reportTime       = 5 * time.Second
	maxAttributes    = 40
	maxAttribute     = 4 << 10 // bytes
	maxCauses        = 5       // errors that one error wraps
)

// ReporterConfig says where errors are reported to.
type ReporterConfig struct {
	// DSN is the project's address, with its key; empty: nothing is reported.
	DSN         string
	Environment string // such as "production"
	Release     string
	// Redactor is what every string passes; one without exact secrets when nil.
	Redactor *Redactor
	// Client sends the reports; http.DefaultTransport with a timeout of 5 s when nil.
	Client *http.Client
}

// Reporter sends what is logged as an error to Sentry, or to whatever speaks its protocol. It has a hub of its own and leaves the
// library's globals alone. What it sends is built from a list of what may be: the message, the chain of errors, where it was logged
// and the attributes, all redacted. No request, header, cookie, body, user, host name, breadcrumb or attachment is ever sent, whoever
// puts one into an event. At most one report a second leaves, twenty at once; the others are counted. Safe for concurrent use. Close it.
type Reporter struct {
	hub     *sentry.Hub // nil: off
	client  *sentry.Client
	limit   *rate.Limiter
	r       *Redactor
	dropped atomic.Uint64
}

// NewReporter returns a reporter. It does not connect. Invalid when the DSN is none; the error does not hold it.
func NewReporter(cfg ReporterConfig) (*Reporter, error) {
	r := &Reporter{limit: rate.NewLimiter(reportsPerSecond, reportsBurst), r: cfg.Redactor}
	if r.r == nil {
		r.r = NewRedactor()
	}
	if cfg.DSN == "" {
		return r, nil
	}
	if _, err := sentry.NewDsn(cfg.DSN); err != nil {
		return nil, fault.InvalidField("telemetry.ReporterConfig.DSN", "is not the address of a project")
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: reportTime}
	}
	client, err := sentry.NewClient(sentry.ClientOptions{
		Dsn: cfg.DSN, Environment: cfg.Environment, Release: cfg.Release, HTTPClient: cfg.Client, MaxBreadcrumbs: -1,
		Integrations: func([]sentry.Integration) []sentry.Integration { return nil },
		BeforeSend: func(e *sentry.Event, _ *sentry.EventHint) *sentry.Event {
			if !r.limit.Allow() {
				r.dropped.Add(1)
				return nil
			}
			return r.clean(e)
		},
		// What is not reported here is not sent either.
		BeforeSendTransaction:  func(*sentry.Event, *sentry.EventHint) *sentry.Event { return nil },
		BeforeSendLog:          func(*sentry.Log) *sentry.Log { return nil },
		BeforeSendMetric:       func(*sentry.Metric) *sentry.Metric { return nil },
		DisableClientReports:   true,
		DisableTelemetryBuffer: true,
	})
	if err != nil {
		return nil, fault.InvalidField("telemetry.ReporterConfig", "is not usable: %s", r.r.String(err.Error()))
	}
	r.client, r.hub = client, sentry.NewHub(client, sentry.NewScope())
	return r, nil
}

// On reports whether errors are sent anywhere.
func (r *Reporter) On() bool { return r.hub != nil }

// Dropped returns how many errors were not reported as too many came at once.
func (r *Reporter) Dropped() uint64 { return r.dropped.Load() }

// Hub returns the hub, for what else reports through it; nil when off. All of it passes the same list and the same redactor.
func (r *Reporter) Hub() *sentry.Hub { return r.hub }

// Close sends what waits, until ctx ends, and lets go of everything. It returns ctx's error when something was left.
func (r *Reporter) Close(ctx context.Context) error {
	if r.hub == nil {
		return nil
	}
	sent := r.client.FlushWithContext(ctx)
	r.client.Close()
	if !sent {
		return fmt.Errorf("send the last error reports: %w", context.Cause(ctx))
	}
	return nil
}

// report sends one log record.
func (r *Reporter) report(record slog.Record, attrs []slog.Attr) {
	event := &sentry.Event{
		Level: sentry.LevelError, Timestamp: record.Time, Message: record.Message, Logger: "slog",
		Contexts: map[string]sentry.Context{"attributes": {}},
	}
	for _, a := range attrs {
		flatten(event.Contexts["attributes"], "", a, 0)
		if err, ok := a.Value.Resolve().Any().(error); ok && event.Exception == nil {
			event.Exception = causes(err)
		}
	}
	if event.Exception == nil {
		event.Exception = []sentry.Exception{{Type: "log", Value: record.Message}}
	}
	if record.PC != 0 {
		frame, _ := runtime.CallersFrames([]uintptr{record.PC}).Next()
		outer := &event.Exception[len(event.Exception)-1]
		outer.Stacktrace = &sentry.Stacktrace{Frames: []sentry.Frame{sentry.NewFrame(frame)}}
	}
	r.hub.CaptureEvent(event)
}

// causes returns err and what it wraps, the innermost first, as Sentry has it.
func causes(err error) []sentry.Exception {
	var out []sentry.Exception
	for ; err != nil && len(out) < maxCauses; err = unwrap(err) {
		out = append([]sentry.Exception{{Type: reflect.TypeOf(err).String(), Value: err.Error()}}, out...)
	}
	return out
}

func unwrap(err error) error {
	switch e := err.(type) { //nolint:errorlint // it walks the chain
	case interface{ Unwrap() error }:
		return e.Unwrap()
	case interface{ Unwrap() []error }:
		if all := e.Unwrap(); len(all) > 0 {
			return all[0]
		}
	}
	return nil
}

// flatten puts an attribute into out as text, one of a group under its path.
func flatten(out sentry.Context, prefix string, a slog.Attr, depth int) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup && depth < maxGroups {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			flatten(out, prefix, member, depth+1)
		}
		return
	}
	if a.Key != "" && len(out) < maxAttributes {
		out[prefix+a.Key] = v.String()
	}
}
