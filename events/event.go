// Package events is the platform's published language: what is said on the log, and how it looks on the wire.
//
// An event is a CloudEvents 1.0 message in binary mode: attributes in ce-* headers, a JSON object as the body. The log has
// one subject per task, so the messages on a subject are that task's history. Everything else (the API's answers, the
// dashboard's channels, the tables in Postgres) is derived from it. testdata/ holds each type as it stands on the wire,
// asyncapi.yaml describes them for other languages.
//
// The package imports nothing of ours: whoever reads the log needs this package and no other.
package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// MaxData is the largest body of one event, in bytes. It leaves room for headers below the broker's limit of 1 MiB.
const MaxData = 960 << 10

// ErrMalformed is in the chain of every decoding error.
var ErrMalformed = errors.New("malformed event")

// Event is one entry of a task's history, or a progress report.
type Event struct {
	ID          string    // unique; a retried append carries the same one
	Type        Type      // what happened
	Source      string    // who says so, as a URI reference: "/api", "/workers/<id>"
	Time        time.Time // when, UTC
	Tenant      string    // whose task it is; a subject token
	Task        string    // the task's id; a subject token
	TraceParent string    // W3C trace context, or empty
	Data        json.RawMessage
	Seq         uint64 // position in the log; 0 until appended. It is the reader's knowledge and not on the wire
}

// New returns an event about a task with a fresh time-ordered id (UUIDv7) and the time now.
func New(tenant, task, source string, p Payload) (Event, error) {
	data, err := Marshal(p)
	if err != nil {
		return Event{}, fmt.Errorf("encode %s: %w", p.EventType(), err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Event{}, fmt.Errorf("new event id: %w", err)
	}
	return Event{
		ID: id.String(), Type: p.EventType(), Source: source, Time: time.Now().UTC(),
		Tenant: tenant, Task: task, Data: data,
	}, nil
}

// Marshal is json.Marshal without the escapes of <, > and &: bodies hold scripts and Markdown, and no browser takes them for
// HTML.
func Marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// DataAs decodes e's body as P. It fails when e is of another type.
func DataAs[P Payload](e Event) (P, error) {
	var p P
	if e.Type != p.EventType() {
		return p, fmt.Errorf("%w: %s is no %s", ErrMalformed, e.Type, p.EventType())
	}
	if err := json.Unmarshal(e.Data, &p); err != nil {
		return p, fmt.Errorf("%w: body of %s: %w", ErrMalformed, e.Type, err)
	}
	return p, nil
}

// Names of the headers on the wire.
const (
	HeaderSpecVersion = "ce-specversion"
	HeaderID          = "ce-id"
	HeaderType        = "ce-type"
	HeaderSource      = "ce-source"
	HeaderTime        = "ce-time"
	HeaderSubject     = "ce-subject"
	HeaderTenant      = "ce-tenant"
	HeaderContentType = "content-type"
	HeaderTraceParent = "traceparent"

	// HeaderSeq stands on dispatches only: the log sequence of the task.queued event that the body repeats.
	HeaderSeq = "toolboxai-seq"
	// HeaderDispatch stands on dispatches only: the number of the dispatch.
	HeaderDispatch = "toolboxai-dispatch"
	// HeaderQueueSubject is set on a received dispatch: the subject that it came on. It never leaves the process.
	HeaderQueueSubject = "toolboxai-queue-subject"
	// HeaderRetryAfter is set on a message by its handler before it is refused (nacked): a Go duration after which the
	// broker shall deliver it again, or LetGo. It never leaves the process.
	HeaderRetryAfter = "toolboxai-retry-after"
	// LetGo, as HeaderRetryAfter, says that the message belongs to another delivery by now: the broker is told nothing, since it
	// would take the word for that one. It comes again only when whoever holds it gives no sign of life.
	LetGo = "let-go"
)

const specVersion = "1.0"

// Attributes yields e's attributes as they stand on the wire.
func (e Event) Attributes() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		_ = yield(HeaderSpecVersion, specVersion) &&
			yield(HeaderID, e.ID) &&
			yield(HeaderType, string(e.Type)) &&
			yield(HeaderSource, e.Source) &&
			yield(HeaderTime, e.Time.UTC().Format(time.RFC3339Nano)) &&
			yield(HeaderSubject, e.Task) &&
			yield(HeaderTenant, e.Tenant) &&
			yield(HeaderContentType, "application/json") &&
			(e.TraceParent == "" || yield(HeaderTraceParent, e.TraceParent))
	}
}

// Header returns Attributes as a map.
func (e Event) Header() map[string]string { return maps.Collect(e.Attributes()) }

// Check holds e's attributes and the size of its body against the rules of Decode. What New made, or Decode returned, passes
// them as long as its tenant and task do. Every error wraps ErrMalformed and names the attribute.
func (e Event) Check() error {
	for _, a := range [...]struct{ name, value string }{
		{HeaderID, e.ID}, {HeaderType, string(e.Type)}, {HeaderSource, e.Source},
	} {
		if a.value == "" || len(a.value) > 256 || !utf8.ValidString(a.value) {
			return fmt.Errorf("%w: %s is %q, want 1 to 256 bytes of UTF-8", ErrMalformed, a.name, clip(a.value))
		}
	}
	if err := CheckToken("tenant", e.Tenant); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, HeaderTenant, err)
	}
	if err := CheckToken("task", e.Task); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, HeaderSubject, err)
	}
	if len(e.Data) > MaxData {
		return fmt.Errorf("%w: the body has %d bytes, at most %d are allowed", ErrMalformed, len(e.Data), MaxData)
	}
	if len(e.Data) == 0 || e.Data[0] != '{' {
		return fmt.Errorf("%w: the body is no JSON object", ErrMalformed)
	}
	return nil
}

// Decode reads an event from its headers, looked up by get, and its body. Types that this version does not know are
// accepted, so that an old reader can pass over what a newer writer says. Every error wraps ErrMalformed and names the
// attribute.
func Decode(get func(key string) string, data []byte) (Event, error) {
	e := Event{
		ID: get(HeaderID), Type: Type(get(HeaderType)), Source: get(HeaderSource),
		Tenant: get(HeaderTenant), Task: get(HeaderSubject), TraceParent: get(HeaderTraceParent), Data: data,
	}
	if v := get(HeaderSpecVersion); v != specVersion {
		return Event{}, fmt.Errorf("%w: %s is %q, want %q", ErrMalformed, HeaderSpecVersion, clip(v), specVersion)
	}
	if err := e.Check(); err != nil {
		return Event{}, err
	}
	t, err := time.Parse(time.RFC3339Nano, get(HeaderTime))
	if err != nil {
		return Event{}, fmt.Errorf("%w: %s is %q, want RFC 3339", ErrMalformed, HeaderTime, clip(get(HeaderTime)))
	}
	e.Time = t.UTC()
	if !utf8.Valid(data) || !json.Valid(data) {
		return Event{}, fmt.Errorf("%w: the body is no JSON object in UTF-8", ErrMalformed)
	}
	return e, nil
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
