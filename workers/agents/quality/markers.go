package quality

import (
	"iter"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	roleMarker = regexp.MustCompile(`(?i)<\|[^|>\n]{0,40}\|?>?|\[/?inst\]|<</?sys>>|</?s>|^#{2,4} ?(?:system|instruction|assistant|human) ?:|\n\n(?:human|assistant):`)
	// The tags that prompts put around data, and those that models use around their own thoughts and calls.
	promptTag = regexp.MustCompile(`(?i)</?(?:request|outline|lesson|slots|plan|asked|limits|previous_answer|system|instructions?|prompt|user_input|think|thinking|tool_call|tool_use|function_calls?|invoke)\s*/?>`)
	secretKey = regexp.MustCompile(`\bsk-[A-Za-z0-9_-]{16,}|\btbai_[A-Za-z0-9_-]{8,}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bAIza[0-9A-Za-z_-]{30,}|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}|-----BEGIN [A-Z ]{0,40}PRIVATE KEY|(?i:\bbearer )[A-Za-z0-9._~+/-]{20,}|_\|WARNING:-DO-NOT-SHARE`)
	secretEnv = regexp.MustCompile(`\b[A-Z][A-Z0-9_]{2,40}_(?:KEY|SECRET|TOKEN|PASSWORD)\s*[=:]\s*\S{6,}`)
)

func (f *findings) markers(text string) {
	for _, kind := range []struct {
		pattern *regexp.Regexp
		reason  string
		shown   func(string) string
		hints   []string
	}{
		{secretKey, "holds what looks like a key, %s: leave it out", hinted, []string{"sk-", "tbai_", "AKIA", "gh", "xox", "AIza", "eyJ", "-----BEGIN", "earer ", "EARER ", "_|WARNING"}},
		{secretEnv, "holds what looks like a secret, %s: leave it out", hinted, []string{"_KEY", "_SECRET", "_TOKEN", "_PASSWORD"}},
		{roleMarker, "holds a marker of a model's conversation, %s: leave it out", quoted, []string{"<", "[", "##", "\n\n"}},
		{promptTag, "holds a tag of a prompt, %s: write the text only, without the tags around your data", quoted, []string{"<"}},
	} {
		for _, at := range where(kind.pattern, text, kind.hints...) {
			found := text[at[0]:at[1]]
			if !f.add(found, kind.reason, kind.shown(found)) {
				return
			}
		}
	}
	for found := range runs(text) {
		if encoded(found) && !f.add(found, "holds an encoded block, %s: write in plain words", hinted(found)) {
			return
		}
	}
}

// leastRun is the length of a run of characters, in bytes, from which it may be an encoded block.
const leastRun = 60

// runs yields the long runs of characters of Base64.
func runs(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start := 0
		for i := 0; i <= len(text); i++ {
			if i < len(text) && (text[i] >= 'a' && text[i] <= 'z' || text[i] >= 'A' && text[i] <= 'Z' || text[i] >= '0' && text[i] <= '9' ||
				text[i] == '+' || text[i] == '/' || text[i] == '-' || text[i] == '_') {
				continue
			}
			if i-start >= leastRun && !yield(text[start:i]) {
				return
			}
			start = i + 1
		}
	}
}

// encoded reports whether a long run of characters is no word, no row of digits and no strand of DNA.
func encoded(s string) bool {
	return strings.ContainsFunc(s, unicode.IsLower) && strings.ContainsFunc(s, unicode.IsUpper) && strings.ContainsFunc(s, unicode.IsDigit)
}

// hidden finds characters that a reader does not see, or that turn the order of others.
func (f *findings) hidden(text string) {
	last, rtl := rune(0), strings.ContainsFunc(text, toTheLeft)
	for i, r := range text {
		if r >= 0x20 && r < 0x7f || r == '\n' || r == '\t' || r == '\r' {
			last = r
			continue
		}
		next, _ := utf8.DecodeRuneInString(text[i+utf8.RuneLen(r):])
		if isHidden(r, last, next, rtl) && !f.add("", "holds the hidden character U+%04X: leave it out", r) {
			return
		}
		last = r
	}
}

// isHidden says whether r, between last and next, is a hidden character. Joiners are at home between letters of other scripts and
// in emoji, marks of direction in texts with a script that runs to the left.
func isHidden(r, last, next rune, rtl bool) bool {
	switch {
	case r == utf8.RuneError:
		return false
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		return true
	case r == 0x200c || r == 0x200d:
		return last < 0x80 || next < 0x80
	case r == 0x200e || r == 0x200f:
		return !rtl
	case r == 0xad:
		return last < 0x80 && next < 0x80
	case r >= 0xe0000 && r <= 0xe007f:
		return true
	}
	return unicode.Is(unicode.Cf, r) && (r >= 0x2000 && r <= 0x206f || r == 0xfeff || r == 0x180e)
}

func toTheLeft(r rune) bool {
	return r >= 0x590 && unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana)
}
