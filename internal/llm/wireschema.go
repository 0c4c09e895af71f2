package llm

import "encoding/json"

// keywords is what a provider takes in the schema of an answer.
type keywords struct {
	kept    map[string]bool
	minimal bool // minItems may be 0 or 1 only
	// total wants every property to be required.
	total bool
}

func keep(words ...string) map[string]bool {
	kept := map[string]bool{}
	for _, w := range words {
		kept[w] = true
	}
	return kept
}

var (
	openaiKeywords = keywords{total: true, kept: keep("type", "description", "title", "properties", "required", "additionalProperties", "items",
		"enum", "const", "anyOf", "$ref", "$defs", "definitions", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
		"minItems", "maxItems")}
	anthropicKeywords = keywords{minimal: true, kept: keep("type", "description", "title", "properties", "required", "additionalProperties",
		"items", "enum", "const", "anyOf", "$ref", "$defs", "definitions", "minItems")}
	// cannot be left out: what they allow cannot be said otherwise.
	essential = keep("oneOf", "allOf", "not", "if", "patternProperties", "prefixItems", "dependentSchemas", "dependentRequired",
		"$dynamicRef", "unevaluatedProperties", "contains")
)

const maxSchemaDepth = 32

// wireSchema returns what a provider is told of schema, and true when that is enough to hold an answer to it strictly. Bounds
// that the provider does not know (the length of a text) are left out, which allows more: who asks validates. Objects are
// closed, which allows less. Where more than that would have to change, it returns schema as it is, and false.
func wireSchema(schema json.RawMessage, k keywords) (json.RawMessage, bool) {
	var root any
	if json.Unmarshal(schema, &root) != nil {
		return schema, false
	}
	told, ok := k.schema(root, 0)
	if !ok {
		return schema, false
	}
	out, err := json.Marshal(told)
	if err != nil {
		return schema, false
	}
	return out, true
}

func (k keywords) schema(v any, depth int) (map[string]any, bool) {
	in, ok := v.(map[string]any)
	if !ok || depth > maxSchemaDepth {
		return nil, false
	}
	out := map[string]any{}
	for word, value := range in {
		if essential[word] {
			return nil, false
		}
		if !k.kept[word] {
			continue
		}
		told, ok := k.value(word, value, depth)
		if !ok {
			return nil, false
		}
		if told != nil {
			out[word] = told
		}
	}
	if !said(out) {
		return nil, false
	}
	return out, k.close(out)
}

// said reports whether a schema says what it is about: providers refuse one for anything.
func said(schema map[string]any) bool {
	for _, word := range []string{"type", "anyOf", "enum", "const", "$ref"} {
		if schema[word] != nil {
			return true
		}
	}
	return false
}

// value tells of one keyword; nil leaves it out.
func (k keywords) value(word string, v any, depth int) (any, bool) {
	switch word {
	case "items":
		return k.nested(v, depth)
	case "properties", "$defs", "definitions":
		in, ok := v.(map[string]any)
		out := map[string]any{}
		for name, sub := range in {
			if out[name], ok = k.nested(sub, depth); !ok {
				return nil, false
			}
		}
		return out, ok
	case "anyOf":
		in, ok := v.([]any)
		out := make([]any, len(in))
		for i, sub := range in {
			if out[i], ok = k.nested(sub, depth); !ok {
				return nil, false
			}
		}
		return out, ok
	case "minItems":
		if n, _ := v.(float64); k.minimal && n > 1 {
			return 1, true
		}
	}
	return v, true
}

func (k keywords) nested(v any, depth int) (any, bool) { return k.schema(v, depth+1) }

// close closes an object. One that is open cannot be told, and where all properties must be there, one that may lack some.
func (k keywords) close(schema map[string]any) bool {
	properties, has := schema["properties"].(map[string]any)
	if schema["type"] != "object" {
		return !has
	}
	extra, open := schema["additionalProperties"]
	if !has || open && extra != false {
		return false
	}
	schema["additionalProperties"] = false
	if !k.total {
		return true
	}
	required, _ := schema["required"].([]any)
	names := map[string]bool{}
	for _, name := range required {
		if s, ok := name.(string); ok {
			names[s] = true
		}
	}
	for name := range properties {
		if !names[name] {
			return false
		}
	}
	return true
}
