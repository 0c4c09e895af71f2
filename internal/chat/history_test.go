package chat_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/chat"
)

func turns() *rapid.Generator[[]chat.Turn] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) chat.Turn {
		turn := chat.Turn{
			User:      strings.Repeat("ü", rapid.IntRange(1, 300).Draw(t, "asked")),
			Assistant: strings.Repeat("a", rapid.IntRange(1, 900).Draw(t, "answered")),
		}
		for n := range rapid.IntRange(0, 3).Draw(t, "tools") {
			turn.Tools = append(turn.Tools, chat.ToolUse{N: n + 1, Name: chat.ToolSubmit, TaskID: "t", OK: true})
		}
		return turn
	}), 0, 30)
}

func sum(turns []chat.Turn) (n int) {
	for _, t := range turns {
		n += t.Tokens()
	}
	return n
}

// What is kept is the end of what there was, whole turns with their tools, fits, and could not be longer.
func TestTrim_KeepsTheNewestWholeTurnsThatFit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all, budget := turns().Draw(t, "turns"), rapid.IntRange(-5, 5000).Draw(t, "budget")
		kept := chat.Trim(all, budget)
		from := len(all) - len(kept)
		same := slices.EqualFunc(kept, all[from:], func(a, b chat.Turn) bool {
			return a.User == b.User && a.Assistant == b.Assistant && slices.Equal(a.Tools, b.Tools)
		})
		switch {
		case !same:
			t.Fatal("what is kept is not the end of what there was")
		case len(kept) > 0 && sum(kept) > budget:
			t.Fatalf("%d tokens are kept of %d", sum(kept), budget)
		case from > 0 && sum(all[from-1:]) <= budget:
			t.Fatal("one more turn fits")
		}
	})
}
