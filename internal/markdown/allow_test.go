package markdown_test

import (
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// fragment is what may stand in rendered Markdown, said a second time and apart from the code.
var fragment = map[string]map[string]*regexp.Regexp{
	"h1": nil, "h2": nil, "h3": nil, "h4": nil, "h5": nil, "h6": nil, "p": nil, "br": nil, "hr": nil, "em": nil, "strong": nil, "del": nil,
	"blockquote": nil, "ul": nil, "li": nil, "pre": nil, "table": nil, "thead": nil, "tbody": nil, "tr": nil,
	"ol":   {"start": regexp.MustCompile(`^\d+$`)},
	"code": {"class": regexp.MustCompile(`^language-[\w+#.-]+$`)},
	"th":   {"align": regexp.MustCompile(`^(left|center|right)$`)},
	"td":   {"align": regexp.MustCompile(`^(left|center|right)$`)},
	"a": {
		"href": regexp.MustCompile(`(?i)^(https?://[^/]|mailto:)`), "title": regexp.MustCompile(`(?s)^.*$`),
		"rel": regexp.MustCompile(`^nofollow noopener noreferrer$`), "target": regexp.MustCompile(`^_blank$`),
	},
}

// forbidden returns the first thing in a piece of HTML, as a browser would read it in a body, that is not in allowed; "" for none.
func forbidden(piece string, allowed map[string]map[string]*regexp.Regexp) string {
	nodes, err := html.ParseFragment(strings.NewReader(piece), &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body})
	if err != nil {
		return "it cannot be parsed: " + err.Error()
	}
	for _, n := range nodes {
		if why := forbiddenNode(n, allowed); why != "" {
			return why
		}
	}
	return ""
}

func forbiddenNode(n *html.Node, allowed map[string]map[string]*regexp.Regexp) string {
	switch n.Type {
	case html.TextNode:
	case html.ElementNode:
		attrs, ok := allowed[n.Data]
		if !ok || n.Namespace != "" {
			return fmt.Sprintf("the element %s:%s", n.Namespace, n.Data)
		}
		for _, a := range n.Attr {
			if pattern := attrs[a.Key]; pattern == nil || !pattern.MatchString(a.Val) {
				return fmt.Sprintf("the attribute %s=%q of %s", a.Key, a.Val, n.Data)
			}
		}
		if n.Data == "a" && len(n.Attr) > 0 && attr(n, "rel") == "" {
			return "a link without rel"
		}
	default:
		return fmt.Sprintf("a node of type %d", n.Type)
	}
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		if why := forbiddenNode(child, allowed); why != "" {
			return why
		}
	}
	return ""
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
