package postgres

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/task"
)

// document is the JSON form of a folded task in tasks.doc. It holds all that Fold knows of a task, except what has a column
// of its own: input, result and the raw bytes of an undecodable dispatch.
type document struct {
	task.Task
	RequestHash string `json:"request_hash,omitempty"`
	CallbackURL string `json:"callback_url,omitempty"`
}

func encodeTask(t task.Task) ([]byte, error) {
	t.Input, t.Result = nil, nil
	if t.Failure != nil && t.Failure.Raw != nil {
		f := *t.Failure
		f.Raw = nil
		t.Failure = &f
	}
	doc, err := json.Marshal(document{t, t.RequestHash, t.CallbackURL})
	if err != nil {
		return nil, fmt.Errorf("%w: task %s: %w", errUnstorable, t.ID, err)
	}
	return doc, nil
}

// decodeTask reads what encodeTask wrote.
func decodeTask(doc, raw []byte) (task.Task, error) {
	var d document
	if err := json.Unmarshal(doc, &d); err != nil {
		return task.Task{}, fmt.Errorf("decode a task of the archive: %w", err)
	}
	d.Task.RequestHash, d.Task.CallbackURL = d.RequestHash, d.CallbackURL
	if d.Failure != nil {
		d.Failure.Raw = raw
	}
	return d.Task, nil
}

// maxIndexed bounds a text that stands in an index, in bytes: an index row has room for about 2,700.
const maxIndexed = 256

// indexed returns s as a column of an index can hold it: without NUL, valid UTF-8, and clipped. The task itself keeps the
// text as it is, and filters go through the same function.
func indexed(s string) string {
	s = storable(s)
	if len(s) > maxIndexed {
		s = strings.ToValidUTF8(s[:maxIndexed], "")
	}
	return s
}

// storable returns s as Postgres can store it in a text column.
func storable(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}

// maxSearched is how much of an error a search sees, in bytes.
const maxSearched = 4 << 10

// searched returns s as tasks.error holds it: searches go through the same function, so that case does not count, whatever the
// server's locale.
func searched(s string) string {
	if len(s) > maxSearched {
		s = s[:maxSearched]
	}
	return strings.ToLower(storable(s))
}

// labelDocument returns labels as they stand in tasks.labels: below the tenant, so that an entry of the index belongs to one
// tenant.
func labelDocument(tenant string, labels map[string]string) (string, error) {
	if len(labels) == 0 {
		return "{}", nil
	}
	clean := make(map[string]string, len(labels))
	for name, value := range labels {
		clean[storable(name)] = storable(value)
	}
	doc, err := json.Marshal(map[string]map[string]string{tenant: clean})
	if err != nil {
		return "", fmt.Errorf("%w: labels: %w", errUnstorable, err)
	}
	return string(doc), nil
}
