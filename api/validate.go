package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

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

// checkPath holds the parts of the path that value knows by name against op.
func (op *operation) checkPath(value func(name string) string) error {
	var details []fault.Detail
	for _, p := range op.path {
		details = append(details, p.check([]string{value(p.name)})...)
	}
	if len(details) == 0 {
		return nil
	}
	return fault.InvalidFields(details)
}

func (p *parameter) check(values []string) []fault.Detail {
	for _, v := range values {
		if strings.ContainsFunc(v, isControl) {
			return []fault.Detail{{Field: p.name, Reason: "holds control characters"}}
		}
	}
	if p.kind == "array" {
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		return task.SchemaDetails(p.name, p.schema, list)
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
	return task.SchemaDetails(p.name, p.schema, value)
}

// checkBody holds raw against the rules of all bodies and against schema.
func checkBody(schema *jsonschema.Schema, raw []byte) error {
	doc, err := task.ParseJSON("", raw)
	if err != nil {
		return err
	}
	if details := task.SchemaDetails("", schema, doc); details != nil {
		return fault.InvalidFields(details)
	}
	return nil
}

func unknownReason(known []string) string {
	if len(known) == 0 {
		return "is unknown; there are no parameters"
	}
	return "is unknown; known are " + strings.Join(known, ", ")
}

func clip(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) > 64 {
		return clipTo(s, 64) + "…"
	}
	return s
}

// clipTo returns the beginning of s, of at most n bytes of valid UTF-8.
func clipTo(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "")
}
