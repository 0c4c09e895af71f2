package luau_test

import (
	"errors"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// FuzzParse checks that no source stops the parser, that it says the same twice, and that positions lie in the source and in each other.
func FuzzParse(f *testing.F) {
	for _, e := range append(corpus(f), limits()...) {
		if len(e.source) < 4096 {
			f.Add(e.source)
		}
	}
	f.Fuzz(func(t *testing.T, source string) { checkParse(t, source) })
}

// TestParse_PutsSpansInTheSourceAndInEachOther is FuzzParse over the corpus and its mutants.
func TestParse_PutsSpansInTheSourceAndInEachOther(t *testing.T) {
	t.Parallel()
	examples := corpus(t)
	for _, e := range examples {
		checkParse(t, e.source)
	}
	for _, source := range mutants(examples, 5000, 2) {
		checkParse(t, source)
	}
}

func checkParse(t *testing.T, source string) {
	file, err := luau.Parse(source)
	again, errAgain := luau.Parse(source)
	if !reflect.DeepEqual(err, errAgain) || (file == nil) != (again == nil) || (file == nil) == (err == nil) {
		t.Fatalf("first %v, then %v", err, errAgain)
	}
	if err != nil {
		var failed *luau.Error
		if !errors.As(err, &failed) || failed.Message == "" {
			t.Fatalf("%v", err)
		}
		checkPos(t, source, failed.Span.Start)
		checkPos(t, source, failed.Span.End)
		return
	}
	if describe(file, source) != describe(again, source) {
		t.Fatal("two trees for one source")
	}
	checkNode(t, source, file, file.Span())
	for _, c := range file.Comments {
		checkPos(t, source, c.Span.Start)
		checkPos(t, source, c.Span.End)
	}
	luau.Resolve(file)
}

func checkNode(t *testing.T, source string, n luau.Node, within luau.Span) {
	s := n.Span()
	checkPos(t, source, s.Start)
	checkPos(t, source, s.End)
	if s.Start.Offset > s.End.Offset || s.Start.Offset < within.Start.Offset || s.End.Offset > within.End.Offset {
		t.Fatalf("%T: %+v does not lie in %+v, in:\n%s", n, s, within, source)
	}
	first := true
	luau.Inspect(n, func(inner luau.Node) bool {
		if first {
			first = false
			return true
		}
		checkNode(t, source, inner, s)
		return false
	})
}

func checkPos(t *testing.T, source string, p luau.Pos) {
	if p.Offset < 0 || p.Offset > len(source) || p.Line < 1 || p.Column < 1 || p.Column > p.Offset+1 {
		t.Fatalf("%+v in %d bytes", p, len(source))
	}
	if start := p.Offset - p.Column + 1; start > 0 && source[start-1] != '\n' {
		t.Fatalf("%+v: the line does not begin where the column says", p)
	}
}

// FuzzQuote checks that a quoted text is one string with that value, and a comment one comment, whatever they hold.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", `"`, `\`, "\n", "]] --[[", "\x00\x01", "é日本", "\\\"", "\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		file, err := luau.Parse("x = " + luau.Quote(s) + " y = 1")
		if err != nil || len(file.Body.Stats) != 2 {
			t.Fatalf("%q: %v", s, err)
		}
		if got, ok := luau.StringValue(file.Body.Stats[0].(*luau.AssignStat).Values[0]); !ok || got != s {
			t.Fatalf("%q becomes %q", s, got)
		}
		file, err = luau.Parse(luau.Comment(s) + "\ny = 1")
		if err != nil || len(file.Comments) != 1 || file.Body.Stats[0].Span().Start.Line != 2 {
			t.Fatalf("the comment of %q: %v", s, err)
		}
		if !utf8.ValidString(luau.Comment(s)) {
			t.Fatalf("the comment of %q is no UTF-8", s)
		}
	})
}
