package agentcontext

import (
	"cmp"
	"slices"
)

// first orders entries as they are shown: the highest priority first, within it what was written last, and by key where all else is the same.
func first(a, b Entry) int {
	return cmp.Or(cmp.Compare(b.Priority.Rank(), a.Priority.Rank()), b.UpdatedAt.Compare(a.UpdatedAt), cmp.Compare(a.Key, b.Key))
}

// prune orders entries and returns those that stay within budget tokens and most entries, and the keys of those that go. It takes from
// the end until the rest fits: nothing stays that counts for less than what goes.
func prune(entries []Entry, budget, most int) (kept []Entry, pruned []string) {
	kept = slices.SortedFunc(slices.Values(entries), first)
	tokens := total(kept)
	for len(kept) > most || tokens > budget {
		last := kept[len(kept)-1]
		kept = kept[:len(kept)-1]
		tokens -= last.Tokens
		pruned = append(pruned, last.Key)
	}
	return kept, pruned
}

func total(entries []Entry) (tokens int) {
	for _, e := range entries {
		tokens += e.Tokens
	}
	return tokens
}
