package quality

import (
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	maxSafe     = 256 << 10 // bytes of a text
	maxFindings = 10        // details of one text
)

// Safe returns what in a text that a model wrote must not come before a class, as details of the given field, at most ten. Each names
// what it is and how to mend it, and repeats at most 80 characters of the text, and of a secret or a person's data the first few only.
// It looks for
//
//   - words and phrases that are not for children (lists/unsuitable.txt),
//   - personal data: e-mail addresses, phone numbers, street addresses, numbers of cards, accounts and persons,
//   - links, images and active HTML,
//   - traces of an injection: orders to a model (lists/traces.txt), role markers, tags of a prompt, encoded blocks, hidden characters, keys.
//
// It takes time linear in the text, and refuses one of more than 256 KiB unread. It knows the words of English only: for other languages
// the lists find nothing, the rest holds.
func Safe(field, text string) []fault.Detail {
	f := findings{field: field}
	if len(text) > maxSafe {
		f.add("", "has %d bytes, at most %d are read: write less", len(text), maxSafe)
		return f.details
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	f.hidden(text)
	words := tokens(text)
	unsuitable.find(text, words, func(h hit) bool {
		return f.add(h.text, "%s (%s) %s, which is not for a class: leave it out", quoted(h.text), h.group.name, h.group.what)
	})
	traces.find(text, words, func(h hit) bool {
		return f.add(h.text, "%s %s: write only what the task asks for, and nothing about prompts, instructions or yourself", quoted(h.text), h.group.what)
	})
	f.personal(text)
	f.links(text)
	f.markers(text)
	return f.details
}

// findings collects details, each finding once.
type findings struct {
	field   string
	details []fault.Detail
	seen    map[string]bool
}

// add reports whether there is room for more.
func (f *findings) add(what, format string, args ...any) bool {
	if f.seen == nil {
		f.seen = map[string]bool{}
	}
	key := format + strings.ToLower(what)
	if !f.seen[key] && len(f.details) < maxFindings {
		f.seen[key] = true
		f.details = append(f.details, fault.Detail{Field: f.field, Reason: fmt.Sprintf(format, args...)})
	}
	return len(f.details) < maxFindings
}

func quoted(s string) string { return fmt.Sprintf("%q", quote(s)) }

// hinted returns the beginning of what must not be repeated.
func hinted(s string) string {
	r := []rune(s)
	return fmt.Sprintf("%q", string(r[:min(len(r)/3, 6)])+"…")
}
