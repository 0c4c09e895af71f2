package composer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

type lessonRequest struct {
	Subject               string      `json:"subject"`
	Grade                 grades      `json:"grade"`
	GradeName             string      `json:"grade_name"`
	Objectives            []objective `json:"objectives"`
	EnvironmentType       string      `json:"environment_type"`
	DurationMinutes       int         `json:"duration_minutes"`
	Difficulty            string      `json:"difficulty"`
	MaxStudents           int         `json:"max_students"`
	AccessibilityFeatures []string    `json:"accessibility_features"`
	Multilingual          bool        `json:"multilingual"`
	CustomRequirements    string      `json:"custom_requirements"`
}

type lessonInput struct {
	Request request[lessonRequest] `json:"request"`
	Slots   []slot                 `json:"slots"` // of the assessment
}

func (in lessonInput) check() error {
	if len(in.Request.is.Objectives) == 0 {
		return fault.InvalidField("input.request.objectives", "are missing")
	}
	return nil
}

type lessonPlan struct {
	Title    string        `json:"title"`
	Summary  string        `json:"summary"`
	Sections []planSection `json:"sections"`
	KeyTerms []string      `json:"key_terms"`
}

type planSection struct {
	Title      string `json:"title"`
	Focus      string `json:"focus"`
	Objectives []int  `json:"objectives"`
}

type lessonDraft struct {
	Sections            []section    `json:"sections"`
	Vocabulary          []vocabulary `json:"vocabulary"`
	InteractiveElements []string     `json:"interactive_elements"`
	RobloxIntegration   roblox       `json:"roblox_integration"`
}

type section struct {
	Title      string `json:"title"`
	Body       string `json:"body"`
	Activity   string `json:"activity,omitempty"`
	Objectives []int  `json:"objectives"`
}

type vocabulary struct {
	Term       string `json:"term"`
	Definition string `json:"definition"`
}

type roblox struct {
	GameMechanics []string `json:"game_mechanics"`
	UIElements    []string `json:"ui_elements"`
}

// maxTeaching is how many sections teach; more objectives than that share sections.
const maxTeaching = 8

// chapters deals the numbers of n objectives out to the sections that teach them.
func chapters(n int) [][]int {
	out := make([][]int, min(n, maxTeaching))
	for i := range n {
		at := i * len(out) / n
		out[at] = append(out[at], i+1)
	}
	return out
}

func chapterTitle(r lessonRequest, number int, objectives []int) string {
	return fmt.Sprintf("%d. %s", number, clip(upper(r.Objectives[objectives[0]-1].Title), 120))
}

const (
	openingTitle = "Warm-up"
	closingTitle = "Wrap-up"
)

func (c *Composer) contentOutline(in lessonInput) lessonPlan {
	r := in.Request.is
	l := c.lesson(r, in.Request.text)
	plan := lessonPlan{
		Title:   clip(r.Subject, 60) + ": " + clip(upper(r.Objectives[0].Title), 80),
		Summary: l.summary(),
		Sections: []planSection{
			{openingTitle, "Find out what the class knows already and name the goals.", []int{}},
		},
	}
	for i, objectives := range chapters(len(r.Objectives)) {
		plan.Sections = append(plan.Sections, planSection{chapterTitle(r, i+1, objectives), "Words, facts, a question to talk about and an activity.", objectives})
	}
	plan.Sections = append(plan.Sections, planSection{closingTitle, "Say what was learned and where it is met outside school.", []int{}})
	for _, v := range l.vocabulary() {
		plan.KeyTerms = append(plan.KeyTerms, v.Term)
	}
	return plan
}

func (c *Composer) contentDraft(in lessonInput) lessonDraft {
	r := in.Request.is
	l := c.lesson(r, in.Request.text)
	draft := lessonDraft{Sections: []section{l.opening()}, Vocabulary: l.vocabulary()}
	for i, objectives := range chapters(len(r.Objectives)) {
		draft.Sections = append(draft.Sections, l.teach(i+1, objectives))
	}
	draft.Sections = append(draft.Sections, l.closing())
	scene := sceneOf(r.EnvironmentType)
	draft.InteractiveElements = slices.Concat(scene.interactive, l.interactive())
	draft.RobloxIntegration = roblox{
		GameMechanics: append([]string{
			fmt.Sprintf("Up to %d students play in groups of three to five; each group has a color and a shared score.", r.MaxStudents),
			"A station opens when the group has answered its question; wrong answers show a hint and cost no points.",
		}, scene.mechanics...),
		UIElements: append([]string{"A panel with the goals of the lesson that are ticked off one by one.", "A timer for the section that is under way."}, l.care()...),
	}
	return draft
}

func (c *Composer) contentAssessment(in lessonInput) quizAnswer {
	r := in.Request.is
	w := wish{r.Subject, &r.Grade, r.Objectives, r.Difficulty, in.Slots, in.Request.text + "assessment"}
	out, strange := c.questions(w), c.strange(w)
	for i, s := range w.Slots {
		if slices.Contains(strange, s.Objective) {
			out[i] = scaffoldQuestion(w, s) // the lesson leaves this objective to the teacher, too
		}
	}
	return quizAnswer{out}
}

// lesson is what the bank has for a request.
type lesson struct {
	r       lessonRequest
	subject *subject  // nil for a subject that the bank does not know
	shares  []holding // for each objective
}

// holding is what the bank has for one objective.
type holding struct {
	known     bool // something fits the objective; else the entries are only of the subject
	terms     []term
	facts     []fact
	sequences []sequence
	questions []question
}

func (c *Composer) lesson(r lessonRequest, seed string) *lesson {
	l := &lesson{r: r, subject: c.bank.subject(r.Subject), shares: make([]holding, len(r.Objectives))}
	if l.subject == nil {
		return l
	}
	if l.subject.Name == "Mathematics" {
		l.subject = l.subject.withArithmetic(wish{Difficulty: r.Difficulty, Seed: seed})
	}
	l.shares = l.deal(seed)
	return l
}

func (l *lesson) summary() string {
	r := l.r
	var goals []string
	for _, o := range first(r.Objectives, 3) {
		goals = append(goals, clip(o.Title, 100))
	}
	text := fmt.Sprintf("A lesson of %d minutes in %s for %s: %s.", r.DurationMinutes, clip(r.Subject, 100), r.GradeName, strings.Join(goals, "; "))
	if l.subject == nil {
		return clip(text+" "+toFillIn(r.Subject), 800)
	}
	var open []string
	for i, h := range l.shares {
		if !h.known {
			open = append(open, fmt.Sprint(i+1))
		}
	}
	if len(open) > 0 {
		which := "objective"
		if len(open) > 1 {
			which = "objectives"
		}
		text += fmt.Sprintf(" The offline bank has nothing on %s %s: fill in what stands in [square brackets] there.", which, strings.Join(open, ", "))
	}
	return clip(text+" Starter content from a fact bank: read it before you teach it.", 800)
}

func (l *lesson) opening() section {
	r := l.r
	var b strings.Builder
	fmt.Fprintf(&b, "Today is about **%s**. By the end of the lesson you will be able to say something about each of these goals:\n\n", clip(r.Subject, 100))
	for _, o := range r.Objectives {
		fmt.Fprintf(&b, "- %s\n", o.Title)
	}
	b.WriteString("\nThink for a minute on your own, then tell your neighbor: what do you know about this already, and what would you like to find out?\n")
	if r.CustomRequirements != "" {
		fmt.Fprintf(&b, "\n**Note for the teacher.** You asked for: %s\n", r.CustomRequirements)
	}
	if len(r.AccessibilityFeatures) > 0 {
		fmt.Fprintf(&b, "\n**Accessibility.** Check before the lesson: %s.\n", clip(strings.Join(r.AccessibilityFeatures, "; "), 800))
	}
	if l.subject == nil {
		fmt.Fprintf(&b, "\n**Note for the teacher.** %s\n", toFillIn(r.Subject))
	}
	return section{openingTitle, clip(b.String(), 6000), "Everybody walks to the sign of the goal that interests them most.", []int{}}
}

func (l *lesson) closing() section {
	var b strings.Builder
	b.WriteString("Look back at the goals of this lesson. For each one, say a sentence that begins with “I can” or “I now know”:\n\n")
	for _, o := range l.r.Objectives {
		fmt.Fprintf(&b, "- %s\n", o.Title)
	}
	b.WriteString("\nWhich of these have you met outside school? Name one place where somebody needs to know this, and one question that is still open for you.\n")
	return section{closingTitle, clip(b.String(), 6000), "Each group leaves its open question on a sign for the next lesson.", []int{}}
}

// vocabulary returns the words of all objectives, each once.
func (l *lesson) vocabulary() []vocabulary {
	var out []vocabulary
	seen := map[string]bool{}
	add := func(word, definition string) {
		if key := strings.ToLower(word); word != "" && !seen[key] && len(out) < 20 {
			seen[key] = true
			out = append(out, vocabulary{word, definition})
		}
	}
	for _, h := range l.shares {
		for _, t := range h.terms {
			add(t.Term, upper(t.Means)+".")
		}
	}
	if l.subject != nil {
		return out
	}
	for _, o := range l.r.Objectives {
		for _, word := range first(keyWords(o.Title), 3) {
			add(clip(word, 100), "[Write what this word means.]")
		}
	}
	add("[Key term]", "[Write what this word means.]")
	return out
}

// keyWords returns the words of a text that say what it is about, as they are written.
func keyWords(s string) []string {
	var out []string
	for word := range strings.FieldsSeq(s) {
		word = strings.Trim(word, ".,;:!?()[]{}\"'“”…-–")
		if len([]rune(word)) > 3 && len(stems(word)) > 0 && !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}
