package agents_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// field is a row of a table of fields.
type field struct{ Path, Type, Default, Limits, About string }

// schemaNode is what the pages show of a JSON Schema.
type schemaNode struct {
	Type        json.RawMessage       `json:"type"`
	Description string                `json:"description"`
	Enum        []json.RawMessage     `json:"enum"`
	Const       json.RawMessage       `json:"const"`
	Default     json.RawMessage       `json:"default"`
	Required    []string              `json:"required"`
	Properties  json.RawMessage       `json:"properties"`
	Items       *schemaNode           `json:"items"`
	AnyOf       []schemaNode          `json:"anyOf"`
	OneOf       []schemaNode          `json:"oneOf"`
	Ref         string                `json:"$ref"`
	Defs        map[string]schemaNode `json:"$defs"`
	MinLength   *json.Number          `json:"minLength"`
	MaxLength   *json.Number          `json:"maxLength"`
	MinItems    *json.Number          `json:"minItems"`
	MaxItems    *json.Number          `json:"maxItems"`
	Minimum     *json.Number          `json:"minimum"`
	Maximum     *json.Number          `json:"maximum"`
}

// maxFieldDepth is how deep the tables of fields go: what lies deeper is in the schema.
const maxFieldDepth = 2

func fieldsOf(t *testing.T, schema json.RawMessage) []field {
	t.Helper()
	root := decode[schemaNode](t, schema)
	return root.fields(t, root.Defs, "", 0)
}

func (n schemaNode) fields(t *testing.T, defs map[string]schemaNode, prefix string, depth int) []field {
	t.Helper()
	if len(n.Properties) == 0 || depth > maxFieldDepth {
		return nil
	}
	var out []field
	for _, m := range members(t, n.Properties) {
		node := decode[schemaNode](t, m.value).resolved(defs)
		f := field{Path: prefix + m.name, Type: node.kind(defs), Limits: node.limits(), About: cell(node.Description)}
		switch {
		case node.Default != nil:
			f.Default = "`" + cell(string(node.Default)) + "`"
		case slices.Contains(n.Required, m.name):
			f.Default = "required"
		}
		out = append(out, f)
		inner, path := node, prefix+m.name
		if node.Items != nil {
			inner, path = node.Items.resolved(defs), path+"[]"
		}
		out = append(out, inner.fields(t, defs, path+".", depth+1)...)
	}
	return out
}

func (n schemaNode) resolved(defs map[string]schemaNode) schemaNode {
	if name, ok := strings.CutPrefix(n.Ref, "#/$defs/"); ok {
		there := defs[name]
		if n.Description != "" {
			there.Description = n.Description
		}
		return there
	}
	return n
}

// kind says what a field is in a few words.
func (n schemaNode) kind(defs map[string]schemaNode) string {
	n = n.resolved(defs)
	switch {
	case len(n.AnyOf)+len(n.OneOf) > 0:
		var parts []string
		for _, one := range append(n.AnyOf, n.OneOf...) {
			if part := one.kind(defs); !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
		}
		return strings.Join(parts, " or ")
	case n.Items != nil:
		return "list of " + n.Items.kind(defs)
	case n.Enum != nil:
		return "one of a list"
	case n.Const != nil:
		return "`" + string(n.Const) + "`"
	}
	var one string
	if json.Unmarshal(n.Type, &one) == nil {
		return one
	}
	var several []string
	if json.Unmarshal(n.Type, &several) == nil {
		return strings.Join(several, " or ")
	}
	return "any"
}

// limits says the bounds of a field.
func (n schemaNode) limits() string {
	var out []string
	between := func(least, most *json.Number, unit string) {
		switch {
		case least != nil && most != nil && *least == *most:
			out = append(out, fmt.Sprintf("%s%s", *most, unit))
		case least != nil && most != nil:
			out = append(out, fmt.Sprintf("%s to %s%s", *least, *most, unit))
		case most != nil:
			out = append(out, fmt.Sprintf("at most %s%s", *most, unit))
		case least != nil:
			out = append(out, fmt.Sprintf("at least %s%s", *least, unit))
		}
	}
	for _, v := range n.Enum {
		out = append(out, "`"+strings.Trim(string(v), `"`)+"`")
	}
	between(n.Minimum, n.Maximum, "")
	between(n.MinLength, n.MaxLength, " characters")
	between(n.MinItems, n.MaxItems, " entries")
	if n.Items != nil {
		for _, v := range n.Items.Enum {
			out = append(out, "`"+strings.Trim(string(v), `"`)+"`")
		}
		if n.Items.MaxLength != nil {
			out = append(out, fmt.Sprintf("each at most %s characters", *n.Items.MaxLength))
		}
	}
	return cell(strings.Join(out, ", "))
}

// cell keeps a text from ending a cell of a table.
func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}

// member is a field of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// members returns the fields of a JSON object in their order.
func members(t *testing.T, raw json.RawMessage) []member {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var out []member
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var m member
		m.name, _ = name.(string)
		if err := d.Decode(&m.value); err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}
