// Package agentcontext keeps what an agent should remember for somebody between its calls: entries of text by key, each with a
// priority, within a budget of tokens.
//
// A context belongs to one user of one tenant. When an update takes it beyond its budget, whole entries go: those of the lowest
// priority first, and within a priority the one that was written the longest ago. An entry is never split, and one that is larger than
// the budget by itself is refused. What went is named in the answer, also when it is what was just written: it counted for less than all else.
//
// Tokens are estimated, one for every four bytes of an entry's content, rounded up: as package llm does before it knows a model's own
// count. The estimate is stored with the entry, so that a budget means the same in each process.
//
// Stores lock a context while it changes, so that two processes never take it beyond its budget together. The Postgres one is in package
// postgres, Memory is for one process, and package agentcontexttest holds both to the same rules.
package agentcontext

import (
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Limits of a context.
const (
	Budget     = 128_000  // tokens of a context
	MaxEntries = 1_000    // entries of a context
	MaxContent = 64 << 10 // bytes of one entry's content
	MaxUpdate  = 100      // entries of one update
	MaxKey     = 128      // bytes of a key
	MaxSource  = 128      // bytes of a source

	bytesPerToken = 4
)

// Priority says how long an entry stays when there is no room for all.
type Priority string

// The priorities, the first to go first.
const (
	Low      Priority = "low"
	Normal   Priority = "normal"
	High     Priority = "high"
	Critical Priority = "critical"
)

// Priorities returns all, the first to go first.
func Priorities() []Priority { return []Priority{Low, Normal, High, Critical} }

// Rank returns the place of p among Priorities, or -1.
func (p Priority) Rank() int {
	for i, known := range Priorities() {
		if p == known {
			return i
		}
	}
	return -1
}

// Owner is whose a context is.
type Owner struct{ Tenant, UserID string }

// Entry is one thing to remember.
type Entry struct {
	Key       string    `json:"key"`               // [A-Za-z0-9][A-Za-z0-9._-]*, at most MaxKey bytes
	Content   string    `json:"content,omitempty"` // left out where only heads are shown
	Priority  Priority  `json:"priority"`
	Tokens    int       `json:"tokens"`           // see Tokens
	Source    string    `json:"source,omitempty"` // where it comes from, in the words of who wrote it
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"` // when its content was written; reading it and changing its priority do not count
}

// Tokens returns how many tokens a text is taken to have.
func Tokens(content string) int { return (len(content) + bytesPerToken - 1) / bytesPerToken }

// Write is what somebody wants to have remembered.
type Write struct {
	Key      string   `json:"key"`
	Content  string   `json:"content"`
	Priority Priority `json:"priority,omitempty"` // that of the entry that is there, or Normal, when empty
	Source   string   `json:"source,omitempty"`
}

// Context is what is remembered, what counts most first.
type Context struct {
	Entries []Entry  `json:"entries"`
	Tokens  int      `json:"tokens"`           // of all entries
	Budget  int      `json:"budget"`           // tokens that there is room for
	Pruned  []string `json:"pruned,omitempty"` // keys that went for want of room
}

var keyForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// checkKey says what is wrong with a key, or returns "".
func checkKey(key string) string {
	if len(key) > MaxKey || !keyForm.MatchString(key) {
		return fmt.Sprintf("must have 1 to %d of A-Z, a-z, 0-9, '.', '_' and '-', and begin with a letter or digit", MaxKey)
	}
	return ""
}

// check returns what is wrong with w, under names that begin with at.
func (w Write) check(at string, budget int) (details []fault.Detail) {
	wrong := func(field, format string, args ...any) {
		details = append(details, fault.Detail{Field: at + "." + field, Reason: fmt.Sprintf(format, args...)})
	}
	if why := checkKey(w.Key); why != "" {
		wrong("key", "%s", why)
	}
	switch {
	case w.Content == "":
		wrong("content", "is missing; to remove an entry, clear it")
	case len(w.Content) > MaxContent:
		wrong("content", "has %d bytes, at most %d are allowed", len(w.Content), MaxContent)
	case Tokens(w.Content) > budget:
		wrong("content", "has about %d tokens, more than the whole budget of %d", Tokens(w.Content), budget)
	case !storable(w.Content):
		wrong("content", "must be UTF-8 without NUL")
	}
	if w.Priority != "" && w.Priority.Rank() < 0 {
		wrong("priority", "must be low, normal, high or critical")
	}
	if len(w.Source) > MaxSource || !storable(w.Source) {
		wrong("source", "must be UTF-8 without NUL, of at most %d bytes", MaxSource)
	}
	return details
}

func storable(text string) bool {
	for i := range len(text) {
		if text[i] == 0 {
			return false
		}
	}
	return utf8.ValidString(text)
}
