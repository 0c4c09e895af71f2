package content

import (
	"math"
	"regexp"
	"strings"

	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

// Result is a lesson, as output.schema.json describes it.
type Result struct {
	Title               string      `json:"title"`
	Summary             string      `json:"summary"`
	Subject             string      `json:"subject"`
	GradeLevel          string      `json:"grade_level"`
	DurationMinutes     int         `json:"duration_minutes"`
	Objectives          []Objective `json:"objectives"`
	Sections            []Section   `json:"sections"`
	Vocabulary          []Term      `json:"vocabulary"`
	InteractiveElements []string    `json:"interactive_elements"`
	RobloxIntegration   Roblox      `json:"roblox_integration"`
	Assessment          *Assessment `json:"assessment,omitempty"`
	QualityScore        float64     `json:"quality_score"` // 0 to 1
	Quality             Quality     `json:"quality"`
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

// Quality holds the parts of the score, each from 0 to 1.
type Quality struct {
	ObjectiveCoverage float64  `json:"objective_coverage"`
	Sections          float64  `json:"sections"`
	Vocabulary        float64  `json:"vocabulary"`
	Assessment        *float64 `json:"assessment,omitempty"` // nil without a quiz
	Completeness      float64  `json:"completeness"`
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
	r.Quality = quality(req, d, covered, questions)
	r.QualityScore = r.Quality.score()
	return r
}

// goodBody is the length, in characters, from which a section's body counts as more than a few lines.
const goodBody = 300

func quality(req Request, d Draft, c *cover, questions []lesson.Question) Quality {
	var q Quality
	for i, objective := range req.Objectives {
		q.ObjectiveCoverage += lesson.Overlap(objective.Text(), d.text(c.sections[i])) / float64(len(req.Objectives))
	}
	long := 0
	var all strings.Builder
	for _, s := range d.Sections {
		if len([]rune(s.Body)) >= goodBody {
			long++
		}
		all.WriteString(strings.ToLower(s.Body) + "\n")
	}
	q.Sections = (share(len(d.Sections), req.sections()) + share(long, len(d.Sections))) / 2
	used := 0
	for _, v := range d.Vocabulary {
		if strings.Contains(all.String(), strings.ToLower(v.Term)) {
			used++
		}
	}
	q.Vocabulary = (share(len(d.Vocabulary), 6) + share(used, len(d.Vocabulary))) / 2
	if questions != nil {
		tested, helpful := map[lesson.Int]bool{}, 0
		for _, question := range questions {
			tested[question.Objective] = true
			if question.Explanation != "" && len(question.Hints) > 0 {
				helpful++
			}
		}
		part := round((share(len(tested), len(req.Objectives)) + share(helpful, len(questions))) / 2)
		q.Assessment = &part
	}
	q.Completeness = round(completeness(d, questions))
	q.ObjectiveCoverage, q.Sections, q.Vocabulary = round(q.ObjectiveCoverage), round(q.Sections), round(q.Vocabulary)
	return q
}

// toFillIn matches what is left for the teacher to write: words in square brackets that are no link.
var toFillIn = regexp.MustCompile(`\[[^\[\]\n]{4,}\]([^(]|$)`)

// completeness returns the share of sections, definitions and questions that leave nothing to fill in.
func completeness(d Draft, questions []lesson.Question) float64 {
	pieces := make([]string, 0, len(d.Sections)+len(d.Vocabulary)+len(questions))
	for _, s := range d.Sections {
		pieces = append(pieces, s.Body+"\n"+s.Activity)
	}
	for _, v := range d.Vocabulary {
		pieces = append(pieces, v.Definition)
	}
	for _, q := range questions {
		pieces = append(pieces, q.Text+"\n"+q.Explanation)
	}
	whole := 0
	for _, text := range pieces {
		if !toFillIn.MatchString(text) {
			whole++
		}
	}
	return share(whole, len(pieces))
}

// score is the weighted mean of the parts that there are, times completeness: a form to fill in is worth little as it stands.
func (q Quality) score() float64 {
	sum, weight := 0.4*q.ObjectiveCoverage+0.25*q.Sections+0.15*q.Vocabulary, 0.8
	if q.Assessment != nil {
		sum, weight = sum+0.2**q.Assessment, 1
	}
	return round(sum / weight * q.Completeness)
}

func share(have, want int) float64 { return min(float64(have)/float64(max(want, 1)), 1) }

func round(f float64) float64 { return math.Round(f*100) / 100 }
