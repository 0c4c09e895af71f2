package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// maxMistakes bounds how many broken rules a model is told of at once.
const maxMistakes = 10

// checkedTool is a tool whose arguments can be checked.
type checkedTool struct {
	tool   Callable
	schema *jsonschema.Schema
}

// noSchemas keeps a tool's schema from reading files or asking servers.
type noSchemas struct{}

func (noSchemas) Load(url string) (any, error) {
	return nil, fmt.Errorf("%q is outside of the schema", clip(url, 100))
}

func compileSchema(raw json.RawMessage) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noSchemas{})
	if err := c.AddResource("tool:parameters", doc); err != nil {
		return nil, err
	}
	return c.Compile("tool:parameters")
}

// wrong says what is wrong with arguments, a line for each mistake; it is empty when nothing is.
func (t checkedTool) wrong(arguments json.RawMessage) string {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(arguments))
	if err != nil {
		return "- " + err.Error()
	}
	err = t.schema.Validate(value)
	var broken *jsonschema.ValidationError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &broken):
		return "- " + err.Error()
	}
	var lines []string
	printer := message.NewPrinter(language.English)
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			walk(cause)
		}
		if len(e.Causes) == 0 && len(lines) < maxMistakes {
			lines = append(lines, "- /"+clip(strings.Join(e.InstanceLocation, "/"), 100)+": "+clip(e.ErrorKind.LocalizedString(printer), 300))
		}
	}
	walk(broken)
	return strings.Join(lines, "\n")
}
