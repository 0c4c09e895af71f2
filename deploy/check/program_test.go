package check_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var repository = filepath.Join("..", "..")

// program is what the source says of itself, as far as the chart repeats it.
type program struct {
	variables map[string]bool // names of environment variables
	commands  map[string]bool
	database  map[string]bool // roles that open it
	handBack  time.Duration   // after the drain, for handlers to settle
	margin    time.Duration   // that the router waits after the drain, with the hand-back inside
	apiDrain  time.Duration
	imageUser string
}

func readProgram(t *testing.T) program {
	t.Helper()
	p := program{
		variables: map[string]bool{}, commands: map[string]bool{},
		database: map[string]bool{"api": true, "migrate": true}, // they open it themselves
		handBack: duration(t, `setDefault\(&cfg\.HandBack, (\d+)\*time\.Second\)`, "nats", "subscriber.go"),
		margin:   duration(t, `drainMargin = (\d+) \* time\.Second`, "cmd", "toolboxai", "settings.go"),
		apiDrain: duration(t, `cfg\.Drain = (\d+) \* time\.Second`, "api", "server.go"),
	}
	roles, err := filepath.Glob(filepath.Join(repository, "cmd", "toolboxai", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range roles {
		for _, found := range regexp.MustCompile(`runRole\(ctx, "(\w+)", true`).FindAllStringSubmatch(read(t, "cmd", "toolboxai", filepath.Base(file)), -1) {
			p.database[found[1]] = true
		}
	}
	for _, field := range fields(t, "Config", "cmd", "toolboxai", "config.go") {
		if name := field.tag.Get("env"); name != "" {
			p.variables[name] = true
		}
	}
	for _, field := range fields(t, "commands", "cmd", "toolboxai", "main.go") {
		p.commands[strings.ToLower(field.name)] = true
	}
	if strings.Contains(read(t, "Dockerfile"), "static-debian12:nonroot") {
		p.imageUser = "65532" // of that image's passwd
	}
	return p
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{repository}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// duration returns the seconds that the source has where the expression's group is.
func duration(t *testing.T, expression string, path ...string) time.Duration {
	t.Helper()
	found := regexp.MustCompile(expression).FindStringSubmatch(read(t, path...))
	if found == nil {
		t.Fatalf("%v no longer says %s: see what the chart has to say instead", path, expression)
	}
	seconds, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(seconds) * time.Second
}

type field struct {
	name string
	tag  reflect.StructTag
}

// fields returns a struct's fields that have a tag.
func fields(t *testing.T, structure string, path ...string) []field {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "", read(t, path...), 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []field
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != structure {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			if f.Tag == nil || len(f.Names) == 0 {
				continue
			}
			tag, err := strconv.Unquote(f.Tag.Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, field{f.Names[0].Name, reflect.StructTag(tag)})
		}
		return false
	})
	if len(out) == 0 {
		t.Fatalf("%v has no struct %s", path, structure)
	}
	return out
}

// setElsewhere are the variables that are neither in config nor in secret.keys.
var setElsewhere = map[string]string{
	"HOST":                       "the container's own",
	"PORT":                       "the chart's",
	"OPS_ADDR":                   "the chart's",
	"NATS_INBOX":                 "secret.natsUserPerRole",
	"DRAIN_TIMEOUT":              "drainSeconds",
	"MAX_CONCURRENT_GENERATIONS": "workers[].slots",
	"WORKER_KINDS":               "workers[].kinds",
	"SKIP_AUTH":                  "nobody: for development",
}

// unsettable compares the variables that the program reads with those that the values can set.
func unsettable(p program, config, secrets map[string]bool) []string {
	var out []string
	for name := range p.variables {
		_, elsewhere := setElsewhere[name]
		if ways := count(config[name], secrets[name], elsewhere); ways != 1 {
			out = append(out, fmt.Sprintf("%s can be set in %d ways: name it in config or in secret.keys of values.schema.json", name, ways))
		}
	}
	for _, names := range []map[string]bool{config, secrets} {
		for name := range names {
			if !p.variables[name] {
				out = append(out, name+" can be set, and the program does not read it")
			}
		}
	}
	for name := range setElsewhere {
		if !p.variables[name] {
			out = append(out, name+" is the chart's to set, and the program does not read it")
		}
	}
	return out
}

func count(all ...bool) int {
	n := 0
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

func schemaVariables(t *testing.T) (config, secrets map[string]bool) {
	t.Helper()
	schema := parseValues(t, read(t, "deploy", "chart", "values.schema.json"))
	config, secrets = map[string]bool{}, map[string]bool{}
	for name := range dig(t, schema, "properties", "config", "properties").(map[string]any) {
		config[name] = true
	}
	for _, name := range dig(t, schema, "properties", "secret", "properties", "keys", "items", "enum").([]any) {
		secrets[name.(string)] = true
	}
	return config, secrets
}

func dig(t *testing.T, in any, path ...string) any {
	t.Helper()
	for _, name := range path {
		next, ok := in.(map[string]any)[name]
		if !ok {
			t.Fatalf("no %s of %v", name, path)
		}
		in = next
	}
	return in
}

func TestValues_CanSetEveryVariableThatTheProgramReads(t *testing.T) {
	t.Parallel()
	config, secrets := schemaVariables(t)
	for _, problem := range unsettable(readProgram(t), config, secrets) {
		t.Error(problem)
	}
}

func TestValues_AreNotCompleteWithoutAVariable(t *testing.T) {
	t.Parallel()
	p := readProgram(t)
	config, secrets := schemaVariables(t)
	before := len(unsettable(p, config, secrets))
	p.variables["BRAND_NEW"] = true
	config["TYPO"] = true
	delete(secrets, "JWT_SECRET_KEY")
	if added := len(unsettable(p, config, secrets)) - before; added != 3 {
		t.Errorf("%d of 3 faults were found", added)
	}
}
