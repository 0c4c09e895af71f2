package eval_test

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/workers/agents"
	"github.com/toolboxai/orchestrator/workers/agents/eval"
)

// What the composer's results score at least: whole ones, and those on subjects that it knows nothing of, which leave to the teacher what stands
// in square brackets.
const (
	floor         = 0.5
	scaffoldFloor = 0.05
)

var toFillIn = regexp.MustCompile(`\[[^\[\]\n"]{4,}\]`)

// TestRun_TheComposerKeepsItsFigures runs the sets of all kinds: every answer fits its schema and its rules at once, and the scores are those
// on record. UPDATE_GOLDEN=1 writes them anew.
func TestRun_TheComposerKeepsItsFigures(t *testing.T) {
	t.Parallel()
	all, err := agents.All(composer.New())
	if err != nil {
		t.Fatal(err)
	}
	var figures bytes.Buffer
	for _, agent := range all {
		report, err := eval.Run(t.Context(), eval.Config{Open: agents.All, Kind: agent.Kind().Name, Client: composer.New()})
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range report.Outcomes {
			if !o.Passed || !o.Schema || !o.Rules || o.Calls == 0 {
				t.Errorf("%s/%s: passed %v, schema %v, rules %v, score %v of %.2f: %s", report.Kind, o.Case, o.Passed, o.Schema, o.Rules, o.Score, o.MinScore, o.Error)
			}
			least := floor
			if toFillIn.Match(o.Result) {
				least = scaffoldFloor
			}
			if o.Score != nil && *o.Score < least {
				t.Errorf("%s/%s: the score is %.2f, the floor is %.2f", report.Kind, o.Case, *o.Score, least)
			}
			report.Rows[i].Latency = 0 // the one figure that differs between runs
		}
		report.Total.Latency = 0
		if err := report.WriteTable(&figures); err != nil {
			t.Fatal(err)
		}
	}
	const file = "testdata/evals.golden"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, figures.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), figures.String()); diff != "" {
		t.Errorf("%s (-want +got), UPDATE_GOLDEN=1 writes it anew:\n%s", file, diff)
	}
}
