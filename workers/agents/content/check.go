package content

import (
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// minBody is the least that a section's body says, in characters: less is a heading.
const minBody = 80

func checkOutline(req Request, o *Outline) []fault.Detail {
	o.Title, o.Summary, o.KeyTerms = lesson.Clean(o.Title), lesson.Clean(o.Summary), lesson.CleanAll(o.KeyTerms)
	details := notBlank("answer.title", o.Title, nil)
	details = notBlank("answer.summary", o.Summary, details)
	cover := newCover(req)
	for i := range o.Sections {
		s, at := &o.Sections[i], fmt.Sprintf("answer.sections[%d]", i)
		s.Title, s.Focus = lesson.Clean(s.Title), lesson.Clean(s.Focus)
		details = notBlank(at+".title", s.Title, details)
		details = cover.add(at, i, s.Objectives, details)
	}
	return cover.missing(details)
}

func checkDraft(req Request, d *Draft) []fault.Detail {
	var details []fault.Detail
	cover := newCover(req)
	titles := map[string]bool{}
	for i := range d.Sections {
		s, at := &d.Sections[i], fmt.Sprintf("answer.sections[%d]", i)
		s.Title, s.Body, s.Activity = lesson.Clean(s.Title), strings.TrimSpace(s.Body), strings.TrimSpace(s.Activity)
		details = notBlank(at+".title", s.Title, details)
		if titles[strings.ToLower(s.Title)] {
			details = append(details, fault.Detail{Field: at + ".title", Reason: "repeats the title of another section"})
		}
		titles[strings.ToLower(s.Title)] = true
		if n := len([]rune(s.Body)); n < minBody {
			details = append(details, fault.Detail{Field: at + ".body", Reason: fmt.Sprintf("has %d characters, must have at least %d", n, minBody)})
		}
		details = cover.add(at, i, s.Objectives, details)
	}
	details = cover.missing(details)
	details = cover.evidence(d, details)
	details = checkLists(d, details)
	return append(details, quality.Read(d.prose(), req.words()...).Check("answer.sections", req.Grade.To)...)
}

func checkLists(d *Draft, details []fault.Detail) []fault.Detail {
	terms := map[string]bool{}
	for i := range d.Vocabulary {
		v, at := &d.Vocabulary[i], fmt.Sprintf("answer.vocabulary[%d]", i)
		v.Term, v.Definition = lesson.Clean(v.Term), lesson.Clean(v.Definition)
		details = notBlank(at+".term", v.Term, details)
		details = notBlank(at+".definition", v.Definition, details)
		if terms[strings.ToLower(v.Term)] {
			details = append(details, fault.Detail{Field: at + ".term", Reason: fmt.Sprintf("%q stands twice", v.Term)})
		}
		terms[strings.ToLower(v.Term)] = true
	}
	for _, l := range []struct {
		field string
		list  *[]string
	}{
		{"answer.interactive_elements", &d.InteractiveElements},
		{"answer.roblox_integration.game_mechanics", &d.RobloxIntegration.GameMechanics},
		{"answer.roblox_integration.ui_elements", &d.RobloxIntegration.UIElements},
	} {
		if *l.list = lesson.CleanAll(*l.list); len(*l.list) == 0 {
			details = append(details, fault.Detail{Field: l.field, Reason: "holds nothing but blanks"})
		}
	}
	return details
}

func notBlank(field, s string, details []fault.Detail) []fault.Detail {
	if s == "" {
		details = append(details, fault.Detail{Field: field, Reason: "is blank"})
	}
	return details
}

// cover keeps which sections serve which objective.
type cover struct {
	objectives []lesson.Objective
	sections   [][]int // for each objective, the sections that name it, from 0
}

func newCover(req Request) *cover {
	return &cover{objectives: req.Objectives, sections: make([][]int, len(req.Objectives))}
}

func (c *cover) add(at string, section int, numbers []lesson.Int, details []fault.Detail) []fault.Detail {
	seen := map[lesson.Int]bool{}
	for i, n := range numbers {
		if n < 1 || int(n) > len(c.objectives) {
			details = append(details, fault.Detail{
				Field:  fmt.Sprintf("%s.objectives[%d]", at, i),
				Reason: fmt.Sprintf("is %d, but the objectives are numbered 1 to %d", n, len(c.objectives)),
			})
		} else if !seen[n] {
			c.sections[n-1] = append(c.sections[n-1], section)
		}
		seen[n] = true
	}
	return details
}

// missing names the objectives that no section serves.
func (c *cover) missing(details []fault.Detail) []fault.Detail {
	for i, sections := range c.sections {
		if len(sections) == 0 {
			details = append(details, fault.Detail{
				Field:  "answer.sections",
				Reason: fmt.Sprintf("do not cover objective %d (%q): no section has %d in its objectives", i+1, c.objectives[i].Title, i+1),
			})
		}
	}
	return details
}

// evidence names the objectives that are claimed and not taught: the sections that name them share no word with them. It is
// a low bar, so that only an empty claim falls.
func (c *cover) evidence(d *Draft, details []fault.Detail) []fault.Detail {
	for i, sections := range c.sections {
		if len(sections) > 0 && lesson.Overlap(c.objectives[i].Text(), d.text(sections)) == 0 {
			details = append(details, fault.Detail{
				Field:  fmt.Sprintf("answer.sections[%d].body", sections[0]),
				Reason: fmt.Sprintf("says nothing about objective %d (%q), which the section names", i+1, c.objectives[i].Title),
			})
		}
	}
	return details
}

// text joins the texts of the given sections.
func (d *Draft) text(sections []int) string {
	var b strings.Builder
	for _, i := range sections {
		s := d.Sections[i]
		b.WriteString(s.Title + "\n" + s.Body + "\n" + s.Activity + "\n")
	}
	return b.String()
}
