package luau_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// TestParse_CountsRegistersAsTheCompiler puts the sources of the corpus where few registers are free, and finds out with how few they compile.
func TestParse_CountsRegistersAsTheCompiler(t *testing.T) {
	t.Parallel()
	var sources []string
	for i, e := range corpus(t) {
		if !e.ok || strings.Contains(e.source, "\x00") || strings.HasPrefix(e.source, "--!") {
			continue
		}
		if _, err := luau.Parse(tight(e.source, 0)); err != nil {
			continue // such as an alias of a type in a loop, or a return
		}
		need := 0
		for need < 15 {
			if _, err := luau.Parse(tight(e.source, need+1)); err != nil {
				break
			}
			need++
		}
		sources = append(sources, tight(e.source, need))
		if i%4 == 0 { // a refusal costs the compiler its instance
			sources = append(sources, tight(e.source, need+1))
		}
	}
	if len(sources) < 300 {
		t.Errorf("%d sources", len(sources))
	}
	for _, d := range disagreements(sources, compile(t, sources), luau.Parse) {
		t.Error(d)
	}
}

// tight returns a source within 34 loops and behind locals, so that 13 registers less taken are free.
func tight(source string, taken int) string {
	var b strings.Builder
	for i := range 140 + taken {
		fmt.Fprintf(&b, "local l%d = f() ", i)
	}
	return b.String() + strings.Repeat("for i = n, m do ", 34) + "\n" + source + "\n" + strings.Repeat("end ", 34)
}
