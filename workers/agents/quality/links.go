package quality

import (
	"regexp"
	"strings"
)

var (
	markdownLink  = regexp.MustCompile(`!?\[[^\[\]\n]{0,300}\]\([^()\n]{1,500}\)?`)
	referenceLink = regexp.MustCompile(`(?m)^ {0,3}\[[^\[\]\n]{1,100}\]: *\S+`)
	address       = regexp.MustCompile(`(?i)\b(?:https?|ftps?|wss?|file|rbxassetid|rbxasset|roblox)://[/\p{L}\p{N}\[%_-][^\s"'<>)]{0,500}|\b(?:javascript|vbscript|mailto|tel):[^\s"'<>]{2,500}|\bdata:[a-z]{2,20}/[a-z0-9.+-]{1,40}[;,][^\s"'<>]{0,100}|\bwww\.[a-z0-9-]{2,63}\.[a-z]{2,}[^\s"'<>]{0,300}`)
	bareDomain    = regexp.MustCompile(`(?i)\b[a-z0-9-]{2,63}(?:\.[a-z0-9-]{1,63}){0,3}\.(?:com|org|net|edu|gov|io|co|gg|me|info|biz|xyz|ru|cn|de|uk|ly|app|dev|site|online|link|click|top)\b(?:/[^\s"'<>)]{0,300})?`)
	exampleDomain = regexp.MustCompile(`(?i)(?:^|\.)example\.(?:com|org|net)$`)
	activeHTML    = regexp.MustCompile(`(?i)<\s*(?:/?\s*(?:script|iframe|object|embed|applet|meta|base)\b|(?:a|img|svg|link|form|video|audio|source|style|input|button|body|div|p|span)\s+[a-z-]{1,40}\s*=)[^>]{0,300}>?|\bon(?:error|load|click|mouseover|focus)\s*=\s*["'a-z]`)
)

// innerDot matches a full stop in front of a letter.
var innerDot = regexp.MustCompile(`\.[A-Za-z]`)

// where returns where a pattern is in a text. It looks only when one of the hints is there, without which there is no match: most texts have
// none, and finding that out is a hundred times faster.
func where(pattern *regexp.Regexp, text string, hints ...string) [][]int {
	for _, hint := range hints {
		if strings.Contains(text, hint) {
			return pattern.FindAllStringIndex(text, -1)
		}
	}
	if len(hints) > 0 {
		return nil
	}
	return pattern.FindAllStringIndex(text, -1)
}

func (f *findings) links(text string) {
	for _, kind := range []struct {
		pattern *regexp.Regexp
		reason  string
		hints   []string
	}{
		{activeHTML, "holds HTML, %s: write Markdown without HTML", []string{"<", "="}},
		{markdownLink, "holds a link or an image in Markdown, %s: say in words what it would show", []string{"]("}},
		{referenceLink, "holds the target of a link, %s: leave links out", []string{"]:"}},
		{address, "holds an address, %s: leave links out, name a source by its title", []string{":", "www.", "WWW."}},
		{bareDomain, "holds the name of a site, %s: leave links out, name a source by its title", nil},
	} {
		if kind.pattern == bareDomain && !innerDot.MatchString(text) {
			continue
		}
		for _, at := range where(kind.pattern, text, kind.hints...) {
			found := text[at[0]:at[1]]
			if kind.pattern == bareDomain && (exampleDomain.MatchString(found) || at[0] > 0 && text[at[0]-1] == '@') {
				continue
			}
			if !f.add(found, kind.reason, quoted(found)) {
				return
			}
		}
	}
}
