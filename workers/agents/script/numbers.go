package script

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// wished finds a number in a request, the word before it and the word after it.
var wished = regexp.MustCompile(`(?i)(\p{L}*)[ \t]*\b(\d{1,6}(?:\.\d{1,3})?)[ \t-]*(%|\p{L}*)`)

// notWished are words before numbers that say who or when it is for, and nothing that code holds.
const notWished = " class grade grades in key ks level since year years unit chapter lesson "

// numbers returns which share of the numbers that a request names stands in the code, as a number or in a text, and false when it names none.
// A length of time may stand there in seconds, a percentage as a fraction.
func numbers(req Request, file *luau.File) (float64, bool) {
	var there []float64
	luau.Inspect(file, func(n luau.Node) bool {
		switch n := n.(type) {
		case *luau.NumberExpr:
			if v, err := strconv.ParseFloat(strings.ReplaceAll(n.Text, "_", ""), 64); err == nil {
				there = append(there, v)
			}
		case *luau.StringExpr:
			there = append(there, digits(n.Value)...)
		case *luau.InterpExpr:
			for _, s := range n.Strings {
				there = append(there, digits(s)...)
			}
		}
		return true
	})
	found, all := 0, 0
	for _, m := range wished.FindAllStringSubmatch(req.Functionality+"\n"+strings.Join(req.Requirements, "\n"), -1) {
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil || m[1] != "" && strings.Contains(notWished, " "+strings.ToLower(m[1])+" ") {
			continue
		}
		all++
		if slices.ContainsFunc(there, func(v float64) bool { return v == n || v == n*per(m[3]) }) {
			found++
		}
	}
	return quality.Share(found, all), all > 0
}

// per returns how many of the smaller unit a unit has: 60 for minutes, 1 for what has none.
func per(unit string) float64 {
	switch strings.TrimSuffix(strings.ToLower(unit), "s") {
	case "minute", "min":
		return 60
	case "hour":
		return 3600
	case "%", "percent":
		return 0.01
	}
	return 1
}

var digit = regexp.MustCompile(`\d+(?:\.\d+)?`)

func digits(text string) []float64 {
	var out []float64
	for _, s := range digit.FindAllString(text, -1) {
		if v, err := strconv.ParseFloat(s, 64); err == nil {
			out = append(out, v)
		}
	}
	return out
}
