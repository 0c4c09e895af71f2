package privacy

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Bounds of the names that are looked for.
const (
	maxTenants  = 1000             // whose names are kept in memory; beyond, one that is there makes room
	namesAge    = time.Minute      // after which they are asked for again
	namesTime   = time.Second      // that a submission waits for them at the most
	maxFound    = maxMasked        // in one input
	maxNameSize = 200              // bytes; longer ones are no names
	retryNames  = 10 * time.Second // between tries while they cannot be had
)

// NameSource knows the names of a tenant's people.
type NameSource interface {
	Names(ctx context.Context, tenant string) ([]string, error)
}

// Names finds a tenant's people in inputs. Only names of two words and more are looked for: a single one is too often a word of the
// language. While the source is away it goes on with what it knew. It is safe for concurrent use.
type Names struct {
	source NameSource
	logger *slog.Logger
	mu     sync.Mutex
	known  map[string]*people
}

// people are a tenant's, by the first word of their name in lower case.
type people struct {
	mu     sync.Mutex // held while they are asked for
	until  time.Time
	byWord map[string][][]string
}

// NewNames returns names from source.
func NewNames(source NameSource, logger *slog.Logger) *Names {
	return &Names{source: source, logger: logger, known: map[string]*people{}}
}

// NamesIn returns the names of the tenant's people that stand in the strings of input, as they are written there, each once.
func (n *Names) NamesIn(ctx context.Context, tenant string, input json.RawMessage) []string {
	byWord := n.of(ctx, tenant)
	if len(byWord) == 0 {
		return nil
	}
	var doc any
	if json.Unmarshal(input, &doc) != nil {
		return nil
	}
	var found []string
	eachString(doc, func(text string) {
		found = namesIn(text, byWord, found)
	})
	slices.Sort(found) // a document's keys have no order
	return found
}

func (n *Names) of(ctx context.Context, tenant string) map[string][][]string {
	n.mu.Lock()
	p := n.known[tenant]
	if p == nil {
		if len(n.known) >= maxTenants {
			for other := range n.known {
				delete(n.known, other)
				break
			}
		}
		p = &people{}
		n.known[tenant] = p
	}
	n.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().Before(p.until) {
		return p.byWord
	}
	bounded, cancel := context.WithTimeout(ctx, namesTime)
	defer cancel()
	list, err := n.source.Names(bounded, tenant)
	if err != nil {
		p.until = time.Now().Add(retryNames)
		n.logger.WarnContext(ctx, "the names of a tenant's people cannot be had; models may be told some", "tenant", tenant, "known", p.byWord != nil, "error", err)
		return p.byWord
	}
	p.until, p.byWord = time.Now().Add(namesAge), map[string][][]string{}
	for _, full := range list {
		if words := words(full); len(words) > 1 && len(full) <= maxNameSize {
			for i := range words {
				words[i].text = strings.ToLower(words[i].text)
			}
			p.byWord[words[0].text] = append(p.byWord[words[0].text], texts(words))
		}
	}
	return p.byWord
}

type word struct {
	text       string
	start, end int // bytes
}

// words splits a text at everything that stands in no name.
func words(text string) []word {
	var out []word
	start := -1
	for i, r := range text {
		inside := unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) || r == '\'' || r == '’' || r == '-'
		if inside && start < 0 {
			start = i
		}
		if !inside && start >= 0 {
			out = append(out, word{text[start:i], start, i})
			start = -1
		}
	}
	if start >= 0 {
		out = append(out, word{text[start:], start, len(text)})
	}
	return out
}

func texts(words []word) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return out
}

// namesIn adds to found the names that stand in text. A possessive ending is none of a name's.
func namesIn(text string, byWord map[string][][]string, found []string) []string {
	all := words(text)
	for i := range all {
		for _, name := range byWord[strings.ToLower(all[i].text)] {
			end, ok := follows(all[i:], name)
			if !ok {
				continue
			}
			if written := text[all[i].start:end]; len(found) < maxFound && !slices.Contains(found, written) {
				found = append(found, written)
			}
		}
	}
	return found
}

// follows reports whether all begins with name's words, and where in the text that ends.
func follows(all []word, name []string) (end int, ok bool) {
	if len(all) < len(name) {
		return 0, false
	}
	for i, want := range name {
		w := all[i]
		have := strings.ToLower(w.text)
		if have == want {
			end = w.end
			continue
		}
		short := strings.TrimSuffix(strings.TrimSuffix(have, "'s"), "’s")
		if i != len(name)-1 || short != want {
			return 0, false
		}
		end = w.start + len(w.text) - (len(have) - len(short))
	}
	return end, true
}

// eachString calls fn with every string value of a JSON document. Keys are the contract's, but for those of a context object, which
// stay: an answer could not be matched to them.
func eachString(doc any, fn func(string)) {
	switch v := doc.(type) {
	case string:
		fn(v)
	case []any:
		for _, item := range v {
			eachString(item, fn)
		}
	case map[string]any:
		for _, item := range v {
			eachString(item, fn)
		}
	}
}
