package markdown

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"
	"sync"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Lesson is what a page shows, in the form of a content result: what else that has is left out. The answers to its questions are not
// shown, as the page is for students too.
type Lesson struct {
	Title               string      `json:"title"`
	Summary             string      `json:"summary"`
	Subject             string      `json:"subject"`
	GradeLevel          string      `json:"grade_level"`
	DurationMinutes     int         `json:"duration_minutes"`
	Objectives          []Objective `json:"objectives"`
	Sections            []Section   `json:"sections"`
	Vocabulary          []Term      `json:"vocabulary"`
	InteractiveElements []string    `json:"interactive_elements"`
	Assessment          *Assessment `json:"assessment,omitempty"`
}

// Objective is what is to be learned.
type Objective struct {
	Title       string `json:"title"`
	Description string `json:"description"`
}

// Section is one part of a lesson.
type Section struct {
	Title    string `json:"title"`
	Body     string `json:"body"` // Markdown
	Activity string `json:"activity"`
}

// Term is a word with its meaning.
type Term struct {
	Term       string `json:"term"`
	Definition string `json:"definition"`
}

// Assessment is the quiz at the end of a lesson.
type Assessment struct {
	Title     string     `json:"title"`
	Questions []Question `json:"questions"`
}

// Question is a question with what can be answered.
type Question struct {
	Text    string   `json:"text"`
	Options []Option `json:"options"`
}

// Option is one possible answer.
type Option struct {
	Text string `json:"text"`
}

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

// PagePolicy is the Content-Security-Policy under which a page works and nothing else does: its one style, and no script, image, frame or
// request whatever. The page says so itself; send it as a header as well, which frame-ancestors needs.
func PagePolicy() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

var page = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(pageSource)) })

// Page returns a whole HTML page of a lesson that needs nothing from elsewhere. Markdown is rendered as Render does, everything else is shown
// as the text that it is. TooLarge when the bodies of the sections have more than MaxSize bytes.
func Page(l Lesson) (string, error) {
	type section struct {
		Section
		HTML template.HTML
	}
	sections := make([]section, len(l.Sections))
	size := 0
	for i, s := range l.Sections {
		if size += len(s.Body); size > MaxSize {
			return "", fault.New(fault.TooLarge, "the sections have more than %d bytes", MaxSize)
		}
		body, err := Render(s.Body)
		if err != nil {
			return "", fmt.Errorf("section %d: %w", i+1, err)
		}
		sections[i] = section{s, template.HTML(body)} //nolint:gosec // Render's output is safe: that is what it is for
	}
	meta, _, _ := strings.Cut(PagePolicy(), "; frame-ancestors") // which has no meaning in a page
	var out strings.Builder
	err := page().Execute(&out, map[string]any{
		"Lesson": l, "Sections": sections, "Policy": meta, "Style": template.CSS(pageStyle), //nolint:gosec // our own
	})
	if err != nil {
		return "", fmt.Errorf("fill in the page: %w", err)
	}
	return out.String(), nil
}
