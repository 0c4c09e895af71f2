package privacy

import (
	"errors"
	"regexp"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// restorer puts back what pseudonyms stand for.
type restorer map[string]string

// restorer returns what undoes hide. In JSON what is put back is escaped.
func (m *mask) restorer(inJSON bool) restorer {
	r := make(restorer, len(m.hidden))
	for token, text := range m.hidden {
		if inJSON {
			text = escape(text)
		}
		r[token] = text
	}
	return r
}

func (r restorer) replace(text string) string {
	return pseudonym.ReplaceAllStringFunc(text, func(found string) string {
		token := strings.ToUpper(found)
		if original, ok := r[token]; ok {
			return original
		}
		// PERSON_1s is PERSON_1 with an ending.
		if last := len(token) - 1; token[last] >= 'A' && token[last] <= 'Z' {
			if original, ok := r[token[:last]]; ok {
				return original + found[last:]
			}
		}
		return found
	})
}

// unfinished is the end of a text that may become a pseudonym, or a longer one.
var unfinished = regexp.MustCompile(`(?i)(?:P|PE|PER|PERS|PERSO|PERSON|E|EM|EMA|EMAI|EMAIL|PH|PHO|PHON|PHONE|(?:PERSON|EMAIL|PHONE)_\d{0,3})$`)

// stream restores a text that comes in pieces. What may be half of a pseudonym waits for the next piece.
type stream struct {
	back restorer
	tell func(string)
	held string
}

func (s *stream) delta(piece string) {
	text := s.held + piece
	s.held = unfinished.FindString(text)
	if text = text[:len(text)-len(s.held)]; text != "" {
		s.tell(s.back.replace(text))
	}
}

// end tells what is still held.
func (s *stream) end() {
	if s.held != "" {
		s.tell(s.back.replace(s.held))
		s.held = ""
	}
}

// listen restores what req's caller hears. The returned function tells what is still held.
func (r restorer) listen(req *llm.Request) (end func()) {
	if refused := req.OnRefused; refused != nil {
		req.OnRefused = func(answer llm.Response, details []fault.Detail) {
			answer.Text = r.replace(answer.Text)
			refused(answer, r.details(details))
		}
	}
	tell, start := req.OnDelta, req.OnStart
	if tell == nil {
		return func() {}
	}
	s := &stream{back: r, tell: tell}
	req.OnDelta = s.delta
	if start != nil {
		req.OnStart = func() {
			s.held = ""
			start()
		}
	}
	return s.end
}

// error puts the originals back into an answer that is of no use.
func (r restorer) error(err error) error {
	var bad *llm.InvalidOutputError
	if errors.As(err, &bad) {
		bad.LastText, bad.Details = r.replace(bad.LastText), r.details(bad.Details)
	}
	return err
}

func (r restorer) details(hidden []fault.Detail) []fault.Detail {
	out := make([]fault.Detail, len(hidden))
	for i, d := range hidden {
		out[i] = fault.Detail{Field: d.Field, Reason: r.replace(d.Reason)}
	}
	return out
}
