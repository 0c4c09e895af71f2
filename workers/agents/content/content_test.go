package content_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/agents/content"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// editor is a client that changes what the composer drafts.
type editor struct {
	llm.Client
	change func(*content.Draft)
}

func (e editor) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	resp, err := e.Client.Complete(ctx, req)
	if err != nil || req.Purpose != "content.draft" {
		return resp, err
	}
	var d content.Draft
	if err := json.Unmarshal([]byte(resp.Text), &d); err != nil {
		return resp, err
	}
	e.change(&d)
	data, err := json.Marshal(d)
	resp.Text = string(data)
	return resp, err
}

func lesson(t *testing.T, input string, change func(*content.Draft)) content.Result {
	t.Helper()
	agent, err := content.New(editor{composer.New(), change})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := workerstest.Work(t, agent, []byte(input))
	if got.State != task.Completed {
		t.Fatalf("state %s: %+v", got.State, got.Failure)
	}
	var r content.Result
	if err := json.Unmarshal(got.Result, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func part(r content.Result, name string) float64 {
	score, _ := r.Quality.Of(name)
	return score
}

const input = `{"subject":"Biology","grade_level":"6-8","objectives":["Explain how plants make food by photosynthesis","Describe plant cells"]}`

// TestContent_ScoresWhatIsThere takes something away from a lesson and sees the part of its quality that stands for it fall.
func TestContent_ScoresWhatIsThere(t *testing.T) {
	t.Parallel()
	whole := lesson(t, input, func(*content.Draft) {})
	if whole.QualityScore < 0.9 || part(whole, "completeness") != 1 || part(whole, "objective_coverage") != 1 {
		t.Fatalf("the whole lesson has %v: %+v", whole.QualityScore, whole.Quality)
	}
	for name, c := range map[string]struct {
		change func(*content.Draft)
		part   string
	}{
		"Coverage": {func(d *content.Draft) {
			s := &d.Sections[1]
			s.Title, s.Body, s.Activity = "Green things", strings.Repeat("A plant is a green thing that grows. ", 10), ""
		}, "objective_coverage"},
		"Sections": {func(d *content.Draft) {
			for i := range d.Sections {
				d.Sections[i].Body = "We talk about how plants make food by photosynthesis and about plant cells today."
			}
		}, "sections"},
		"Vocabulary": {func(d *content.Draft) {
			d.Vocabulary = []content.Term{{Term: "zyzzyva", Definition: "A weevil that no section names."}}
		}, "vocabulary"},
		"Completeness": {func(d *content.Draft) { d.Sections[1].Body += "\n\n[Write an example here.]" },
			"completeness"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			less := lesson(t, input, c.change)
			if part(less, c.part) >= part(whole, c.part) || less.QualityScore >= whole.QualityScore {
				t.Errorf("the score goes from %v %+v to %v %+v", whole.QualityScore, whole.Quality, less.QualityScore, less.Quality)
			}
		})
	}
}

func TestContent_ScoresAFormLow(t *testing.T) {
	t.Parallel()
	r := lesson(t, `{"subject":"Beekeeping","grade_level":6,"objectives":["Inspect a hive"]}`, func(*content.Draft) {})
	if r.QualityScore > 0.3 {
		t.Errorf("a form to fill in has %v: %+v", r.QualityScore, r.Quality)
	}
}

func TestContent_LeavesTheAssessmentOutOfTheScore(t *testing.T) {
	t.Parallel()
	r := lesson(t, strings.Replace(input, "{", `{"include_quiz":false,`, 1), func(*content.Draft) {})
	if r.Assessment != nil || part(r, "assessment") != 0 || r.QualityScore < 0.9 {
		t.Errorf("assessment %v, quality %v %+v", r.Assessment, r.QualityScore, r.Quality)
	}
}

func TestContent_NamesTheSectionsOfAnObjective(t *testing.T) {
	t.Parallel()
	r := lesson(t, input, func(d *content.Draft) { d.Sections[3].Objectives = append(d.Sections[3].Objectives, 1) })
	if got := r.Objectives[0].Sections; len(got) != 2 || got[0] != 2 || got[1] != 4 {
		t.Errorf("the first objective is in the sections %v", got)
	}
}
