package agents_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/workers/agents"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// picture matches what another version of the compressor may write in another way. The agent's own tests look at its pictures.
var picture = regexp.MustCompile(`"data": "iVBOR[^"]*"`)

func TestAll_ExamplesKeepTheirResults(t *testing.T) {
	t.Parallel()
	all, err := agents.All(offline())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		t.Run(a.Kind().Name, func(t *testing.T) {
			t.Parallel()
			task, _ := workerstest.Work(t, a, a.Kind().Example)
			golden(t, a.Kind().Name+".golden.json", picture.ReplaceAll(indented(t, task.Result), []byte(`"data": "PNG"`)))
		})
	}
}

// golden compares got with a file of testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got), -update writes it anew:\n%s", path, diff)
	}
}

func indented(t *testing.T, raw json.RawMessage) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(raw); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
