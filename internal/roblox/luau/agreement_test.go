package luau_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/nodetest"
	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// mutantCount is how many mutants are compared. LUAU_MUTANTS and LUAU_SEED compare other ones.
const mutantCount = 6000

// TestParse_AgreesWithTheCompiler compares what is accepted with what Luau's own compiler accepts.
func TestParse_AgreesWithTheCompiler(t *testing.T) {
	t.Parallel()
	examples := append(corpus(t), limits()...)
	if len(examples) < 500 {
		t.Errorf("the corpus has %d sources", len(examples))
	}
	var sources []string
	for _, e := range examples {
		sources = append(sources, e.source)
	}
	count, seed := mutantCount, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("LUAU_MUTANTS")); err == nil {
		count = n
	}
	if n, err := strconv.ParseUint(os.Getenv("LUAU_SEED"), 10, 64); err == nil {
		seed = n
	}
	sources = append(sources, mutants(corpus(t), count, seed)...)
	verdicts := compile(t, sources)

	for i, e := range examples {
		if _, err := luau.Parse(e.source); (err == nil) != e.ok {
			t.Errorf("%s: is to be accepted: %t; got %v\n%s", e.name, e.ok, err, clip(e.source))
		}
		if (verdicts[i] == "") != e.ok {
			t.Errorf("%s: is to be accepted: %t; the compiler says %q\n%s", e.name, e.ok, verdicts[i], clip(e.source))
		}
	}
	refused := 0
	for _, d := range disagreements(sources, verdicts, luau.Parse) {
		t.Error(d)
	}
	for _, v := range verdicts {
		if v != "" {
			refused++
		}
	}
	t.Logf("%d sources of the corpus and %d mutants; the compiler refuses %d of all", len(examples), count, refused)
	if refused < len(sources)/4 || refused > len(sources)*9/10 {
		t.Errorf("%d of %d are refused: the mutants are too tame or too wild", refused, len(sources))
	}

	if len(disagreements(sources, verdicts, luau.ParseLax)) == 0 {
		t.Error("a parser that lets break stand anywhere is not found out")
	}
}

// disagreements compares a parser with the verdicts of the compiler.
func disagreements(sources, verdicts []string, parse func(string) (*luau.File, error)) []string {
	var out []string
	for i, source := range sources {
		if _, err := parse(source); (err == nil) != (verdicts[i] == "") {
			out = append(out, fmt.Sprintf("source %d:\n%s\nthe compiler: %q\nParse: %v", i, clip(source), verdicts[i], err))
		}
	}
	return out
}

func clip(source string) string {
	if len(source) > 3000 {
		return source[:3000] + "…"
	}
	return source
}

// compile asks the compiler about sources, in one process. It runs none of them.
func compile(t *testing.T, sources []string) []string {
	t.Helper()
	dir := nodetest.Install(t, "testdata/luau-web")
	in, err := json.Marshal(sources)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", "compile.mjs")
	node.Dir, node.Stdin = dir, bytes.NewReader(in)
	var stderr bytes.Buffer
	node.Stderr = &stderr
	out, err := node.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, clip(stderr.String()))
	}
	var verdicts []string
	if err := json.Unmarshal(out, &verdicts); err != nil || len(verdicts) != len(sources) {
		t.Fatalf("%d verdicts for %d sources: %v", len(verdicts), len(sources), err)
	}
	return verdicts
}
