package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// Body limits in bytes.
const (
	maxBody      = 256 << 10
	maxRawBody   = 1 << 20
	maxBatchBody = 8 << 20
)

// contract is the OpenAPI document as requests are held against it: looked up by method and Echo's route, with every schema
// compiled once. openapi3filter is not used for it, because on an OpenAPI 3.1 document it compiles the schemas anew for every
// request; BenchmarkContract has the figures.
type contract struct {
	operations map[route]*operation
	batchItem  *jsonschema.Schema
}

// Keys of operations about their bodies.
const (
	bodyKey = "x-max-body" // how many bytes it may have, where that is less than maxBody, or its handler checks it
	rawKey  = "x-raw-body" // its handler checks it, as it was sent: a signature is over its bytes
)

type route struct{ method, path string }

type operation struct {
	id      string
	rule    auth.Rule // who may
	kind    string    // whose input the body is; empty but on typed routes
	path    []*parameter
	query   map[string]*parameter
	headers []*parameter
	body    *body // nil when the operation takes none
}

type body struct {
	required   bool
	limit      int64
	mediaTypes []string
	schema     *jsonschema.Schema // nil where the handler checks what it reads
}

// documentURL is a name for the compiler only; nothing is fetched.
const documentURL = "mem:///openapi.json"

// methods are those of OpenAPI that operations may have.
var methods = []string{"get", "post", "put", "patch", "delete"}

// newContract compiles doc, which is made of plain JSON types, and gives each operation its rule. It fails when one has none, when a
// rule has no operation, and when rule and document do not agree on whether an operation needs no proof.
func newContract(doc object, rules map[string]auth.Rule) (*contract, error) {
	plain, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	c := &compilation{doc: parsed.(object), compiler: jsonschema.NewCompiler()}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource(documentURL, parsed); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	out := &contract{operations: map[route]*operation{}}
	if out.batchItem, err = c.body("/components/schemas/BatchItem"); err != nil {
		return nil, err
	}
	var ids []string
	for path, item := range c.doc["paths"].(object) {
		for _, method := range methods {
			if _, ok := item.(object)[method]; !ok {
				continue
			}
			op, err := c.operation("/paths/"+escape(path), method)
			if err != nil {
				return nil, fmt.Errorf("openapi: %s %s: %w", method, path, err)
			}
			rule, err := ruleOf(item.(object)[method].(object), rules)
			if err != nil {
				return nil, err
			}
			op.rule = rule
			if op.kind == "" {
				ids = append(ids, op.id)
			}
			out.operations[route{strings.ToUpper(method), echoPath(path)}] = op
		}
	}
	return out, checkRules(rules, ids)
}

// echoPath turns "/tasks/{id}" into "/api/v1/tasks/:id".
func echoPath(path string) string {
	return prefix + strings.NewReplacer("{", ":", "}", "").Replace(path)
}

func escape(token string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(token) }

type compilation struct {
	doc      object
	compiler *jsonschema.Compiler
}

func (c *compilation) operation(item, method string) (*operation, error) {
	at := item + "/" + method
	node, _ := c.resolve(at)
	op := &operation{query: map[string]*parameter{}}
	op.id, _ = node["operationId"].(string)
	op.kind, _ = node[kindKey].(string)
	for _, list := range []string{item + "/parameters", at + "/parameters"} {
		if err := c.parameters(op, list); err != nil {
			return nil, err
		}
	}
	if _, ok := node["requestBody"]; !ok {
		return op, nil
	}
	return op, c.requestBody(op, at+"/requestBody", node)
}

func (c *compilation) parameters(op *operation, list string) error {
	entries, _ := c.get(list).([]any)
	for i := range entries {
		node, at := c.resolve(fmt.Sprintf("%s/%d", list, i))
		schema, err := c.compiler.Compile(documentURL + "#" + at + "/schema")
		if err != nil {
			return err
		}
		shape, _ := c.resolve(at + "/schema")
		p := &parameter{name: node["name"].(string), schema: schema}
		p.kind, _ = shape["type"].(string)
		switch node["in"] {
		case "path":
			op.path = append(op.path, p)
		case "query":
			op.query[p.name] = p
		case "header":
			op.headers = append(op.headers, p)
		}
	}
	return nil
}

func (c *compilation) requestBody(op *operation, at string, operationNode object) error {
	node, at := c.resolve(at)
	content := node["content"].(object)
	op.body = &body{limit: maxBody, mediaTypes: slices.Sorted(maps.Keys(content))}
	op.body.required, _ = node["required"].(bool)
	if stated, ok := operationNode[bodyKey].(json.Number); ok {
		most := int64(maxBody)
		if operationNode[rawKey] == true {
			most = maxRawBody
		}
		limit, err := stated.Int64()
		if err != nil || limit < 1 || limit > most {
			return fmt.Errorf("%s is %s, must be 1 to %d", bodyKey, stated, most)
		}
		op.body.limit = limit
	}
	if operationNode[rawKey] == true {
		return nil
	}
	if operationNode["operationId"] == "SubmitBatch" {
		op.body.limit = maxBatchBody
		return nil
	}
	if _, typed := operationNode[kindKey]; typed {
		return nil
	}
	var err error
	op.body.schema, err = c.body(at + "/content/application~1json/schema")
	return err
}

func (c *compilation) body(at string) (*jsonschema.Schema, error) {
	_, at = c.resolve(at)
	return c.compiler.Compile(documentURL + "#" + at)
}

// resolve follows references from the JSON pointer at to an object, and says where that is.
func (c *compilation) resolve(at string) (object, string) {
	for {
		node, _ := c.get(at).(object)
		target, ok := node["$ref"].(string)
		if !ok {
			return node, at
		}
		at = strings.TrimPrefix(target, "#")
	}
}

// get returns what the JSON pointer at points to, or nil.
func (c *compilation) get(at string) any {
	var node any = c.doc
	for _, token := range strings.Split(at, "/")[1:] {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch v := node.(type) {
		case object:
			node = v[token]
		case []any:
			var i int
			if _, err := fmt.Sscanf(token, "%d", &i); err != nil || i < 0 || i >= len(v) {
				return nil
			}
			node = v[i]
		default:
			return nil
		}
	}
	return node
}
