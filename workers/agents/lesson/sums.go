package lesson

import (
	"math/big"
	"regexp"
	"strings"
)

const sum = `([\d.,]+(?:\s*[-+−–×x*·÷/:()]+\s*\(*\s*[\d.,]+\)*)+|\([^=?]*\))`

// Questions that ask for nothing but the value of a sum, and statements of one. Everything else, rounding and remainders included, is
// left to the teacher.
var (
	asksSum   = regexp.MustCompile(`(?i)^(?:what is|what's|how much is|calculate|compute|work out|evaluate|solve|find)?:?\s*` + sum + `\s*(?:=\s*(?:_{3,}|\?)?)?\s*[?.]?$`)
	statesSum = regexp.MustCompile(`(?i)^(?:true or false\s*[:?]\s*)?` + sum + `\s*=\s*(-?[\d.,/ −]+?)\s*[.?]?$`)
)

// sums holds the key of a question that is a plain sum against its value.
func (r *rules) sums(at string, q Question) {
	if m := statesSum.FindStringSubmatch(q.Text); m != nil && q.Type == TrueFalse {
		value, ok := evaluate(m[1])
		said, readable := number(m[2])
		if ok && readable && matches(value, said, m[2]) != q.Options[0].IsCorrect {
			r.broken(at+".correct_answer", "is %q, but %s is %s", q.CorrectAnswer[0], m[1], shown(value))
		}
		return
	}
	m := asksSum.FindStringSubmatch(q.Text)
	if m == nil || len(q.CorrectAnswer) != 1 || q.Type != MultipleChoice && q.Type != FillBlank && q.Type != ShortAnswer {
		return
	}
	value, ok := evaluate(m[1])
	if !ok {
		return
	}
	if said, readable := number(q.CorrectAnswer[0]); readable && !matches(value, said, q.CorrectAnswer[0]) {
		r.broken(at+".correct_answer", "is %q, but %s is %s", q.CorrectAnswer[0], m[1], shown(value))
		return
	}
	for i, o := range q.Options {
		if said, readable := number(o.Text); readable && !o.IsCorrect && said.Cmp(value) == 0 {
			r.broken(at+".options", "number %d, %q, is right as well: %s is %s", i+1, o.Text, m[1], shown(value))
		}
	}
}

func shown(v *big.Rat) string { return strings.TrimSuffix(v.RatString(), "/1") }

var (
	plainNumber = regexp.MustCompile(`^-?(?:\d{1,15}|\d{1,3}(?:,\d{3}){1,4})(?:\.\d{1,12})?$`)
	fraction    = regexp.MustCompile(`^(-?)(?:(\d{1,9})\s+)?(\d{1,9})\s*/\s*(\d{1,9})$`)
)

// number reads 12, -3, 1,000, 2.5, 3/4 and 1 1/2.
func number(s string) (*big.Rat, bool) {
	s = strings.TrimSuffix(strings.TrimSpace(strings.ReplaceAll(s, "−", "-")), ".")
	if plainNumber.MatchString(s) {
		return new(big.Rat).SetString(strings.ReplaceAll(s, ",", ""))
	}
	m := fraction.FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	v, ok := new(big.Rat).SetString(m[3] + "/" + m[4])
	if !ok {
		return nil, false
	}
	if m[2] != "" {
		whole, _ := new(big.Rat).SetString(m[2])
		v.Add(v, whole)
	}
	if m[1] != "" {
		v.Neg(v)
	}
	return v, true
}

// matches reports whether said, as it is written, is value, or value rounded to as many places.
func matches(value, said *big.Rat, written string) bool {
	if value.Cmp(said) == 0 {
		return true
	}
	_, places, found := strings.Cut(strings.TrimSuffix(strings.TrimSpace(written), "."), ".")
	if !found || len(places) > 12 {
		return false
	}
	rounded, ok := new(big.Rat).SetString(value.FloatString(len(places)))
	return ok && rounded.Cmp(said) == 0
}

// tight matches a fraction, which binds closer than a division that is written with spaces.
var tight = regexp.MustCompile(`(\d+)/(\d+)`)

// evaluate returns the value of a sum of plain numbers, brackets and the four operations, and false when it is none, or may be read in
// two ways.
func evaluate(s string) (*big.Rat, bool) {
	if strings.Contains(s, "/") && strings.ContainsAny(s, "÷:") && !strings.Contains(s, " ÷ ") && !strings.Contains(s, " : ") {
		return nil, false // 12÷6/2
	}
	s = tight.ReplaceAllString(s, "($1/$2)")
	p := &parser{rest: strings.NewReplacer("−", "-", "–", "-", "×", "*", "x", "*", "·", "*", "÷", "/", ":", "/", " ", "").Replace(s)}
	if strings.Contains(p.rest, "**") || strings.Contains(p.rest, "//") || len(p.rest) > 200 {
		return nil, false
	}
	v, ok := p.sum(0)
	return v, ok && p.rest == ""
}

// parser reads a sum by recursive descent.
type parser struct{ rest string }

const maxDepth = 20

func (p *parser) sum(depth int) (*big.Rat, bool) {
	v, ok := p.product(depth)
	for ok && p.rest != "" && (p.rest[0] == '+' || p.rest[0] == '-') {
		sign := p.rest[0]
		p.rest = p.rest[1:]
		var w *big.Rat
		if w, ok = p.product(depth); ok && sign == '+' {
			v.Add(v, w)
		} else if ok {
			v.Sub(v, w)
		}
	}
	return v, ok
}

func (p *parser) product(depth int) (*big.Rat, bool) {
	v, ok := p.value(depth)
	for ok && p.rest != "" && (p.rest[0] == '*' || p.rest[0] == '/') {
		sign := p.rest[0]
		p.rest = p.rest[1:]
		var w *big.Rat
		if w, ok = p.value(depth); !ok {
			break
		}
		if sign == '*' {
			v.Mul(v, w)
		} else if ok = w.Sign() != 0; ok {
			v.Quo(v, w)
		}
	}
	return v, ok
}

var leadingNumber = regexp.MustCompile(`^(?:\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.\d{1,12})?`)

func (p *parser) value(depth int) (*big.Rat, bool) {
	if strings.HasPrefix(p.rest, "(") && depth < maxDepth {
		p.rest = p.rest[1:]
		v, ok := p.sum(depth + 1)
		if !ok || !strings.HasPrefix(p.rest, ")") {
			return nil, false
		}
		p.rest = p.rest[1:]
		return v, true
	}
	text := leadingNumber.FindString(p.rest)
	if text == "" {
		return nil, false
	}
	p.rest = p.rest[len(text):]
	return new(big.Rat).SetString(strings.ReplaceAll(text, ",", ""))
}
