package ask

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

const (
	maxUnfit = 50 // details of one answer
	// leastEchoed is the length of a line of the instructions, in bytes, from which an answer may not repeat it: shorter ones are plain English.
	leastEchoed = 60
)

// safety is unfit, but for the test that shows what it is there for.
var safety = unfit

// unfit returns what must not come before a class in any text of an answer, whatever its kind, but for the fields of the given names. The
// answer is taken as its rules left it.
func unfit(system string, answer any, code []string) []fault.Detail {
	data, err := json.Marshal(answer)
	if err != nil {
		return []fault.Detail{{Field: "answer", Reason: err.Error()}}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		return []fault.Detail{{Field: "answer", Reason: err.Error()}}
	}
	var lines []string
	for line := range strings.Lines(system) {
		if line = strings.TrimPrefix(strings.TrimSpace(line), "- "); len(line) >= leastEchoed {
			lines = append(lines, line)
		}
	}
	var details []fault.Detail
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if len(details) >= maxUnfit {
			return
		}
		switch v := v.(type) {
		case string:
			if slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(v, line) }) {
				details = append(details, fault.Detail{Field: path, Reason: "repeats the instructions that you were given: write only what the task asks for"})
			}
			details = append(details, quality.Safe(path, v)...)
		case []any:
			for i, item := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), item)
			}
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				if !slices.Contains(code, name) {
					walk(path+"."+name, v[name])
				}
			}
		}
	}
	walk("answer", doc)
	return details[:min(len(details), maxUnfit)]
}
