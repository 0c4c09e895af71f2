package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/task"
)

//go:embed openapi.yaml
var source []byte

// prefix stands before every path of the document.
const prefix = "/api/v1"

// kindKey marks an operation whose body is the input of the kind that it names.
const kindKey = "x-kind"

// object is a JSON object.
type object = map[string]any

// newDocument returns the OpenAPI document of a deployment: openapi.yaml, for each kind its schemas and typed routes, and for each
// operation who may, as the rules have it.
func newDocument(kinds []task.Kind, rules map[string]auth.Rule) (object, error) {
	var doc object
	if err := yaml.Unmarshal(source, &doc); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	dropGoTypes(doc)
	paths := doc["paths"].(object)
	schemas := doc["components"].(object)["schemas"].(object)
	examples := object{}
	for _, k := range kinds {
		if err := addKind(paths, schemas, examples, k); err != nil {
			return nil, fmt.Errorf("openapi: kind %s: %w", k.Name, err)
		}
	}
	if err := describeAccess(doc, rules); err != nil {
		return nil, err
	}
	submit := paths["/tasks"].(object)["post"].(object)
	submit["requestBody"].(object)["content"].(object)["application/json"].(object)["examples"] = examples
	return doc, nil
}

func addKind(paths, schemas, examples object, k task.Kind) error {
	input, output := schemaName(k.Name)+"Input", schemaName(k.Name)+"Output"
	for name, schema := range map[string]json.RawMessage{input: k.InputSchema, output: k.OutputSchema} {
		if _, taken := schemas[name]; taken {
			return fmt.Errorf("the schema name %s is taken", name)
		}
		component, err := componentSchema(name, schema)
		if err != nil {
			return err
		}
		schemas[name] = component
	}
	var example any
	if err := json.Unmarshal(k.Example, &example); err != nil {
		return fmt.Errorf("example: %w", err)
	}
	examples[k.Name] = object{"summary": k.Title, "value": object{"kind": k.Name, "input": example}}
	for i, route := range k.Routes {
		if _, taken := paths[route]; taken {
			return fmt.Errorf("the route %s is taken", route)
		}
		id := "Submit" + schemaName(k.Name)
		if i > 0 {
			id += strconv.Itoa(i + 1)
		}
		paths[route] = object{"post": typedOperation(k, id, input, output, example)}
	}
	return nil
}

func typedOperation(k task.Kind, id, input, output string, example any) object {
	answer := func(description string, headers ...string) object {
		h := object{}
		for _, name := range headers {
			h[name] = ref("headers", strings.ReplaceAll(name, "-", ""))
		}
		return object{"description": description, "headers": h, "content": object{"application/json": object{"schema": ref("schemas", "SubmittedAnswer")}}}
	}
	return object{
		"operationId": id, "tags": []any{"agents"}, kindKey: k.Name,
		"summary":     "Submit: " + k.Title,
		"description": k.Description + " The body is the input; the task's result will be a `" + output + "`. Otherwise as `POST /tasks`.",
		"parameters":  []any{ref("parameters", "IdempotencyKey"), ref("parameters", "TypedPriority"), ref("parameters", "TypedDeadline"), ref("parameters", "TypedRunAt")},
		"requestBody": object{"required": true, "content": object{"application/json": object{"schema": ref("schemas", input), "example": example}}},
		"responses": object{
			"202":     answer("The new task.", "Location"),
			"200":     answer("The task that an earlier request with the same Idempotency-Key made, as it stands now.", "Location", "Idempotent-Replayed"),
			"default": ref("responses", "Error"),
		},
	}
}

func ref(section, name string) object { return object{"$ref": "#/components/" + section + "/" + name} }

// schemaName turns "code_review" into "CodeReview".
func schemaName(kind string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(kind, func(c rune) bool { return c == '_' || c == '-' }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// componentSchema moves a kind's schema into the document: its references to itself must point to its new place.
func componentSchema(name string, schema json.RawMessage) (any, error) {
	var s any
	if err := json.Unmarshal(schema, &s); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	if root, ok := s.(object); ok {
		delete(root, "$schema")
		delete(root, "$id")
	}
	rebase(s, "#/components/schemas/"+name)
	return s, nil
}

func rebase(node any, root string) {
	switch v := node.(type) {
	case object:
		if target, ok := v["$ref"].(string); ok && strings.HasPrefix(target, "#") {
			v["$ref"] = root + strings.TrimPrefix(target, "#")
		}
		for _, child := range v {
			rebase(child, root)
		}
	case []any:
		for _, child := range v {
			rebase(child, root)
		}
	}
}

// dropGoTypes removes what only the code generator reads.
func dropGoTypes(node any) {
	switch v := node.(type) {
	case object:
		for name, child := range v {
			if strings.HasPrefix(name, "x-go-") {
				delete(v, name)
				continue
			}
			dropGoTypes(child)
		}
	case []any:
		for _, child := range v {
			dropGoTypes(child)
		}
	}
}
