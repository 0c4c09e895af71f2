package task

import (
	"regexp"
	"strings"
)

// values are what differs between two occurrences of the same error, beside quoted text, each with what stands for it in a
// pattern. Where two match, the first one counts, so the specific come before the general.
var values = [...]struct{ name, expr string }{
	{"<url>", `[a-z][a-z0-9+.-]{0,30}://[^\s"'<>()\[\]{}` + "`" + `]*[^\s"'<>()\[\]{}` + "`" + `.,;:!?]`},
	{"<uuid>", `[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b`},
	{"<time>", `(?:(?:mon|tue|wed|thu|fri|sat|sun), )?\d{1,2} (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec) \d{4} \d{2}:\d{2}:\d{2}(?: (?:gmt|utc|[-+]\d{4}))?\b|` +
		`\d{4}[-/]\d{2}[-/]\d{2}(?:[t ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?(?:z\b|[-+]\d{2}:?\d{2}(?: [a-z]{3,4}\b)?|utc\b|gmt\b))?)?|` +
		`\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?\b`},
	{"<email>", `[a-z0-9_.+-]{1,64}@[a-z0-9-]+(?:\.[a-z0-9-]+)+\b`},
	{"<addr>", `\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2}|:\d+)?\b|\[[0-9a-f.]*:[0-9a-f:.]+(?:%[a-z0-9]+)?\](?::\d+)?|` +
		`(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b|(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}\b|::1\b`},
	{"<path>", `/[\pL0-9_.@+~%-][\pL0-9_.@+~%/-]*[\pL0-9_~/-]|[a-z]:\\[^\s:"'<>]*[^\s:"'<>.,;]`},
	{"<duration>", `-?\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h|d)(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h))*\b|` +
		`\d+(?:\.\d+)? (?:nanosecond|microsecond|millisecond|second|minute|hour|day|sec|min)s?\b`},
	{"<n>", `[-+]?\d+(?:[.,:]\d+)*(?:e[-+]?\d+)?\b`},
	{"<word>", `[0-9a-z_]*[0-9][0-9a-z_]*|[a-f]{12,}\b`}, // see word
}

var (
	value   = compileValues()
	hexWord = regexp.MustCompile(`^(?:0x[0-9a-f]+|[0-9a-f]{7,})$`)
	digits  = regexp.MustCompile(`\d+`)
)

// compileValues returns an expression that matches a value at the beginning of a text, with a group for each of values.
func compileValues() *regexp.Regexp {
	var expr []string
	for _, v := range values {
		expr = append(expr, "("+v.expr+")")
	}
	return regexp.MustCompile("^(?:" + strings.Join(expr, "|") + ")")
}

// scanner goes through a text in lower case, word by word.
type scanner struct {
	text     string
	at       int    // the beginning of a word, or what is between words
	follow   string // bytes behind a word that may make it the beginning of a value
	unclosed string // quotes that nothing closes any more
}

func newScanner(text string) *scanner {
	s := &scanner{text: text, follow: ":,"}
	if strings.Contains(text, "://") || strings.Contains(text, "@") {
		s.follow = ":,@.+-"
	}
	return s
}

// next returns the length of what comes next, and what stands for it in the pattern when it is a value.
func (s *scanner) next() (n int, stands string) {
	if n := s.quoted(); n > 0 {
		return n, "<text>"
	}
	n, candidate := s.peek()
	if !candidate {
		return n, ""
	}
	text := s.text[s.at:]
	m := value.FindStringSubmatchIndex(text)
	for i := range values {
		if m == nil || m[2*i+2] < 0 {
			continue
		}
		if i == len(values)-1 {
			return m[1], word(text[:m[1]])
		}
		return m[1], values[i].name
	}
	return n, ""
}

// peek returns the length of the word that comes next, or of what stands there instead, and whether it may be the beginning of
// a value: that spares most of a text the regular expression, which is slow.
func (s *scanner) peek() (n int, candidate bool) {
	rest := s.text[s.at:]
	if !wordByte(rest[0]) {
		return 1, rest[0] == '[' || strings.IndexByte("/-+:", rest[0]) >= 0 && !s.behindWord()
	}
	numbered := false
	for n < len(rest) && wordByte(rest[n]) {
		numbered = numbered || '0' <= rest[n] && rest[n] <= '9'
		n++
	}
	followed := n < len(rest) && strings.IndexByte(s.follow, rest[n]) >= 0
	return n, numbered || followed || n >= 8
}

// quoted returns the length of the quoted text that comes next, 0 when none does. Each byte is looked at a few times at most,
// whatever the text: what is not closed once is not looked for again.
func (s *scanner) quoted() int {
	rest := s.text[s.at:]
	quote, end := rest[:1], -1
	if s.unclosed != "" && strings.Contains(s.unclosed, quote) {
		return 0
	}
	switch quote {
	case `"`:
		for i := 1; i < len(rest) && end < 0; i++ {
			switch rest[i] {
			case '\\':
				i++
			case '"':
				end = i + 1
			}
		}
	case "`":
		end = strings.IndexByte(rest[1:], '`') + 2
	case "'": // not the apostrophe in "can't"
		if s.behindWord() {
			return 0
		}
		end = strings.IndexByte(rest[1:], '\'') + 2
		if end > 1 && end < len(rest) && wordByte(rest[end]) {
			return 0
		}
	default:
		return 0
	}
	if end <= 1 {
		s.unclosed += quote
		return 0
	}
	return end
}

func (s *scanner) behindWord() bool { return s.at > 0 && wordByte(s.text[s.at-1]) }

func wordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_'
}

// word returns what stands for a word that holds a digit, or looks like a hash: a hash, a random name, or the word with its
// number taken out.
func word(w string) string {
	switch {
	case hexWord.MatchString(w):
		return "<hex>"
	case len(w) >= 12 && len(digits.FindAllString(w, 2)) > 1:
		return "<id>"
	}
	return digits.ReplaceAllLiteralString(w, "<n>")
}
