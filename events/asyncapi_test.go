package events_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

// Every type is described, and every example on the wire is what the description says.
func TestAsyncAPI_DescribesWhatIsOnTheWire(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var parsed map[string]any
	if err := yaml.Unmarshal(data, &parsed); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(parsed) // gives the validator JSON's own types
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(asJSON, &doc); err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("asyncapi.json", doc); err != nil {
		t.Fatal(err)
	}
	messages := dig(t, doc, "components", "messages").(map[string]any)
	headers, err := compiler.Compile("asyncapi.json#/components/messageTraits/event/headers")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range payloads() {
		e := sample(t, p)
		var schema string
		for _, m := range messages {
			if dig(t, m, "name") == string(e.Type) {
				schema = dig(t, m, "payload", "$ref").(string)
			}
		}
		if schema == "" {
			t.Errorf("%s is not described", e.Type)
			continue
		}
		s, err := compiler.Compile("asyncapi.json" + schema)
		if err != nil {
			t.Fatal(err)
		}
		var body any
		if err := json.Unmarshal(e.Data, &body); err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(body); err != nil {
			t.Errorf("%s: %v", e.Type, err)
		}
		for field := range body.(map[string]any) {
			if _, ok := dig(t, doc, "components", "schemas", schema[len("#/components/schemas/"):], "properties").(map[string]any)[field]; !ok {
				t.Errorf("%s: field %q is not described", e.Type, field)
			}
		}
		header := map[string]any{}
		for k, v := range e.Header() {
			header[k] = v
		}
		if err := headers.Validate(header); err != nil {
			t.Errorf("%s: headers: %v", e.Type, err)
		}
	}
}

func dig(t *testing.T, v any, path ...string) any {
	t.Helper()
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("%v: %q is no object", path, key)
		}
		v = m[key]
	}
	return v
}
