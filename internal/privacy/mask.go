package privacy

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	email = regexp.MustCompile(`[\pL\pN._%+-]{1,64}@[\pL\pN-]{1,63}(?:\.[\pL\pN-]{1,63}){1,8}`)
	// phone takes international numbers, and the form in which they are written in North America. Other national forms cannot be told
	// from the numbers of a lesson.
	phone = regexp.MustCompile(`\+\d[\d ()./-]{6,18}\d|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}`)
	// pseudonym is what a model may make of ours.
	pseudonym = regexp.MustCompile(`(?i)(?:PERSON_\d{1,3}[A-Z]?|EMAIL_\d{1,3}|PHONE_\d{1,3})`)
)

const (
	maxMasked = 64        // people that one call hides
	maxParts  = 'S' - 'A' // parts of a name that have a letter: S is an ending
	minPart   = 3         // characters of a part that is hidden alone
)

// mask gives what is to be hidden its pseudonyms, and back.
type mask struct {
	names  []name            // longest first
	tokens map[string]string // what is hidden, in lower case, to its pseudonym
	hidden map[string]string // pseudonym to what it stands for, as it was written first
	count  map[string]int    // of each sort
	taken  func(string) bool
}

// name is what stands for a person in a text.
type name struct {
	text  string
	token string
	exact bool // with these capitals only: a part of a name may be a word of the language
}

// newMask returns a mask for texts that may hold names. A pseudonym that stands in one of texts already is not used.
func newMask(names []string, texts ...string) *mask {
	m := &mask{tokens: map[string]string{}, hidden: map[string]string{}, count: map[string]int{}}
	present := map[string]bool{}
	for _, text := range texts {
		for _, found := range pseudonym.FindAllString(text, -1) {
			present[strings.ToUpper(found)] = true
		}
	}
	m.taken = func(token string) bool { return present[token] || present[token+"A"] }
	for _, full := range names[:min(len(names), maxMasked)] {
		if strings.TrimSpace(full) == "" {
			continue
		}
		token := m.next("PERSON")
		m.add(full, token, false)
		if parts := strings.Fields(full); len(parts) > 1 {
			for i, part := range parts[:min(len(parts), maxParts)] {
				if utf8.RuneCountInString(part) >= minPart {
					m.add(part, token+string(rune('A'+i)), true)
				}
			}
		}
	}
	slices.SortStableFunc(m.names, func(a, b name) int { return len(b.text) - len(a.text) })
	return m
}

func (m *mask) add(text, token string, exact bool) {
	forms := []string{text}
	if escaped := escape(text); escaped != text {
		forms = append(forms, escaped) // as it stands in a prompt's JSON
	}
	for _, form := range forms {
		m.names = append(m.names, name{form, token, exact})
	}
	if _, known := m.hidden[token]; !known {
		m.hidden[token] = text
	}
}

func (m *mask) next(sort string) string {
	for {
		m.count[sort]++
		if token := fmt.Sprintf("%s_%d", sort, m.count[sort]); !m.taken(token) {
			return token
		}
	}
}

// empty reports whether nothing was hidden and there is nobody to hide.
func (m *mask) empty() bool { return len(m.hidden) == 0 }

// hide returns text under pseudonyms.
func (m *mask) hide(text string) string {
	text = m.hideEmails(text)
	text = phone.ReplaceAllStringFunc(text, func(found string) string { return m.token("PHONE", found) })
	for _, n := range m.names {
		text = replaceWord(text, n)
	}
	return text
}

// hideEmails leaves the letters of a JSON escape that an address stands behind: they are none of its.
func (m *mask) hideEmails(text string) string {
	var out strings.Builder
	end := 0
	for _, at := range email.FindAllStringIndex(text, -1) {
		start := at[0]
		if letters := escapeLetters.FindString(text[start:at[1]]); start > 0 && text[start-1] == '\\' && text[start+len(letters)] != '@' {
			start += len(letters)
		}
		out.WriteString(text[end:start] + m.token("EMAIL", text[start:at[1]]))
		end = at[1]
	}
	return out.String() + text[end:]
}

var (
	escapeLetters = regexp.MustCompile(`^(?:[bfnrt]|u[0-9a-fA-F]{4})`)
	escapeEnds    = regexp.MustCompile(`\\(?:[bfnrt]|u[0-9a-fA-F]{4})$`)
)

// token returns the pseudonym of an address or a number; those beyond what fits three digits share the last one's fate of being
// cut out for good.
func (m *mask) token(sort, found string) string {
	key := strings.ToLower(found)
	if token, ok := m.tokens[key]; ok {
		return token
	}
	if m.count[sort] >= 900 {
		return "[withheld]"
	}
	token := m.next(sort)
	m.tokens[key], m.hidden[token] = token, found
	return token
}

// replaceWord puts a name's pseudonym in its place wherever it stands as whole words, also behind a JSON escape and before an s.
func replaceWord(text string, n name) string {
	var out strings.Builder
	rest, before := text, ' '
	for {
		at, length := index(rest, n)
		if at < 0 {
			out.WriteString(rest)
			return out.String()
		}
		prev := before
		if at > 0 {
			prev, _ = utf8.DecodeLastRuneInString(rest[:at])
		}
		begins := !partOfWord(prev) || escapeEnds.MatchString(rest[max(at-6, 0):at])
		out.WriteString(rest[:at])
		if !begins || !endsWord(rest[at+length:]) {
			out.WriteString(rest[at : at+length])
		} else {
			out.WriteString(n.token)
		}
		before, _ = utf8.DecodeLastRuneInString(rest[:at+length])
		rest = rest[at+length:]
	}
}

// endsWord reports whether a word may end before text, or before the s that text begins with.
func endsWord(text string) bool {
	if text != "" && (text[0] == 's' || text[0] == 'S') {
		text = text[1:]
	}
	next, size := utf8.DecodeRuneInString(text)
	return size == 0 || !partOfWord(next)
}

func partOfWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }

// index returns where n stands first in text, and how many bytes it has there.
func index(text string, n name) (at, length int) {
	if n.exact {
		return strings.Index(text, n.text), len(n.text)
	}
	want := []rune(strings.ToLower(n.text))
	for i := range text {
		if end, ok := hasFold(text[i:], want); ok {
			return i, end
		}
	}
	return -1, 0
}

// hasFold reports whether text begins with want, which is in lower case, and how many bytes that takes.
func hasFold(text string, want []rune) (int, bool) {
	at := 0
	for _, w := range want {
		r, size := utf8.DecodeRuneInString(text[at:])
		if size == 0 || unicode.ToLower(r) != w {
			return 0, false
		}
		at += size
	}
	return at, true
}

// escape returns s as it stands within a JSON string.
func escape(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		return s
	}
	return string(quoted[1 : len(quoted)-1])
}
