package analytics

import (
	"fmt"
	"slices"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// Request is what the prompt and the composer get: figures, and nobody's name.
type Request struct {
	DataType string   `json:"data_type"`
	Question string   `json:"question,omitempty"`
	Period   string   `json:"period,omitempty"`
	Figures  []Figure `json:"figures"`

	scope scope
}

// request returns what leaves for a model.
func (s *study) request() Request {
	r := Request{
		DataType: s.in.DataType, Question: s.people.hide(s.in.Data.Question), Period: s.people.hide(s.in.Data.Period), Figures: s.figures.list,
	}
	labels := append(slices.Clone(s.labels), r.Period)
	for _, f := range r.Figures {
		labels = append(labels, f.Name, f.About)
	}
	r.scope = newScope(labels, s.people.noun, len(s.people.ids), r.Question, r.Period)
	return r
}

// Report is what the model writes.
type Report struct {
	Summary         string    `json:"summary"`
	Insights        []Insight `json:"insights"`
	Recommendations []string  `json:"recommendations"`
}

// Insight is what figures mean.
type Insight struct {
	Title      string   `json:"title"`
	Detail     string   `json:"detail"`
	Figures    []string `json:"figures"`    // names of those that it rests on
	Confidence string   `json:"confidence"` // high, medium or low
}

type rules struct{ details []fault.Detail }

func (r *rules) broken(field, format string, args ...any) {
	r.details = append(r.details, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// checkReport tidies a report and says what is wrong with it. Every number must be a figure: in an insight one of those that it names, elsewhere
// any.
func checkReport(req Request, v *Report) []fault.Detail {
	var r rules
	if v.Summary = lesson.Clean(v.Summary); v.Summary == "" {
		r.broken("answer.summary", "is blank")
	}
	r.text(req, "answer.summary", v.Summary, req.Figures, false)
	titles := map[string]bool{}
	for i := range v.Insights {
		in, at := &v.Insights[i], fmt.Sprintf("answer.insights[%d]", i)
		if in.Title, in.Detail = lesson.Clean(in.Title), lesson.Clean(in.Detail); in.Title == "" || in.Detail == "" {
			r.broken(at, "has no title or no detail")
		}
		if titles[in.Title] {
			r.broken(at+".title", "repeats the title of another insight")
		}
		titles[in.Title] = true
		named := r.named(req, at, in)
		r.text(req, at+".title", in.Title, named, true)
		r.text(req, at+".detail", in.Detail, named, true)
		if in.Confidence == "high" && slices.ContainsFunc(named, func(f Figure) bool { return f.Weak }) {
			r.broken(at+".confidence", "is high, but a figure that the insight rests on is marked weak")
		}
	}
	v.Recommendations = lesson.CleanAll(v.Recommendations)
	if len(v.Recommendations) == 0 {
		r.broken("answer.recommendations", "are blank")
	}
	for i, text := range v.Recommendations {
		r.text(req, fmt.Sprintf("answer.recommendations[%d]", i), text, req.Figures, false)
	}
	return r.details
}

// named returns the figures that an insight names.
func (r *rules) named(req Request, at string, in *Insight) []Figure {
	var out []Figure
	if len(in.Figures) == 0 {
		r.broken(at+".figures", "name no figure: an insight rests on at least one")
	}
	for i, name := range in.Figures {
		k := slices.IndexFunc(req.Figures, func(f Figure) bool { return f.Name == name })
		if k < 0 {
			r.broken(fmt.Sprintf("%s.figures[%d]", at, i), "%q is no figure of the request", name)
			continue
		}
		out = append(out, req.Figures[k])
	}
	return out
}

func (r *rules) text(req Request, field, text string, from []Figure, insight bool) {
	for _, s := range req.scope.strays(text, from) {
		switch {
		case insight && len(req.scope.strays(s.number, req.Figures)) == 0:
			r.broken(field, "has the number %s, which is none of the figures that the insight names", s)
		default:
			r.broken(field, "has the number %s, which is none of the computed figures", s)
		}
	}
	r.details = append(r.details, quality.Safe(field, text)...)
}
