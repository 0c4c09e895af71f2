package task

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Kind describes one sort of task: what it is called, what it takes and what it gives.
type Kind struct {
	Name         string          // a subject token: "quiz"
	Aliases      []string        // older names that are still accepted
	Title        string          // for people: "Quiz"
	Description  string          // one sentence
	Routes       []string        // typed routes below /api/v1: "/agents/quiz/generate"
	InputSchema  json.RawMessage // JSON Schema 2020-12 of Task.Input, an object
	OutputSchema json.RawMessage // JSON Schema 2020-12 of Task.Result, an object
	Example      json.RawMessage // an input that is valid
	// Internal kinds are submitted by the platform itself, as a part of something else: no caller may name one. Their tasks are private.
	Internal bool
}

// Catalog is the list of kinds that a deployment serves. It is immutable and safe for concurrent use.
type Catalog struct {
	kinds   []Kind // all
	public  []Kind
	byName  map[string]int
	inputs  []*jsonschema.Schema
	outputs []*jsonschema.Schema
}

// NewCatalog compiles the schemas of kinds and checks their names and examples.
func NewCatalog(kinds []Kind) (*Catalog, error) {
	c := &Catalog{kinds: kinds, byName: map[string]int{}}
	for i, k := range kinds {
		if err := events.CheckToken("kind", k.Name); err != nil {
			return nil, err
		}
		for _, name := range append([]string{k.Name}, k.Aliases...) {
			if _, taken := c.byName[name]; taken || name == UnknownKind {
				return nil, fmt.Errorf("kind %s: the name %q is taken", k.Name, name)
			}
			c.byName[name] = i
		}
		in, err := compile(k.Name+"/input.json", k.InputSchema)
		if err != nil {
			return nil, err
		}
		out, err := compile(k.Name+"/output.json", k.OutputSchema)
		if err != nil {
			return nil, err
		}
		c.inputs, c.outputs = append(c.inputs, in), append(c.outputs, out)
		if !k.Internal {
			c.public = append(c.public, k)
		}
		if err := c.CheckInput(k.Name, k.Example); err != nil {
			return nil, fmt.Errorf("kind %s: example: %w", k.Name, err)
		}
	}
	return c, nil
}

func compile(name string, schema json.RawMessage) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", name, err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(name, doc); err != nil {
		return nil, fmt.Errorf("schema %s: %w", name, err)
	}
	s, err := compiler.Compile(name)
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", name, err)
	}
	return s, nil
}

// Kinds returns the kinds that callers may name, in their order of registration. The slice is shared: do not change it.
func (c *Catalog) Kinds() []Kind { return c.public }

// All returns all kinds, the internal ones among them, in their order of registration. The slice is shared: do not change it.
func (c *Catalog) All() []Kind { return c.kinds }

// Internal returns the internal kind with the given name, or an Invalid fault.
func (c *Catalog) Internal(name string) (Kind, error) {
	if i, ok := c.byName[name]; ok && c.kinds[i].Internal {
		return c.kinds[i], nil
	}
	return Kind{}, fault.InvalidField("kind", "%q is no internal kind", clip(name))
}

// Resolve returns the kind with the given name or alias that callers may name, or an Invalid fault that lists the kinds.
func (c *Catalog) Resolve(name string) (Kind, error) {
	if i, ok := c.byName[name]; ok && !c.kinds[i].Internal {
		return c.kinds[i], nil
	}
	names := make([]string, len(c.public))
	for i, k := range c.public {
		names[i] = k.Name
	}
	slices.Sort(names)
	return Kind{}, fault.InvalidField("kind", "%q is unknown; the kinds are %s", clip(name), strings.Join(names, ", "))
}

// ResolveAll returns the names of the kinds that the given names and aliases stand for. UnknownKind stands for itself.
func (c *Catalog) ResolveAll(names []string) ([]string, error) {
	out := make([]string, 0, len(names))
	for _, name := range names {
		if name != UnknownKind {
			kind, err := c.Resolve(name)
			if err != nil {
				return nil, err
			}
			name = kind.Name
		}
		out = append(out, name)
	}
	return out, nil
}

// CheckInput holds input against the rules of CheckJSON and the kind's schema. The Invalid fault names every field that is wrong as a path below
// "input", such as "input.objectives[0]".
func (c *Catalog) CheckInput(kind string, input json.RawMessage) error {
	i, ok := c.byName[kind]
	if !ok {
		_, err := c.Resolve(kind)
		return err
	}
	return validate("input", c.inputs[i], input)
}

// CheckResult holds a result against the same rules and the kind's schema. The Invalid fault names the fields as paths below "result".
func (c *Catalog) CheckResult(kind string, result json.RawMessage) error {
	i, ok := c.byName[kind]
	if !ok {
		_, err := c.Resolve(kind)
		return err
	}
	return validate("result", c.outputs[i], result)
}

func validate(root string, schema *jsonschema.Schema, data json.RawMessage) error {
	doc, err := ParseJSON(root, data)
	if err != nil {
		return err
	}
	if details := SchemaDetails(root, schema, doc); details != nil {
		return fault.InvalidFields(details)
	}
	return nil
}
