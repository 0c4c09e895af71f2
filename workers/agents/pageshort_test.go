package agents_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
)

// What the pages show of a result.
const (
	shownEntries = 2
	shownText    = 160 // characters
)

// shortened returns a result for reading: the order of its fields, the beginnings of its lists and texts.
func shortened(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, shorter(t, raw), "", "  "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func shorter(t *testing.T, raw json.RawMessage) json.RawMessage {
	t.Helper()
	raw = bytes.TrimSpace(raw)
	var b bytes.Buffer
	switch raw[0] {
	case '{':
		b.WriteByte('{')
		for i, m := range members(t, raw) {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(plain(t, m.name))
			b.WriteByte(':')
			b.Write(shorter(t, m.value))
		}
		b.WriteByte('}')
	case '[':
		b.WriteByte('[')
		list := decode[[]json.RawMessage](t, raw)
		for i, v := range list {
			if i > 0 {
				b.WriteByte(',')
			}
			if i == shownEntries {
				b.Write(plain(t, fmt.Sprintf("… %d more", len(list)-i)))
				break
			}
			b.Write(shorter(t, v))
		}
		b.WriteByte(']')
	case '"':
		text := []rune(decode[string](t, raw))
		if len(text) > shownText {
			text = append(text[:shownText-1], '…')
		}
		return plain(t, string(text))
	default:
		return raw
	}
	return b.Bytes()
}

// plain encodes a value without escapes for HTML.
func plain(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}
