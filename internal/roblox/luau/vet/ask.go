package vet

import "github.com/toolboxai/orchestrator/internal/roblox/luau"

// question is what is asked about code.
type question uint8

const (
	askDecodes question = iota + 1
	askLeaves
	askYields
	askCreates
	askBounded
	askCalls
)

type asked struct {
	what  question
	about luau.Node
}

// ask reports whether something holds for a part of n. Functions within n are parts where inner says so. The answers for loops and functions are kept, so
// that those around them do not go through them again; code that calls itself gets the answer for the rest of it.
func (c *checker) ask(what question, n luau.Node, inner bool, holds func(luau.Node) bool) bool {
	about := asked{what, n}
	if answer, ok := c.answers[about]; ok {
		return answer
	}
	c.answers[about] = false
	found := false
	luau.Inspect(n, func(part luau.Node) bool {
		if found {
			return false
		}
		if part != n {
			switch part.(type) {
			case luau.Type:
				return false
			case *luau.FunctionExpr:
				found = inner && c.ask(what, part, inner, holds)
				return false
			case *luau.WhileStat, *luau.RepeatStat, *luau.ForInStat, *luau.ForStat:
				found = c.ask(what, part, inner, holds)
				return false
			}
		}
		found = holds(part)
		return !found
	})
	c.answers[about] = found
	return found
}
