package telemetry

import (
	"fmt"

	"github.com/getsentry/sentry-go"
)

// clean returns a new event with what may leave of e: whatever is not named here stays behind.
func (r *Reporter) clean(e *sentry.Event) *sentry.Event {
	out := &sentry.Event{
		EventID: e.EventID, Timestamp: e.Timestamp, Level: e.Level, Platform: e.Platform, Sdk: e.Sdk,
		Environment: r.text(e.Environment), Release: r.text(e.Release), Logger: r.text(e.Logger), Message: r.text(e.Message),
		Contexts: map[string]sentry.Context{},
	}
	for _, part := range e.Fingerprint {
		out.Fingerprint = append(out.Fingerprint, r.text(part))
	}
	for _, x := range e.Exception {
		out.Exception = append(out.Exception, sentry.Exception{Type: r.text(x.Type), Value: r.text(x.Value), Stacktrace: r.stack(x.Stacktrace)})
	}
	if attributes := e.Contexts["attributes"]; len(attributes) > 0 {
		clean := sentry.Context{}
		for key, value := range attributes {
			if secretKey(key) {
				value = Redacted
			}
			if len(clean) < maxAttributes {
				clean[r.text(key)] = r.text(fmt.Sprint(value))
			}
		}
		out.Contexts["attributes"] = clean
	}
	return out
}

func (r *Reporter) text(s string) string {
	s = r.r.String(s)
	if len(s) > maxAttribute {
		s = s[:maxAttribute] + cut
	}
	return s
}

// stack keeps where something happened, and no source lines or variables.
func (r *Reporter) stack(s *sentry.Stacktrace) *sentry.Stacktrace {
	if s == nil {
		return nil
	}
	out := &sentry.Stacktrace{}
	for _, f := range s.Frames {
		out.Frames = append(out.Frames, sentry.Frame{
			Function: r.text(f.Function), Module: r.text(f.Module), Filename: r.text(f.Filename), Lineno: f.Lineno, InApp: f.InApp,
		})
	}
	return out
}
