package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
)

// maxGroups is how deep groups of attributes may lie in each other. What is deeper is left out.
const maxGroups = 16

// Handler returns a handler that hands what it gets to next, redacted: messages, attributes, groups, errors and whatever else a value prints. A string
// under a name such as "password" or "…_token" is replaced whatever it looks like. Numbers, times and booleans stay.
func (r *Redactor) Handler(next slog.Handler) slog.Handler { return redacting{next, r} }

type redacting struct {
	next slog.Handler
	r    *Redactor
}

// Enabled implements slog.Handler.
func (h redacting) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h redacting) Handle(ctx context.Context, record slog.Record) error {
	clean := slog.NewRecord(record.Time, record.Level, h.r.String(record.Message), record.PC)
	record.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.r.attr(a, 0))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h redacting) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = h.r.attr(a, 0)
	}
	return redacting{h.next.WithAttrs(clean), h.r}
}

// WithGroup implements slog.Handler.
func (h redacting) WithGroup(name string) slog.Handler { return redacting{h.next.WithGroup(name), h.r} }

func (r *Redactor) attr(a slog.Attr, depth int) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		if secretKey(a.Key) && v.String() != "" {
			return slog.String(a.Key, Redacted)
		}
		return slog.String(a.Key, r.String(v.String()))
	case slog.KindGroup:
		if depth == maxGroups {
			return slog.String(a.Key, cut)
		}
		group := v.Group()
		clean := make([]slog.Attr, len(group))
		for i, member := range group {
			clean[i] = r.attr(member, depth+1)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(clean...)}
	case slog.KindAny:
		if secretKey(a.Key) && v.Any() != nil {
			return slog.String(a.Key, Redacted)
		}
		return slog.Attr{Key: a.Key, Value: r.any(v)}
	default: // numbers, booleans, times
		return slog.Attr{Key: a.Key, Value: v}
	}
}

// any returns v as it is when none of the ways in which a handler may print it shows a secret, and else what is left of its text.
func (r *Redactor) any(v slog.Value) (out slog.Value) {
	defer func() {
		if recover() != nil { // a nil pointer with a method, as a rule: handlers survive it too
			out = slog.StringValue("[unprintable]")
		}
	}()
	switch x := v.Any().(type) {
	case nil:
		return v
	case error:
		return r.text(v, x.Error())
	case json.RawMessage:
		return r.text(v, string(x))
	case []byte:
		return r.text(v, string(x))
	case fmt.Stringer:
		return r.text(v, x.String())
	}
	if printed := r.text(v, fmt.Sprintf("%+v", v.Any())); printed.Kind() == slog.KindString {
		return printed
	}
	encoded, err := json.Marshal(v.Any())
	if err != nil {
		return v // no handler can encode it either
	}
	return r.text(v, string(encoded))
}

// text returns v when there is nothing to redact in how it is printed.
func (r *Redactor) text(v slog.Value, printed string) slog.Value {
	if clean := r.String(printed); clean != printed {
		return slog.StringValue(clean)
	}
	return v
}
