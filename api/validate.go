package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// maxDetails bounds how many broken rules one answer lists.
const maxDetails = 20

// parameter is a query parameter or header of the contract.
type parameter struct {
	name   string
	kind   string // "string", "integer" or "array" of strings
	schema *jsonschema.Schema
}

// checkParameters holds the query and the declared headers of r against op. Unknown query parameters are refused, because a
// filter with a typing error would choose everything.
func (op *operation) checkParameters(r *http.Request) error {
	var details []fault.Detail
	if r.URL.RawQuery != "" {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return fault.InvalidField("query", "cannot be read: %v", err)
		}
		for _, name := range slices.Sorted(maps.Keys(query)) {
			p, ok := op.query[name]
			if !ok {
				details = append(details, fault.Detail{Field: clip(name), Reason: unknownReason(slices.Sorted(maps.Keys(op.query)))})
				continue
			}
			details = append(details, p.check(query[name])...)
		}
	}
	for _, p := range op.headers {
		if values := r.Header.Values(p.name); len(values) > 0 {
			details = append(details, p.check(values)...)
		}
	}
	if len(details) == 0 {
		return nil
	}
	return fault.InvalidFields(details[:min(len(details), maxDetails)])
}

func (p *parameter) check(values []string) []fault.Detail {
	if p.kind == "array" {
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		return schemaDetails(p.name, p.schema, nil, list)
	}
	if len(values) > 1 {
		return []fault.Detail{{Field: p.name, Reason: "stands more than once"}}
	}
	var value any = values[0]
	if p.kind == "integer" {
		if _, err := strconv.ParseInt(values[0], 10, 64); err != nil {
			return []fault.Detail{{Field: p.name, Reason: fmt.Sprintf("%q is no whole number", clip(values[0]))}}
		}
		value = json.Number(values[0])
	}
	return schemaDetails(p.name, p.schema, nil, value)
}

// checkBody holds raw against the rules of all bodies and against s.
func (s *bodySchema) checkBody(raw []byte) error {
	doc, err := task.ParseJSON("", raw)
	if err != nil {
		return err
	}
	if details := schemaDetails("", s.Schema, s.known, doc); details != nil {
		return fault.InvalidFields(details)
	}
	return nil
}

// schemaDetails returns a detail for each rule that value breaks. known names what the top level of an object may hold.
func schemaDetails(root string, schema *jsonschema.Schema, known []string, value any) []fault.Detail {
	err := schema.Validate(value)
	if err == nil {
		return nil
	}
	var broken *jsonschema.ValidationError
	if !errors.As(err, &broken) {
		return []fault.Detail{{Field: fieldName(root, nil), Reason: err.Error()}}
	}
	var details []fault.Detail
	printer := message.NewPrinter(language.English)
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			walk(cause)
		}
		if len(e.Causes) > 0 {
			return
		}
		add := func(reason string, tail ...string) {
			if len(details) < maxDetails {
				details = append(details, fault.Detail{Field: fieldName(root, slices.Concat(e.InstanceLocation, tail)), Reason: reason})
			}
		}
		switch k := e.ErrorKind.(type) {
		case *kind.AdditionalProperties:
			for _, name := range k.Properties {
				add(unknownReason(known), name)
			}
		case *kind.Required:
			for _, name := range k.Missing {
				add("is missing", name)
			}
		case *kind.Type:
			add(fmt.Sprintf("is of type %s, must be %s", k.Got, strings.Join(k.Want, " or ")))
		default:
			add(k.LocalizedString(printer))
		}
	}
	walk(broken)
	return details
}

func unknownReason(known []string) string {
	if len(known) == 0 {
		return "is unknown; there are no parameters"
	}
	return "is unknown; known are " + strings.Join(known, ", ")
}

// fieldName writes a path as people do: "labels.unit" or "kinds[0]".
func fieldName(root string, location []string) string {
	var b strings.Builder
	b.WriteString(root)
	for _, token := range location {
		if _, err := strconv.ParseUint(token, 10, 32); err == nil {
			b.WriteString("[" + token + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(clip(token))
	}
	if b.Len() == 0 {
		return "body"
	}
	return b.String()
}

func clip(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
