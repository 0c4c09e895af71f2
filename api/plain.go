package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/task"
)

// decodePlain decodes raw and reports whether it provably breaks none of the rules of task.CheckJSON, at a third of its cost:
// the value is needed anyway, and everything but a repeated key can be seen in it. A repeated key is lost in decoding, so that
// the value has fewer keys than the text has colons. When it reports false, CheckJSON has the verdict and says why.
func decodePlain(raw []byte) (doc any, plain bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		return nil, false
	}
	rest := bytes.TrimLeft(raw[d.InputOffset():], " \t\r\n")
	keys, ok := countKeys(doc, 0)
	return doc, ok && len(rest) == 0 && utf8.Valid(raw) && keys == countColons(raw)
}

// countKeys returns how many keys all objects in v have together. It fails for a NUL in a string and for too deep nesting.
func countKeys(v any, depth int) (keys int, ok bool) {
	switch v := v.(type) {
	case string:
		return 0, strings.IndexByte(v, 0) < 0
	case object:
		if depth >= task.MaxDepth {
			return 0, false
		}
		keys = len(v)
		for name, child := range v {
			inner, ok := countKeys(child, depth+1)
			if !ok || strings.IndexByte(name, 0) >= 0 {
				return 0, false
			}
			keys += inner
		}
	case []any:
		if depth >= task.MaxDepth {
			return 0, false
		}
		for _, child := range v {
			inner, ok := countKeys(child, depth+1)
			if !ok {
				return 0, false
			}
			keys += inner
		}
	}
	return keys, true
}

// countColons returns how many colons of the valid JSON text raw are outside of strings: one for each key.
func countColons(raw []byte) int {
	colons, inString := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			inString = !inString
		case c == '\\':
			i++
		case c == ':' && !inString:
			colons++
		}
	}
	return colons
}
