package luau_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// example is a source of the corpus.
type example struct {
	name   string // file and number
	source string
	ok     bool // whether it compiles
}

// corpus reads testdata/corpus. A file holds sources, each behind a line "=== ok" or "=== refused"; testdata/scripts holds one that compiles per file.
func corpus(t testing.TB) []example {
	t.Helper()
	var list []example
	for _, path := range glob(t, "testdata/corpus/*.txt") {
		for i, part := range strings.Split("\n"+read(t, path), "\n=== ")[1:] {
			verdict, source, _ := strings.Cut(part, "\n")
			if verdict != "ok" && verdict != "refused" {
				t.Fatalf("%s: verdict %q", path, verdict)
			}
			list = append(list, example{fmt.Sprintf("%s/%d", filepath.Base(path), i+1), source, verdict == "ok"})
		}
	}
	for _, path := range glob(t, "testdata/scripts/*.luau") {
		list = append(list, example{filepath.Base(path), read(t, path), true})
	}
	return list
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	return paths
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// splinters are pieces that mutants get.
var splinters = strings.Fields("and break do else elseif end false for function if in local nil not or repeat return then true until while continue type " +
	"export typeof const x self 1 0x 1e 0b1 1_0 \"s\" 's' `t` `a{ `{b}` [[l]] [=[ ... .. . , ; : :: = == ~= < > <= >= + - * / // % ^ # & | ? ! @ @native " +
	"@[ -> += ..= //= ( ) { } [ ] -- --[[ \\ $ é")

// mutants returns n sources that each differ from one of the corpus by one or two changes of tokens or characters. They depend on the seed only.
func mutants(examples []example, n int, seed uint64) []string {
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // for tests
	out := make([]string, n)
	for i := range out {
		from := examples[random.IntN(len(examples))]
		if !from.ok { // most that comes of these is refused
			from = examples[random.IntN(len(examples))]
		}
		source := mutate(from.source, random)
		if random.IntN(4) == 0 {
			source = mutate(source, random)
		}
		out[i] = source
	}
	return out
}

func mutate(source string, random *rand.Rand) string {
	spans := luau.TokenSpans(source)
	if len(spans) == 0 {
		return source + " " + splinters[random.IntN(len(splinters))]
	}
	one := spans[random.IntN(len(spans))]
	from, to := one.Start.Offset, one.End.Offset
	switch random.IntN(8) {
	case 0: // delete
		return source[:from] + source[to:]
	case 1: // duplicate
		return source[:to] + " " + source[from:]
	case 2: // swap with another
		other := spans[random.IntN(len(spans))]
		a, b := one, other
		if a.Start.Offset > b.Start.Offset {
			a, b = b, a
		}
		if a.End.Offset > b.Start.Offset {
			return source
		}
		return source[:a.Start.Offset] + b.Text(source) + source[a.End.Offset:b.Start.Offset] + a.Text(source) + source[b.End.Offset:]
	case 3: // truncate
		return source[:to]
	case 4: // insert
		return source[:from] + splinters[random.IntN(len(splinters))] + " " + source[from:]
	case 5: // replace
		return source[:from] + splinters[random.IntN(len(splinters))] + source[to:]
	case 6: // break the line
		return source[:from] + "\n" + source[from:]
	}
	at := random.IntN(len(source))
	if source[at] >= 0x80 {
		return source
	}
	return source[:at] + string(rune(32+random.IntN(95))) + source[at+1:]
}
