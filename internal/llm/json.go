package llm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// maxStarts bounds at how many places of a text the search for a JSON value may begin: every failed try reads on to its
// first mistake, so that without a bound a long run of brackets costs the square of its length.
const maxStarts = 64

// instruction is what a request for JSON adds to the system text. It names JSON, without which OpenAI refuses JSON mode.
func instruction(schema json.RawMessage) string {
	var compact bytes.Buffer
	if json.Compact(&compact, schema) != nil {
		compact.Reset()
		compact.Write(schema)
	}
	return "Answer with exactly one JSON value that satisfies this JSON Schema, and with nothing else: no prose, no code fences.\n" +
		compact.String()
}

// asksObject reports whether every value that satisfies schema is an object, which is all that JSON modes can promise.
func asksObject(schema json.RawMessage) bool {
	var root struct {
		Type any `json:"type"`
	}
	return json.Unmarshal(schema, &root) == nil && root.Type == "object"
}

// extractJSON returns the one JSON value that text holds, without reasoning, fences and prose around it. Where objectOnly
// is set, lists and scalars in the prose do not count. It fails with ErrNoJSON when there is no value, or more than one.
func extractJSON(text string, objectOnly bool) (string, error) {
	text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	if rest, ok := strings.CutPrefix(text, "<think>"); ok {
		if _, after, closed := strings.Cut(rest, "</think>"); closed {
			text = strings.TrimSpace(after)
		}
	}
	if json.Valid([]byte(text)) {
		return text, nil
	}
	if inner, ok := fenced(text); ok && json.Valid([]byte(inner)) {
		return inner, nil
	}
	return embedded(text, objectOnly)
}

// fenced returns the content of the only code fence in text.
func fenced(text string) (string, bool) {
	_, rest, ok := strings.Cut(text, "```")
	if !ok || strings.Count(rest, "```") != 1 {
		return "", false
	}
	inner, _, _ := strings.Cut(rest, "```")
	if first, body, ok := strings.Cut(inner, "\n"); ok && !strings.ContainsAny(first, "{[\"") {
		inner = body // the first line names the language
	}
	return strings.TrimSpace(inner), true
}

// embedded returns the only object or list within prose.
func embedded(text string, objectOnly bool) (string, error) {
	openers := "{["
	if objectOnly {
		openers = "{"
	}
	found, rest := "", text
	for range maxStarts {
		i := strings.IndexAny(rest, openers)
		if i < 0 {
			break
		}
		rest = rest[i:]
		var value json.RawMessage
		switch err := json.NewDecoder(strings.NewReader(rest)).Decode(&value); {
		case err == nil && found == "":
			found, rest = string(value), rest[len(value):]
		case err == nil:
			return "", fmt.Errorf("%w: there are several", ErrNoJSON)
		case beginsJSON(rest):
			return "", fmt.Errorf("%w: %w", ErrNoJSON, err)
		default: // a bracket of the prose
			rest = rest[1:]
		}
	}
	if found == "" || strings.ContainsAny(rest, openers) {
		return "", ErrNoJSON
	}
	return found, nil
}

// beginsJSON tells broken JSON from a bracket in prose. Without it the search would go on inside the broken value and
// return a part of it.
func beginsJSON(s string) bool {
	next := strings.TrimLeft(s[1:], " \t\r\n")
	if s[0] == '{' {
		return strings.HasPrefix(next, `"`)
	}
	return next != "" && strings.ContainsRune(`{["`, rune(next[0]))
}
