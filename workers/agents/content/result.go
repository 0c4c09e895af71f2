package content

import (
	"strings"

	"github.com/toolboxai/orchestrator/workers/agents/lesson"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// Result is a lesson, as output.schema.json describes it.
type Result struct {
	Title               string        `json:"title"`
	Summary             string        `json:"summary"`
	Subject             string        `json:"subject"`
	GradeLevel          string        `json:"grade_level"`
	DurationMinutes     int           `json:"duration_minutes"`
	Objectives          []Objective   `json:"objectives"`
	Sections            []Section     `json:"sections"`
	Vocabulary          []Term        `json:"vocabulary"`
	InteractiveElements []string      `json:"interactive_elements"`
	RobloxIntegration   Roblox        `json:"roblox_integration"`
	Assessment          *Assessment   `json:"assessment,omitempty"`
	QualityScore        float64       `json:"quality_score"` // 0 to 1
	Quality             quality.Parts `json:"quality"`       // see rate
}

// Objective is an objective with the sections that teach it.
type Objective struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	BloomLevel  string `json:"bloom_level,omitempty"`
	Sections    []int  `json:"sections"` // numbers, from 1
}

// Section is one part of a lesson.
type Section struct {
	Title    string `json:"title"`
	Body     string `json:"body"` // Markdown
	Activity string `json:"activity,omitempty"`
}

// Term is a word with its meaning.
type Term struct {
	Term       string `json:"term"`
	Definition string `json:"definition"`
}

// Roblox says how the lesson is played.
type Roblox struct {
	EnvironmentType string   `json:"environment_type,omitempty"`
	GameMechanics   []string `json:"game_mechanics"`
	UIElements      []string `json:"ui_elements"`
}

// Assessment is the quiz at the end of a lesson.
type Assessment struct {
	Title        string            `json:"title"`
	PassingScore int               `json:"passing_score"` // percent
	Questions    []lesson.Question `json:"questions"`
}

// passingScore is the percentage that passes the assessment of a lesson.
const passingScore = 70

func assemble(req Request, o Outline, d Draft, questions []lesson.Question) Result {
	r := Result{
		Title: o.Title, Summary: o.Summary, Subject: req.Subject, GradeLevel: req.GradeName, DurationMinutes: req.DurationMinutes,
		Vocabulary: d.Vocabulary, InteractiveElements: d.InteractiveElements, RobloxIntegration: d.RobloxIntegration,
	}
	r.RobloxIntegration.EnvironmentType = req.EnvironmentType
	covered := newCover(req)
	for i, s := range d.Sections {
		r.Sections = append(r.Sections, s.Section)
		covered.add("", i, s.Objectives, nil)
	}
	for i, o := range req.Objectives {
		numbers := make([]int, len(covered.sections[i]))
		for j, section := range covered.sections[i] {
			numbers[j] = section + 1
		}
		r.Objectives = append(r.Objectives, Objective{o.Title, o.Description, o.BloomLevel, numbers})
	}
	if questions != nil {
		r.Assessment = &Assessment{Title: "Check: " + o.Title, PassingScore: passingScore, Questions: questions}
	}
	r.Quality = rate(req, o.Summary, d, covered, questions)
	r.QualityScore = r.Quality.Score()
	return r
}

// goodBody is the length, in characters, from which a section's body counts as more than a few lines.
const goodBody = 300

// rate returns the parts of a lesson's quality: objective_coverage, sections, vocabulary, assessment where there is one, reading_level
// where the text can be rated, and completeness, which the whole is multiplied by.
func rate(req Request, summary string, d Draft, c *cover, questions []lesson.Question) quality.Parts {
	coverage := 0.0
	for i, objective := range req.Objectives {
		coverage += lesson.Overlap(objective.Text(), d.text(c.sections[i])) / float64(len(req.Objectives))
	}
	long, used := 0, 0
	var all strings.Builder
	for _, s := range d.Sections {
		if len([]rune(s.Body)) >= goodBody {
			long++
		}
		all.WriteString(strings.ToLower(s.Body) + "\n")
	}
	for _, v := range d.Vocabulary {
		if strings.Contains(all.String(), strings.ToLower(v.Term)) {
			used++
		}
	}
	parts := quality.Parts{
		{Name: "objective_coverage", Score: coverage, Weight: 0.4},
		{Name: "sections", Score: (quality.Share(len(d.Sections), req.sections()) + quality.Share(long, len(d.Sections))) / 2, Weight: 0.25},
		{Name: "vocabulary", Score: (quality.Share(len(d.Vocabulary), 6) + quality.Share(used, len(d.Vocabulary))) / 2, Weight: 0.15},
	}
	if questions != nil {
		tested, helpful := map[lesson.Int]bool{}, 0
		for _, question := range questions {
			tested[question.Objective] = true
			if question.Explanation != "" && len(question.Hints) > 0 {
				helpful++
			}
		}
		score := (quality.Share(len(tested), len(req.Objectives)) + quality.Share(helpful, len(questions))) / 2
		parts = append(parts, quality.Part{Name: "assessment", Score: score, Weight: 0.2})
	}
	if r := quality.Read(summary+"\n\n"+d.prose(), req.words()...); r.Rated {
		parts = append(parts, quality.Part{Name: "reading_level", Score: r.Fit(req.Grade.To), Weight: 0.1})
	}
	return append(parts, quality.Part{Name: "completeness", Score: quality.Completeness(pieces(d, questions)), Factor: true})
}

// pieces returns what a lesson is made of: its sections, definitions and questions.
func pieces(d Draft, questions []lesson.Question) []string {
	texts := make([]string, 0, len(d.Sections)+len(d.Vocabulary)+len(questions))
	for _, s := range d.Sections {
		texts = append(texts, s.Body+"\n"+s.Activity)
	}
	for _, v := range d.Vocabulary {
		texts = append(texts, v.Definition)
	}
	for _, q := range questions {
		texts = append(texts, q.Text+"\n"+q.Explanation)
	}
	return texts
}

// prose returns all that a class reads of a draft, in Markdown.
func (d *Draft) prose() string {
	var b strings.Builder
	for _, s := range d.Sections {
		b.WriteString(s.Body + "\n\n" + s.Activity + "\n\n")
	}
	for _, v := range d.Vocabulary {
		b.WriteString(v.Definition + "\n\n")
	}
	return b.String()
}

// words returns the teacher's own words, which a lesson may repeat however hard they are.
func (r Request) words() []string {
	words := append([]string{r.Subject, r.CustomRequirements}, r.AccessibilityFeatures...)
	for _, o := range r.Objectives {
		words = append(words, o.Title, o.Description, o.Text())
	}
	return words
}
