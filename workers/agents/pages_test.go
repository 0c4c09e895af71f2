package agents_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// docs is where the pages of kinds are.
const docs = "../../docs/kinds"

// wholeResults are the kinds whose example is in the docs as a whole.
var wholeResults = []string{"content", "quiz", "script"}

// TestPages_TellWhatTheKindsAre holds the pages of the docs against the kinds' folders: one for each kind, and no more. UPDATE_GOLDEN=1 writes
// them anew.
func TestPages_TellWhatTheKindsAre(t *testing.T) {
	t.Parallel()
	all, err := agents.All(composer.New())
	if err != nil {
		t.Fatal(err)
	}
	var kinds []task.Kind
	wanted := []string{"README.md"}
	for _, agent := range all {
		kind := agent.Kind()
		kinds = append(kinds, kind)
		p := newPage(t, kind)
		wanted = append(wanted, kind.Name+".md")
		page(t, kind.Name+".md", "kind", p)
		if p.Whole {
			page(t, filepath.Join("examples", kind.Name+".md"), kind.Name, p.result)
		}
	}
	page(t, "README.md", "index", kinds)
	there, err := filepath.Glob(docs + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range there {
		if !slices.Contains(wanted, filepath.Base(file)) {
			t.Errorf("%s is of no kind", file)
		}
	}
}

// page renders a template of testdata/pages and holds a file of the docs against it, or writes that.
func page(t *testing.T, name, of string, data any) {
	t.Helper()
	made, err := template.New(of + ".md.tmpl").Funcs(template.FuncMap{
		"number": func(i int) int { return i + 1 }, "text": plainText, "trim": strings.TrimSpace, "examples": func() []string { return wholeResults },
	}).ParseFiles("testdata/pages/" + of + ".md.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := made.Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	got, file := strings.TrimSpace(b.String())+"\n", filepath.Join(docs, name)
	for strings.Contains(got, "\n\n\n") {
		got = strings.ReplaceAll(got, "\n\n\n", "\n\n")
	}
	if strings.Contains(got, "<no value>") {
		t.Errorf("%s shows a field that there is not", file)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), UPDATE_GOLDEN=1 writes it anew:\n%s", file, diff)
	}
}

// plainText shows what is no string, such as a list of right answers or an element with a title.
func plainText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, part := range v {
			parts[i] = plainText(part)
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		var parts []string
		for _, name := range []string{"type", "name", "title", "term", "left", "note", "text", "description", "right"} {
			if part, ok := v[name]; ok {
				parts = append(parts, plainText(part))
			}
		}
		return strings.Join(parts, ": ")
	}
	return fmt.Sprint(v)
}

// kindPage is what the template of a kind shows.
type kindPage struct {
	Kind            task.Kind
	Folder          string
	Versions        []string
	Input, Output   []field
	Steps           []stepRow
	Checks, Changes string
	Parts           []partRow
	Cases           []ask.Case
	Request, Result string
	Whole           bool

	result map[string]any
}

type (
	stepRow struct{ Name, Prompt, Schema string }
	partRow struct {
		Name  string
		Score string
	}
)

func newPage(t *testing.T, kind task.Kind) kindPage {
	t.Helper()
	m := newModel(nil)
	agent := open(t, m, kind.Name)
	done, _ := workerstest.Work(t, agent, kind.Example)
	if done.State != task.Completed {
		t.Fatalf("the example of %s is %s: %+v", kind.Name, done.State, done.Failure)
	}
	folder := folderOf(t, kind)
	p := kindPage{
		Kind: kind, Folder: folder, Versions: agent.(workers.Versioned).Versions(), Cases: agent.(ask.Evaluated).Evals(),
		Input: fieldsOf(t, kind.InputSchema), Output: fieldsOf(t, kind.OutputSchema), Whole: slices.Contains(wholeResults, kind.Name),
		Checks: read(t, folder, "checks.md"), Request: strings.ReplaceAll(compact(t, kind.Example), "'", `'\''`), result: decode[map[string]any](t, done.Result),
	}
	_, changes, _ := strings.Cut(read(t, folder, "prompts/CHANGELOG.md"), "\n")
	p.Changes = strings.TrimSpace(strings.ReplaceAll(changes, "\n## ", "\n### "))
	_, version, _ := strings.Cut(p.Versions[0], "/")
	for _, req := range m.asked() {
		_, step, _ := strings.Cut(req.Purpose, ".")
		row := stepRow{step, fmt.Sprintf("%s.v%s.md", step, version), fmt.Sprintf("%s.v%s.schema.json", step, version)}
		if !slices.Contains(p.Steps, row) {
			p.Steps = append(p.Steps, row)
		}
	}
	for _, m := range members(t, done.Result) {
		if m.name == "quality" {
			for _, part := range members(t, m.value) {
				p.Parts = append(p.Parts, partRow{part.name, string(part.value)})
			}
		}
	}
	p.Result = shortened(t, done.Result)
	return p
}

// folderOf finds a kind's folder by its schema.
func folderOf(t *testing.T, kind task.Kind) string {
	t.Helper()
	schemas, err := filepath.Glob("*/input.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range schemas {
		if data, err := os.ReadFile(file); err == nil && bytes.Equal(data, kind.InputSchema) {
			return filepath.Dir(file)
		}
	}
	t.Fatalf("no folder has the schema of %s", kind.Name)
	return ""
}

func read(t *testing.T, folder, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func compact(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
