package task

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// maxDetails bounds how many broken rules one answer lists.
const maxDetails = 20

// SchemaDetails returns a detail for each rule of schema that value breaks, nil when it breaks none. Fields are paths below
// root as people write them, such as "input.objectives[0]"; root may be empty for a whole body. value is as ParseJSON returns it.
func SchemaDetails(root string, schema *jsonschema.Schema, value any) []fault.Detail {
	err := schema.Validate(value)
	if err == nil {
		return nil
	}
	var broken *jsonschema.ValidationError
	if !errors.As(err, &broken) {
		return []fault.Detail{{Field: fieldPath(root, nil), Reason: err.Error()}}
	}
	var details []fault.Detail
	add := func(location []string, reason string, tail ...string) {
		if len(details) < maxDetails {
			details = append(details, fault.Detail{Field: fieldPath(root, slices.Concat(location, tail)), Reason: reason})
		}
	}
	printer := message.NewPrinter(language.English)
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			walk(cause)
		}
		if len(e.Causes) > 0 {
			return
		}
		switch k := e.ErrorKind.(type) {
		case *kind.AdditionalProperties:
			reason := "is unknown"
			if len(e.InstanceLocation) == 0 {
				reason += "; known are " + strings.Join(knownFields(schema), ", ")
			}
			for _, name := range k.Properties {
				add(e.InstanceLocation, reason, name)
			}
		case *kind.Required:
			for _, name := range k.Missing {
				add(e.InstanceLocation, "is missing", name)
			}
		case *kind.Type:
			add(e.InstanceLocation, fmt.Sprintf("is of type %s, must be %s", k.Got, strings.Join(k.Want, " or ")))
		default:
			add(e.InstanceLocation, k.LocalizedString(printer))
		}
	}
	walk(broken)
	return details
}

// knownFields returns what an object of the schema may hold.
func knownFields(s *jsonschema.Schema) []string {
	for len(s.Properties) == 0 && s.Ref != nil {
		s = s.Ref
	}
	return slices.Sorted(maps.Keys(s.Properties))
}

// fieldPath writes the way to a value as people do: "labels.unit" or "kinds[0]".
func fieldPath(root string, location []string) string {
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
		b.WriteString(strings.ReplaceAll(clip(token), "\x00", "\uFFFD"))
	}
	if b.Len() == 0 {
		return "body"
	}
	return b.String()
}

func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
