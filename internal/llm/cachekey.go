package llm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// exactKey stands for a request to a model: two requests have the same one when the model is told the same, is asked for the same form, and
// is the same. The prompt's version is part of it, so that a new version finds nothing of an older one.
func exactKey(m Model, req Request) string {
	h := sha256.New()
	write(h, "exact/1", m.String(), req.Purpose, req.Version, req.System, string(req.Schema), req.Prompt, fmt.Sprint(req.MaxTokens), fmt.Sprint(req.Temperature))
	for _, msg := range req.Messages {
		write(h, string(msg.Role), msg.Text, msg.Call, fmt.Sprint(msg.Calls))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// write adds strings so that no two lists of them come to the same.
func write(h hash.Hash, parts ...string) {
	for _, s := range parts {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
}

// What counts as prose, whose words may differ while its meaning is the same, and how much of it a request may have to be compared.
const (
	proseWords = 3   // at least
	proseBytes = 500 // at most: of longer texts an embedding knows only the gist
	maxProse   = 8   // texts of one request
	codeSigns  = "=(){};<>\n"
)

// semanticKey splits a request into its prose, whose meaning is compared text by text, and the rest, which must be equal: the model, the
// prompt's version, and all of the input that is no prose, with the numbers, the negations and the names of the prose. (Embeddings put "up to 10"
// next to "up to 100", and "with" next to "without".) Prose is looked for in what was submitted, the input's field "request" where it has
// one: what earlier steps wrote must be equal, and is, where their answers came from the cache. It returns false for an input without
// prose, or with more than an entry holds.
func semanticKey(m Model, req Request) (space string, texts []string, ok bool) {
	var input any
	if len(req.Messages) > 0 || json.Unmarshal(req.Input, &input) != nil {
		return "", nil, false
	}
	if fields, ok := input.(map[string]any); ok && fields["request"] != nil {
		fields["request"] = withoutProse(fields["request"], &texts)
	} else {
		input = withoutProse(input, &texts)
	}
	rest, err := json.Marshal(input)
	if err != nil || len(texts) == 0 || len(texts) > maxProse {
		return "", nil, false
	}
	h := sha256.New()
	write(h, "semantic/2", m.String(), req.Purpose, req.Version, req.System, string(req.Schema), string(rest), fmt.Sprint(req.MaxTokens), fmt.Sprint(req.Temperature))
	for _, text := range texts {
		write(h, strict(text)...)
		write(h, "")
	}
	return hex.EncodeToString(h.Sum(nil)), texts, true
}

func isProse(s string) bool {
	return len(s) <= proseBytes && len(strings.Fields(s)) >= proseWords && !strings.ContainsAny(s, codeSigns)
}

// withoutProse returns v with a mark in place of each prose, which it adds to the list: in the order of the keys of objects.
func withoutProse(v any, prose *[]string) any {
	switch v := v.(type) {
	case string:
		if !isProse(v) {
			return v
		}
		*prose = append(*prose, v)
		return map[string]any{"prose": true}
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = withoutProse(item, prose)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			out[name] = withoutProse(v[name], prose)
		}
		return out
	}
	return v
}

// turning words change a meaning while an embedding hardly moves.
const turning = " no not never none without except but only instead before after more less least most minimum maximum kein keine nicht ohne sans pas sin no nunca "

// strict returns the words of a text that must be the same, in their order: those with digits, turning words, and those with a capital that begin
// no sentence. Among these are the names of people whom no directory knows: what was written about the one is not for the other.
func strict(text string) []string {
	var out []string
	begins := true // a sentence, or a text
	for _, word := range strings.FieldsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".-+!?\n", r)
	}) {
		for part := range strings.SplitAfterSeq(word, "\n") {
			bare := strings.Trim(part, ".!?\n")
			if bare == "" {
				begins = begins || part != ""
				continue
			}
			first, _ := utf8.DecodeRuneInString(bare)
			low := strings.ToLower(bare)
			if strings.ContainsFunc(bare, unicode.IsDigit) || strings.Contains(turning, " "+low+" ") || unicode.IsUpper(first) && !begins {
				out = append(out, low)
			}
			begins = strings.ContainsAny(part[len(part)-1:], ".!?\n")
		}
	}
	return out
}
