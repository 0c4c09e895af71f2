package telemetry

import (
	"context"
	"log/slog"
	"slices"
)

// Handler returns a handler that reports records of level Error and above, and hands all of them to next. Put it behind a Redactor's, which
// then has seen everything twice. Without a DSN it is next.
func (r *Reporter) Handler(next slog.Handler) slog.Handler {
	if r.hub == nil {
		return next
	}
	return reporting{next: next, r: r}
}

type reporting struct {
	next   slog.Handler
	r      *Reporter
	attrs  []slog.Attr // of the logger, in their groups
	groups []string    // that are open
}

// Enabled implements slog.Handler.
func (h reporting) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError || h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h reporting) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= slog.LevelError {
		var own []slog.Attr
		record.Attrs(func(a slog.Attr) bool {
			own = append(own, a)
			return len(own) < maxAttributes
		})
		h.r.report(record, append(slices.Clone(h.attrs), h.inGroups(own)...))
	}
	if !h.next.Enabled(ctx, record.Level) {
		return nil
	}
	return h.next.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h reporting) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.next = h.next.WithAttrs(attrs)
	if room := maxAttributes - len(h.attrs); room > 0 {
		h.attrs = append(slices.Clone(h.attrs), h.inGroups(attrs[:min(len(attrs), room)])...)
	}
	return h
}

// WithGroup implements slog.Handler.
func (h reporting) WithGroup(name string) slog.Handler {
	h.next = h.next.WithGroup(name)
	if name != "" && len(h.groups) < maxGroups {
		h.groups = append(slices.Clone(h.groups), name)
	}
	return h
}

// inGroups names attributes by the groups that are open.
func (h reporting) inGroups(attrs []slog.Attr) []slog.Attr {
	if len(h.groups) == 0 {
		return attrs
	}
	prefix := ""
	for _, g := range h.groups {
		prefix += g + "."
	}
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = slog.Attr{Key: prefix + a.Key, Value: a.Value}
	}
	return out
}
