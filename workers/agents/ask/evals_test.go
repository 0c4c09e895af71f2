package ask_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
)

func TestNewAgent_OffersItsEvaluationSet(t *testing.T) {
	t.Parallel()
	agent, err := openWith(t, `{"cases":[{"name":"one","about":"First.","input":{}},{"name":"two-words","about":"Second.","input":{"a":1},"min_score":0.5}]}`)
	if err != nil {
		t.Fatal(err)
	}
	set := agent.(ask.Evaluated).Evals()
	if len(set) != 2 || set[0].Name != "one" || set[1].MinScore != 0.5 || string(set[1].Input) != `{"a":1}` {
		t.Errorf("the set is %+v", set)
	}
}

func TestNewAgent_RefusesABrokenEvaluationSet(t *testing.T) {
	t.Parallel()
	one := func(fields string) string { return `{"cases":[{` + fields + `}]}` }
	for name, c := range map[string]struct{ set, says string }{
		"Missing":      {"", "evals.json"},
		"NoJSON":       {`{"cases":`, "ends too early"},
		"KeyTwice":     {one(`"name":"a","name":"b","about":"x","input":{}`), "stands twice"},
		"Empty":        {`{"cases":[]}`, "has 0 cases"},
		"TooMany":      {`{"cases":[` + strings.Repeat(`{},`, 64) + `{}]}`, "has 65 cases"},
		"UnknownField": {one(`"name":"a","about":"x","input":{},"expected":1`), "expected"},
		"BadName":      {one(`"name":"Not a name","about":"x","input":{}`), "name must be"},
		"NoAbout":      {one(`"name":"a","input":{}`), "cases[0] (a): about"},
		"BadScore":     {one(`"name":"a","about":"x","input":{},"min_score":2`), "min_score must be 0 to 1"},
		"NoInput":      {one(`"name":"a","about":"x"`), "input"},
		"BadInput":     {one(`"name":"a","about":"x","input":[]`), "input"},
		"TakenName":    {`{"cases":[{"name":"a","about":"x","input":{}},{"name":"a","about":"x","input":{}}]}`, "cases[1] (a): the name is taken"},
		"TooLarge":     {one(`"name":"a","about":"x","input":{"s":"` + strings.Repeat("x", 1<<20) + `"}`), "at most 1048576 are allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := openWith(t, c.set); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
		})
	}
}

// openWith returns the agent of a kind with the given evaluation set, none when it is empty.
func openWith(t *testing.T, set string) (workers.Agent, error) {
	t.Helper()
	folder := poetry("1")
	delete(folder, "evals.json")
	if set != "" {
		folder["evals.json"] = &fstest.MapFile{Data: []byte(set)}
	}
	return ask.NewAgent(&say{}, folder, 1, task.Kind{Name: "poem"}, func(context.Context, *workers.Run, *ask.Author, wish) (poem, error) { return poem{}, nil })
}
