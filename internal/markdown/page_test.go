package markdown_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/markdown"
)

// whole is what may stand in a page.
func whole() map[string]map[string]*regexp.Regexp {
	any := regexp.MustCompile(`(?s)^.*$`)
	out := maps.Clone(fragment)
	maps.Copy(out, map[string]map[string]*regexp.Regexp{
		"html": {"dir": regexp.MustCompile(`^auto$`)}, "head": nil, "title": nil, "body": nil, "dl": nil, "dt": nil, "dd": nil, "section": nil,
		"style": nil, "p": {"class": regexp.MustCompile(`^(facts|activity)$`)},
		"meta": {"charset": any, "http-equiv": regexp.MustCompile(`^Content-Security-Policy$`), "name": regexp.MustCompile(`^(viewport|referrer|robots)$`), "content": any},
	})
	return out
}

func page(tb testing.TB, l markdown.Lesson) (string, *html.Node) {
	tb.Helper()
	out, err := markdown.Page(l)
	if err != nil {
		tb.Fatal(err)
	}
	doc, err := html.Parse(strings.NewReader(out))
	if err != nil {
		tb.Fatal(err)
	}
	return out, doc
}

// check walks a page and returns the text of its elements by name.
func check(tb testing.TB, n *html.Node, allowed map[string]map[string]*regexp.Regexp, text map[string][]string) {
	tb.Helper()
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		if child.Type == html.DoctypeNode {
			continue
		}
		if why := forbiddenNode(child, allowed); why != "" {
			tb.Errorf("the page has %s", why)
			return
		}
	}
	for d := range n.Descendants() {
		if d.Type == html.TextNode && d.Parent.Type == html.ElementNode {
			text[d.Parent.Data] = append(text[d.Parent.Data], d.Data)
		}
	}
}

func TestPage_ShowsAContentResult(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/lesson.json")
	if err != nil {
		t.Fatal(err)
	}
	var l markdown.Lesson
	if err := json.Unmarshal(raw, &l); err != nil {
		t.Fatal(err)
	}
	out, doc := page(t, l)
	text := map[string][]string{}
	check(t, doc, whole(), text)
	for _, want := range []string{"Roman roads", "straight", "Build a road", "gravel", "aqueduct", "Why were they straight?", "Ages 10–11"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, answer := range []string{"is_correct", "because soldiers"} {
		if strings.Contains(out, answer) {
			t.Errorf("the page gives the answer away: %q", answer)
		}
	}
	if len(text["style"]) != 1 || !strings.Contains(markdown.PagePolicy(), hash(text["style"][0])) {
		t.Error("the policy does not let the page's own style pass")
	}
	if !strings.Contains(out, `http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;`) {
		t.Error("the page does not carry its policy")
	}
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func TestPage_LetsNoVectorThrough(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		_, doc := page(t, markdown.Lesson{
			Title: v, Summary: v, Subject: v, GradeLevel: v, DurationMinutes: 45, InteractiveElements: []string{v},
			Objectives: []markdown.Objective{{Title: v, Description: v}}, Sections: []markdown.Section{{Title: v, Body: v, Activity: v}},
			Vocabulary: []markdown.Term{{Term: v, Definition: v}},
			Assessment: &markdown.Assessment{Title: v, Questions: []markdown.Question{{Text: v, Options: []markdown.Option{{Text: v}}}}},
		})
		check(t, doc, whole(), map[string][]string{})
	}
}

func TestPage_RefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	half := markdown.Section{Title: "a", Body: strings.Repeat("a", markdown.MaxSize/2+1)}
	if _, err := markdown.Page(markdown.Lesson{Sections: []markdown.Section{half}}); err != nil {
		t.Error(err)
	}
	if _, err := markdown.Page(markdown.Lesson{Sections: []markdown.Section{half, half}}); !fault.Is(err, fault.TooLarge) {
		t.Errorf("got %v, want too_large", err)
	}
}
