package notify

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/events"
)

// maxText is the longest message text, in bytes. Even when every byte needs six in JSON, a payload without data stays
// below MaxData.
const maxText = 1000

// unknownKind stands for a kind that is not known or not fit to be shown.
const unknownKind = "unknown"

// detailed is the payload on private channels.
type detailed struct {
	TaskID    string   `json:"task_id"`
	Kind      string   `json:"kind"`
	State     string   `json:"state"`
	Attempt   int      `json:"attempt"`       // 0 for what is not about an attempt
	Seq       uint64   `json:"seq,omitempty"` // absent from volatile events, which are not on the log
	Progress  *float64 `json:"progress,omitempty"`
	Message   string   `json:"message,omitempty"`
	Data      any      `json:"data,omitempty"`
	DataRef   string   `json:"data_ref,omitempty"` // where to fetch the task when data had to be left out
	Timestamp string   `json:"timestamp"`
}

// redacted is the payload on public channels. It never grows a field that holds content, names, user or tenant ids.
type redacted struct {
	TaskID    string   `json:"task_id"`
	Kind      string   `json:"kind"`
	State     string   `json:"state"`
	Progress  *float64 `json:"progress,omitempty"`
	Timestamp string   `json:"timestamp"`
}

// reference is the least that tells of an event. Seq and DataRef stand on private channels only.
type reference struct {
	TaskID    string `json:"task_id"`
	State     string `json:"state"`
	Seq       uint64 `json:"seq,omitempty"`
	DataRef   string `json:"data_ref,omitempty"`
	Timestamp string `json:"timestamp"`
}

// payloads encodes a story for private and for public channels.
func (s story) payloads(e events.Event, kind string) (private, public []byte) {
	at := e.Time.UTC().Format(time.RFC3339Nano)
	d := detailed{
		TaskID: e.Task, Kind: kind, State: s.state, Attempt: s.attempt, Seq: logSeq(e), Progress: s.progress,
		Message: clip(s.message), Data: s.data, Timestamp: at,
	}
	if s.elsewhere {
		d.DataRef = taskURL(e.Task)
	}
	private, err := encode(d)
	if err != nil || len(private) > MaxData {
		d.Data, d.DataRef = nil, taskURL(e.Task)
		private, _ = encode(d)
	}
	public, _ = encode(redacted{TaskID: e.Task, Kind: kind, State: s.state, Progress: s.progress, Timestamp: at})
	return private, public
}

// references encodes what is left to say of a story when its payloads are refused.
func (s story) references(e events.Event) (private, public []byte) {
	r := reference{TaskID: e.Task, State: s.state, Timestamp: e.Time.UTC().Format(time.RFC3339Nano)}
	public, _ = encode(r)
	r.Seq, r.DataRef = logSeq(e), taskURL(e.Task)
	private, _ = encode(r)
	return private, public
}

func taskURL(task string) string { return "/api/v1/tasks/" + task }

func logSeq(e events.Event) uint64 {
	if e.Type == events.TypeProgress || e.Type == events.TypeText {
		return 0
	}
	return e.Seq
}

// encode leaves <, > and & as they are: escaped, programs and Markdown would outgrow a message much sooner. It fails only
// on a RawMessage that is no JSON.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func clip(s string) string {
	const ellipsis = "…"
	if len(s) <= maxText {
		return s
	}
	cut := maxText - len(ellipsis)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + ellipsis
}
