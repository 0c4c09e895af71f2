package asset

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// Advice is what the model writes.
type Advice struct {
	DisplayName string   `json:"display_name"`
	Description string   `json:"description"`
	Tags        []string `json:"tags"`
	Summary     string   `json:"summary"`
	Risks       []Risk   `json:"risks"`
	Steps       []string `json:"steps"`
}

// Risk is what may go wrong, and what helps.
type Risk struct {
	Level  string `json:"level"` // high, medium or low
	About  string `json:"about"`
	Advice string `json:"advice"`
}

var (
	// done claims that something has been done to an asset. Nothing is sent, so that it cannot be true.
	done = regexp.MustCompile(`(?i)\b(?:(?:i|we)(?:'ve| have)?|(?:has|have|was|were)(?: now| already)?(?: been)?)\s+(?:successfully\s+)?(?:uploaded|published|deleted|archived|sent to roblox|submitted to roblox)\b`)
	// number is what may be the id of an asset. Shorter ones are counts and sizes.
	number = regexp.MustCompile(`\d{6,}`)
)

type rules struct{ details []fault.Detail }

func (r *rules) broken(field, format string, args ...any) {
	r.details = append(r.details, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// checkAdvice tidies an answer and says what is wrong with it.
func checkAdvice(req Request, v *Advice) []fault.Detail {
	var r rules
	v.DisplayName, v.Description, v.Summary = lesson.Clean(v.DisplayName), strings.TrimSpace(v.Description), lesson.Clean(v.Summary)
	v.Tags, v.Steps = cleanTags(v.Tags), lesson.CleanAll(v.Steps)
	if v.Summary == "" {
		r.broken("answer.summary", "is blank")
	}
	r.text(req, "answer.summary", v.Summary)
	if req.Action == Delete {
		v.DisplayName, v.Description, v.Tags = "", "", []string{} // what is archived keeps its metadata
	} else {
		r.metadata(req, v)
	}
	for i := range v.Risks {
		at, risk := fmt.Sprintf("answer.risks[%d]", i), &v.Risks[i]
		if risk.About, risk.Advice = lesson.Clean(risk.About), lesson.Clean(risk.Advice); risk.About == "" || risk.Advice == "" {
			r.broken(at, "is blank")
		}
		r.text(req, at+".about", risk.About)
		r.text(req, at+".advice", risk.Advice)
	}
	for i, step := range v.Steps {
		r.text(req, fmt.Sprintf("answer.steps[%d]", i), step)
	}
	return r.details
}

// given returns the fields of an answer that hold the submission's own words: what is wrong with those is said by the checks of the plan, and no
// model could mend it.
func (r Request) given() []string {
	var names []string
	if r.Name != "" && utf8.RuneCountInString(r.Name) <= maxName {
		names = append(names, "display_name")
	}
	if r.Description != "" && utf8.RuneCountInString(r.Description) <= maxDescription {
		names = append(names, "description")
	}
	return names
}

// metadata checks what would stand on Roblox. What the submission gives, and fits, is taken as it is, so that only the rest matters.
func (r *rules) metadata(req Request, v *Advice) {
	for _, field := range []struct {
		name, given string
		written     *string
		most        int
	}{{"display_name", req.Name, &v.DisplayName, maxName}, {"description", req.Description, &v.Description, maxDescription}} {
		at := "answer." + field.name
		if field.given != "" && utf8.RuneCountInString(field.given) <= field.most {
			*field.written = field.given
			continue
		}
		if req.Action == Update && field.given == "" {
			*field.written = "" // stays as it is on Roblox
			continue
		}
		n := utf8.RuneCountInString(*field.written)
		switch {
		case n == 0:
			r.broken(at, "is blank")
		case n > field.most:
			r.broken(at, "has %d characters, at most %d are taken", n, field.most)
		}
		if about := unsuitable(*field.written); about != "" {
			r.broken(at, "%s, which moderation refuses", about)
		}
		r.numbers(req, at, *field.written)
	}
	for i, tag := range v.Tags {
		r.text(req, fmt.Sprintf("answer.tags[%d]", i), tag)
	}
}

// text refuses claims and assets that are made up, links, and what a class must not see.
func (r *rules) text(req Request, field, text string) {
	if claim := done.FindString(text); claim != "" {
		r.broken(field, "says %q, but nothing is sent to Roblox: write what is to be done", claim)
	}
	r.numbers(req, field, text)
	if link.MatchString(text) {
		r.broken(field, "has a link; none is allowed")
	}
	r.details = append(r.details, quality.Safe(field, text)...)
}

// numbers refuses ids and sizes that are made up.
func (r *rules) numbers(req Request, field, text string) {
	given := req.facts()
	for _, n := range number.FindAllString(text, -1) {
		if !strings.Contains(given, n) {
			r.broken(field, "names %s, which the request does not", n)
		}
	}
}

// facts are the numbers and texts that an answer may repeat.
func (r *Request) facts() string {
	var b strings.Builder
	fmt.Fprintln(&b, r.AssetID, r.SizeBytes, r.Triangles, r.Name, r.Description, r.Purpose, r.Subject, r.Audience, r.class.maxBytes)
	for _, value := range r.Other {
		b.Write(value)
		b.WriteByte('\n')
	}
	return b.String()
}
