package composer

import (
	"cmp"
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
)

// What a teacher's text may hold and a lesson may not show. The rules that answers are held against refuse it, also where it
// is only repeated; so it is taken out where the composer reads it, and the words that carry the meaning stay.
var (
	scheme     = regexp.MustCompile(`(?i)\b(?:[a-z][a-z0-9+.-]{1,20}://|www\.|mailto:|javascript:|vbscript:|data:|tel:)`)
	innerDot   = regexp.MustCompile(`([\p{L}\p{N}-])\.(\p{L})`)
	manyDigits = regexp.MustCompile(`\+?\(?\d(?:[ ().-]?\d){8,}`)
	longRun    = regexp.MustCompile(`[A-Za-z0-9+/_=-]{40,}`)
	keyLike    = regexp.MustCompile(`\b(?:sk-|tbai_|AKIA|gh[pousr]_|xox[abprs]-|AIza|eyJ)[A-Za-z0-9_.-]{4,}|(?i:\bbearer )\S+`)
	secretName = regexp.MustCompile(`\b([A-Z][A-Z0-9_]*_(?:KEY|SECRET|TOKEN|PASSWORD))\s*[=:]\s*\S+`)
	orders     = regexp.MustCompile(`(?i)\b(?:ignore|disregard|forget|override|bypass|reveal|leak|dump|jailbreak)\b`)
	spoken     = regexp.MustCompile(`(?i)\b(?:system (?:prompt|message|instructions)|(?:ai|artificial intelligence|large) language model|ai (?:assistant|model|chatbot)|developer mode|api keys?|environment variables)\b`)
	brackets   = strings.NewReplacer("<", " ", ">", " ", "[", " ", "]", " ", "{", " ", "}", " ", "|", " ", "`", " ", "@", " at ", "#", " ", "\\", " ")
)

// plain returns a teacher's text as the composer may repeat it: without markup, addresses, long numbers, keys and orders to a model.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsGraphic(r) {
			return r
		}
		return -1
	}, s)
	s = keyLike.ReplaceAllString(s, "…")
	s = secretName.ReplaceAllString(s, "$1 …")
	s = longRun.ReplaceAllString(s, "…")
	s = scheme.ReplaceAllString(s, " ")
	s = brackets.Replace(s)
	s = innerDot.ReplaceAllString(s, "$1 $2")
	s = innerDot.ReplaceAllString(s, "$1 $2") // of a.b.c the first round takes one
	s = manyDigits.ReplaceAllString(s, "…")
	s = orders.ReplaceAllString(s, "…")
	s = spoken.ReplaceAllString(s, "…")
	return strings.TrimSpace(s)
}

// plainAll applies plain to each text of a list. One of which nothing is left becomes a dash, so that the others keep their numbers.
func plainAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = cmp.Or(plain(s), "–")
	}
	return out
}

// plainJSON applies plain to every text in a JSON value. A text of which nothing is left becomes a dash, so that what was there still is.
func plainJSON(raw []byte) ([]byte, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	return json.Marshal(plainValue(v))
}

func plainValue(v any) any {
	switch v := v.(type) {
	case string:
		if p := plain(v); p != "" || v == "" {
			return p
		}
		return "–"
	case []any:
		for i := range v {
			v[i] = plainValue(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plainValue(v[name])
		}
	}
	return v
}
