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

// floor is what the composer's results score at least. There is none for scaffolds on subjects that it knows nothing of, which leave to the teacher
// what stands in square brackets; the golden file has their scores, too.
const floor = 0.5

// floors are those of cases whose input says so little that no answer to it scores much.
var floors = map[string]float64{"roblox_asset/analyze-nothing": 0.25}

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
			least, ok := floors[report.Kind+"/"+o.Case]
			if !ok && !toFillIn.Match(o.Result) {
				least = floor
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
