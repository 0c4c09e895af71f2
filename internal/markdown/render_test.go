package markdown_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/renderer/html"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/markdown"
)

func render(tb testing.TB, text string) string {
	tb.Helper()
	out, err := markdown.Render(text)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func TestRender_ShowsWhatLessonsAreMadeOf(t *testing.T) {
	t.Parallel()
	const rel = ` rel="nofollow noopener noreferrer" target="_blank"`
	for _, c := range []struct{ in, want string }{
		{"# Romans", "<h1>Romans</h1>\n"},
		{"*a* **b** ~~c~~ `d<e`", "<p><em>a</em> <strong>b</strong> <del>c</del> <code>d&lt;e</code></p>\n"},
		{"3. a\n4. b", "<ol start=\"3\">\n<li>a</li>\n<li>b</li>\n</ol>\n"},
		{"> a\n\n---", "<blockquote>\n<p>a</p>\n</blockquote>\n<hr>\n"},
		{"```lua\nif a < b then end\n```", "<pre><code class=\"language-lua\">if a &lt; b then end\n</code></pre>\n"},
		{"|a|b|\n|:-|-:|\n|1|2|", "<table>\n<thead>\n<tr>\n<th align=\"left\">a</th>\n<th align=\"right\">b</th>\n</tr>\n</thead>\n" +
			"<tbody>\n<tr>\n<td align=\"left\">1</td>\n<td align=\"right\">2</td>\n</tr>\n</tbody>\n</table>\n"},
		{`[a](https://b.example/?c=1&d=2 "t")`, `<p><a href="https://b.example/?c=1&amp;d=2" title="t"` + rel + ">a</a></p>\n"},
		{"see https://b.example/c.", `<p>see <a href="https://b.example/c"` + rel + ">https://b.example/c</a>.</p>\n"},
		{"<https://b.example> [m](mailto:a@b.example)", `<p><a href="https://b.example"` + rel + `>https://b.example</a> <a href="mailto:a@b.example"` + rel + ">m</a></p>\n"},
		{"the <b> tag & <script>", "<p>the &lt;b&gt; tag &amp; &lt;script&gt;</p>\n"},
		{"![a *map* of Rome](https://b.example/c.png)", "<p>a <em>map</em> of Rome</p>\n"},
		{"[a **b**](javascript:alert(1)) [c](/d) [e](#f)", "<p>a <strong>b</strong> c e</p>\n"},
		{"", ""},
	} {
		if got := render(t, c.in); got != c.want {
			t.Errorf("%q became\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}

func TestRender_LetsNoVectorThrough(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		for _, text := range []string{v, "a " + v + " b", "> - " + v, "*" + v + "*", strings.ReplaceAll(v, "\n", " ") + "\n===", "[" + v + "](https://a.example)"} {
			if why := forbidden(render(t, text), fragment); why != "" {
				t.Errorf("%q leaves %s", text, why)
			}
		}
	}
}

// Each lock holds without the other.
func TestRender_EachLockHoldsAlone(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		out, err := markdown.FirstLock(v)
		if err != nil {
			t.Fatal(err)
		}
		if why := forbidden(out, fragment); why != "" && !strings.Contains(why, "class=") {
			t.Errorf("%q passes the first lock with %s", v, why)
		}
		if why := forbidden(markdown.SecondLock(v), fragment); why != "" && !strings.HasPrefix(why, "the attribute rel=") {
			t.Errorf("%q passes the second lock with %s", v, why)
		}
	}
}

// The negative control: without either lock the test finds what gets through.
func TestRender_WithoutLocksVectorsGetThrough(t *testing.T) {
	t.Parallel()
	open := goldmark.New(goldmark.WithRendererOptions(html.WithUnsafe()))
	found := 0
	for _, v := range vectors {
		var out strings.Builder
		if err := open.Convert([]byte(v), &out); err != nil {
			t.Fatal(err)
		}
		if forbidden(out.String(), fragment) != "" {
			found++
		}
	}
	if found < len(vectors)*2/3 {
		t.Errorf("only %d of %d vectors are found without locks", found, len(vectors))
	}
}

// A text cannot make its rendering dear. These take a parser without bounds minutes each, and all of them together longer than tests may.
func TestRender_BearsWhatIsDearToParse(t *testing.T) {
	t.Parallel()
	units := []string{
		">", "> > >\n", "- ", "1. ", "[", "[a](", "[a][", "[]", "*a_", "*a **a ", "x** ", "`a``b```", "![", "<a ", "|", "[a]: b\n", "http://a@",
		"~~a", "-\t> ", "www.a.b.c,", "a@b.c_", "]", "&", "a <!-- ", "a <![CDATA[ ", "a\n=\n", "- *a*\n", "|*a*|b_c_|\n", "|a\n|-\n", "[a](<b(", "\x00", "\xff",
	}
	for _, unit := range units {
		text := strings.Repeat(unit, markdown.MaxSize/len(unit))
		out := render(t, text)
		if len(out) > 20*markdown.MaxSize {
			t.Errorf("%q became %d bytes", unit, len(out))
		}
	}
}

func TestRender_KeepsTextBeyondItsBounds(t *testing.T) {
	t.Parallel()
	quotes := render(t, strings.Repeat(">", 5000)+" end")
	if n := strings.Count(quotes, "<blockquote>"); n < 32 || n > 64 || !strings.Contains(quotes, "end") {
		t.Errorf("5,000 quotes became %d", n)
	}
	marks := render(t, strings.Repeat("*a* ", 5000))
	if n := strings.Count(marks, "<em>"); n < 400 || n > 1000 || strings.Count(marks, "a") != 5000 {
		t.Errorf("of 5,000 stressed words %d are", n)
	}
	if n := strings.Count(render(t, strings.Repeat("*a*\n\n", 5000)), "<em>"); n != 5000 {
		t.Errorf("of 5,000 stressed paragraphs %d are: the bound is not one of a paragraph", n)
	}
}

func TestRender_RefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	if _, err := markdown.Render(strings.Repeat("a", markdown.MaxSize)); err != nil {
		t.Error(err)
	}
	if _, err := markdown.Render(strings.Repeat("a", markdown.MaxSize+1)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("got %v, want too_large", err)
	}
}

func FuzzRender(f *testing.F) {
	for _, v := range vectors {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out, err := markdown.Render(text)
		if err != nil {
			t.Fatal(err)
		}
		if why := forbidden(out, fragment); why != "" {
			t.Errorf("%q leaves %s in %q", text, why, out)
		}
		if again := markdown.SecondLock(out); forbidden(again, fragment) != "" {
			t.Errorf("%q is not safe when it is cleaned once more: %q", text, again)
		}
	})
}

func ExampleRender() {
	html, err := markdown.Render("**Rome** was not built in a *day* <script>alert(1)</script>")
	fmt.Println(html, err)
	// Output:
	// <p><strong>Rome</strong> was not built in a <em>day</em> &lt;script&gt;alert(1)&lt;/script&gt;</p>
	//  <nil>
}

func BenchmarkRender(b *testing.B) {
	text := strings.Repeat("## Roads\n\nThe *Romans* built **straight** roads: see [the map](https://a.example/map).\n\n- stone\n- gravel\n\n", 50)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := markdown.Render(text); err != nil {
			b.Fatal(err)
		}
	}
}
