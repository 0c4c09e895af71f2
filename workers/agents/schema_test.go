package agents_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/agents"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// TestAll_SchemasAreOpenAPI loads every schema as OpenAPI does, and holds an example and its result against it.
func TestAll_SchemasAreOpenAPI(t *testing.T) {
	t.Parallel()
	all, err := agents.All(offline())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		t.Run(a.Kind().Name, func(t *testing.T) {
			t.Parallel()
			got, _ := workerstest.Work(t, a, a.Kind().Example)
			for name, c := range map[string]struct{ schema, example json.RawMessage }{
				"input": {a.Kind().InputSchema, a.Kind().Example}, "output": {a.Kind().OutputSchema, got.Result},
			} {
				schema := decode[openapi3.Schema](t, c.schema)
				if err := schema.Validate(context.Background()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if err := schema.VisitJSON(decode[any](t, c.example)); err != nil {
					t.Errorf("%s: the example: %v", name, err)
				}
				checkWords(t, name, decode[any](t, c.schema))
			}
		})
	}
}

// checkWords allows only the keywords that JSON Schema 2020-12 and OpenAPI 3.0 read alike.
func checkWords(t *testing.T, path string, schema any) {
	t.Helper()
	known := []string{
		"type", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern", "items", "minItems", "maxItems", "properties", "required",
		"additionalProperties", "maxProperties", "default", "description", "oneOf", "anyOf",
	}
	for word, value := range schema.(object) {
		if !slices.Contains(known, word) {
			t.Errorf("%s uses %q", path, word)
		}
		switch v := value.(type) {
		case object:
			if word != "properties" {
				if word != "default" {
					checkWords(t, path+"."+word, v)
				}
				continue
			}
			for name, property := range v {
				checkWords(t, path+"."+name, property)
			}
		case []any:
			if word == "oneOf" || word == "anyOf" {
				for _, branch := range v {
					checkWords(t, path+"."+word, branch)
				}
			}
		}
	}
}

// TestAll_InputSchemasNameTheField checks that a client is told which field is wrong, and why.
func TestAll_InputSchemasNameTheField(t *testing.T) {
	t.Parallel()
	all, err := agents.All(offline())
	if err != nil {
		t.Fatal(err)
	}
	var kinds []task.Kind
	for _, a := range all {
		kinds = append(kinds, a.Kind())
	}
	catalog, err := task.NewCatalog(kinds)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ kind, field, value, at, reason string }{
		{"content", "grade_level", `13`, "input.grade_level", "value must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 'K-2', '3-5', '6-8', '9-12'"},
		{"content", "objectives", `[]`, "input.objectives", "minItems: got 0, want 1"},
		{"content", "duration_minutes", `4`, "input.duration_minutes", "minimum: got 4, want 5"},
		{"content", "max_students", `101`, "input.max_students", "maximum: got 101, want 100"},
		{"content", "environment_type", `"moon"`, "input.environment_type", "value must be one of 'classroom', 'laboratory', 'outdoor', 'historical', 'futuristic', 'underwater', 'space_station', 'fantasy', 'custom'"},
		{"content", "color", `"red"`, "input.color", "is unknown"},
		{"quiz", "num_questions", `51`, "input.num_questions", "maximum: got 51, want 50"},
		{"quiz", "time_limit", `59`, "input.time_limit", "minimum: got 59, want 60"},
		{"quiz", "question_types", `["essay"]`, "input.question_types[0]", "value must be one of 'multiple_choice', 'true_false', 'short_answer', 'fill_blank', 'matching', 'ordering'"},
		{"terrain", "size", `"huge"`, "input.size", "value must be one of 'small', 'medium', 'large', 'xlarge'"},
		{"code_review", "language", `"cobol"`, "input.language", "value must be one of 'luau', 'lua', 'javascript', 'typescript', 'python'"},
		{"code_review", "review_type", `"style"`, "input.review_type", "value must be one of 'security', 'performance', 'comprehensive'"},
		{"code_review", "code", `" "`, "input.code", `' ' does not match pattern '[\\p{L}\\p{N}]'`},
		{"roblox_testing", "test_type", `"smoke"`, "input.test_type", "value must be one of 'functional', 'performance', 'security'"},
		{"roblox_testing", "test_data", `{"metrics":{"fps":-1}}`, "input.test_data.metrics.fps", "minimum: got -1, want 0"},
		{"roblox_asset", "asset_type", `"Hat"`, "input.asset_type", "value must be one of 'Animation', 'Audio', 'Decal', 'Image', 'Mesh', 'Model', 'Video'"},
		{"roblox_asset", "action", `"publish"`, "input.action", "value must be one of 'create', 'update', 'delete', 'analyze'"},
		{"roblox_asset", "asset_data", `{"size_bytes":-1}`, "input.asset_data.size_bytes", "minimum: got -1, want 0"},
		{"roblox_analytics", "data_type", `"sales"`, "input.data_type", "value must be one of 'player_behavior', 'performance', 'learning'"},
		{"roblox_analytics", "analysis_data", `{"records":[1]}`, "input.analysis_data.records[0]", "is of type number, must be object"},
		{"script", "script_type", `"Script"`, "input.script_type", "value must be one of 'ServerScript', 'LocalScript', 'ModuleScript'"},
		{"script", "functionality", `" "`, "input.functionality", `' ' does not match pattern '[\\p{L}\\p{N}]'`},
	} {
		t.Run(c.kind+"/"+c.field, func(t *testing.T) {
			t.Parallel()
			kind, err := catalog.Resolve(c.kind)
			if err != nil {
				t.Fatal(err)
			}
			input := decode[map[string]json.RawMessage](t, kind.Example)
			input[c.field] = json.RawMessage(c.value)
			var f *fault.Error
			err = catalog.CheckInput(c.kind, encode(t, input))
			if !errors.As(err, &f) || len(f.Details) != 1 || f.Details[0].Field != c.at || !strings.HasPrefix(f.Details[0].Reason, c.reason) {
				t.Errorf("got %v, want %s: %s", err, c.at, c.reason)
			}
		})
	}
}

// TestAll_DefaultsAreThoseOfTheSchema gives each agent an input with nothing but what is required, and one that spells the
// schema's defaults out.
func TestAll_DefaultsAreThoseOfTheSchema(t *testing.T) {
	t.Parallel()
	all, err := agents.All(offline())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		t.Run(a.Kind().Name, func(t *testing.T) {
			t.Parallel()
			schema := decode[struct {
				Required   []string
				Properties map[string]struct{ Default json.RawMessage }
			}](t, a.Kind().InputSchema)
			short := decode[map[string]json.RawMessage](t, a.Kind().Example)
			maps.DeleteFunc(short, func(name string, _ json.RawMessage) bool { return !slices.Contains(schema.Required, name) })
			long := maps.Clone(short)
			for name, p := range schema.Properties {
				if p.Default != nil {
					long[name] = p.Default
				}
			}
			if len(long) == len(short) {
				t.Fatal("the schema has no defaults")
			}
			left, _ := workerstest.Work(t, a, encode(t, short))
			right, _ := workerstest.Work(t, a, encode(t, long))
			if string(left.Result) != string(right.Result) || left.State != task.Completed {
				t.Errorf("state %s: %s\nand %s", left.State, left.Result, right.Result)
			}
		})
	}
}
