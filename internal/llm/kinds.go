package llm

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Choice is what is asked instead of the default. Zero fields leave that as it is.
type Choice struct {
	Model       Model
	Temperature *float64 // 0 to 1
}

// Kinds says what is asked for which purpose: a kind ("quiz") or one step of it ("quiz.draft").
type Kinds map[string]Choice

// maxKinds bounds the entries of LLM_KINDS; the models they name count against what one process may open.
const maxKinds = 64

var stepName = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

const kindsForm = "quiz=openai/gpt-5-mini@0.3,script.draft=anthropic/claude-sonnet-5-5,content=@0.8"

// ParseKinds reads LLM_KINDS: entries "kind=provider/model@temperature" or "kind.step=…", separated by commas, where either the model or
// the temperature may be left out. A step takes from its kind what it does not say itself. known are the kinds that there are.
//
// Whether the models can be asked shows in Govern. Errors are Invalid, name LLM_KINDS and say how it is written.
func ParseKinds(value string, known []string) (Kinds, error) {
	kinds := Kinds{}
	for entry := range strings.SplitSeq(value, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		purpose, choice, ok := strings.Cut(entry, "=")
		if !ok {
			return nil, badKinds("%q is no entry", entry)
		}
		purpose = strings.TrimSpace(purpose)
		kind, step, stepped := strings.Cut(purpose, ".")
		switch _, twice := kinds[purpose]; {
		case twice:
			return nil, badKinds("%q is there twice", purpose)
		case !slices.Contains(known, kind):
			return nil, badKinds("there is no kind %q, there are %s", kind, strings.Join(known, ", "))
		case stepped && !stepName.MatchString(step):
			return nil, badKinds("%q names no step", purpose)
		case len(kinds) == maxKinds:
			return nil, badKinds("there are more than %d entries", maxKinds)
		}
		c, err := parseChoice(strings.TrimSpace(choice))
		if err != nil {
			return nil, err
		}
		kinds[purpose] = c
	}
	for purpose, c := range kinds {
		if kind, _, stepped := strings.Cut(purpose, "."); stepped {
			kinds[purpose] = c.over(kinds[kind])
		}
	}
	return kinds, nil
}

func badKinds(format string, args ...any) error {
	return fault.InvalidField("LLM_KINDS", "%s; it is written as %s", clip(fmt.Sprintf(format, args...), 300), kindsForm)
}

// parseChoice reads "provider/model@temperature". A name may hold an @ that no number follows.
func parseChoice(s string) (Choice, error) {
	var c Choice
	name := s
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		t, err := strconv.ParseFloat(s[at+1:], 64)
		switch {
		case err == nil && t >= 0 && t <= 1:
			name, c.Temperature = s[:at], &t
		case err == nil || at == 0:
			return Choice{}, badKinds("the temperature %q is not 0 to 1", s[at+1:])
		}
	}
	if name == "" && c.Temperature != nil {
		return c, nil
	}
	m, err := ParseModel(name)
	if err != nil {
		return Choice{}, badKinds("%q is no provider/model", name)
	}
	c.Model = m
	return c, nil
}

// over fills in from base what c leaves open.
func (c Choice) over(base Choice) Choice {
	if c.Model == (Model{}) {
		c.Model = base.Model
	}
	if c.Temperature == nil {
		c.Temperature = base.Temperature
	}
	return c
}

// of returns the choice for a purpose, which is a step's, or its kind's, or none.
func (k Kinds) of(purpose string) Choice {
	if c, ok := k[purpose]; ok {
		return c
	}
	kind, _, _ := strings.Cut(purpose, ".")
	return k[kind]
}

func (k Kinds) purposes() []string { return slices.Sorted(maps.Keys(k)) }

// String says, for example, "(content: at 0.8; quiz: openai/gpt-5-mini at 0.3)"; it is empty when there are none.
func (k Kinds) String() string {
	var parts []string
	for _, purpose := range k.purposes() {
		part := purpose + ":"
		if m := k[purpose].Model; m != (Model{}) {
			part += " " + m.String()
		}
		if t := k[purpose].Temperature; t != nil {
			part += " at " + strconv.FormatFloat(*t, 'g', -1, 64)
		}
		parts = append(parts, part)
	}
	if parts == nil {
		return ""
	}
	return "(" + strings.Join(parts, "; ") + ")"
}
