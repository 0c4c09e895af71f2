package robloxtesting

import (
	"maps"
	"slices"

	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// The verdicts.
const (
	pass    = "pass"
	warn    = "warn"
	fail    = "fail"
	notRun  = "not_run"
	unrated = "unrated" // of a metric that has no target
)

// Row is one metric against its target.
type Row struct {
	Metric      string   `json:"metric"`
	Value       float64  `json:"value"`
	Unit        string   `json:"unit,omitempty"`
	Better      string   `json:"better,omitempty"` // "higher" or "lower"
	Target      *float64 `json:"target,omitempty"` // up to here it passes
	Limit       *float64 `json:"limit,omitempty"`  // beyond this it fails; between the two it is a warning
	Verdict     string   `json:"verdict"`
	Explanation string   `json:"explanation,omitempty"`
}

// aim is what a metric should come to.
type aim struct {
	unit          string
	higher        bool
	target, limit float64
}

// aims are the targets of the metrics that we know. A frame at 60 frames a second, which Roblox aims at, has 16.7 ms in all; the times
// of its parts are what leaves room for the others. A server may use 6.25 GiB and 100 MiB for each player. The rest is what an old
// tablet with 2 GB and a school's network bear.
func aims() map[string]aim {
	return map[string]aim{
		"fps":              {"frames/s", true, 55, 30},
		"frame_time_ms":    {"ms", false, 16.7, 33.3},
		"heartbeat_ms":     {"ms", false, 16.7, 33.3},
		"script_time_ms":   {"ms", false, 4, 10},
		"physics_time_ms":  {"ms", false, 4, 10},
		"render_time_ms":   {"ms", false, 8, 16.7},
		"memory_mb":        {"MB", false, 800, 1300},
		"server_memory_mb": {"MB", false, 4000, 6400},
		"ping_ms":          {"ms", false, 120, 250},
		"receive_kbps":     {"kB/s", false, 50, 150},
		"send_kbps":        {"kB/s", false, 30, 100},
		"part_count":       {"", false, 10_000, 50_000},
		"instance_count":   {"", false, 30_000, 150_000},
		"draw_calls":       {"", false, 500, 1_000},
		"triangles":        {"", false, 500_000, 1_500_000},
		"load_time_s":      {"s", false, 10, 30},
		"error_count":      {"", false, 0, 3},
	}
}

// evaluate rates metrics, by name. An own target takes the place of ours, and the limit moves in proportion; a metric that we do not
// know must keep to its own target, with a half more as the limit, and is not rated without one.
func evaluate(metrics, targets map[string]float64) []Row {
	known := aims()
	rows := []Row{}
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		value := metrics[name]
		goal, ours := known[name]
		own, given := targets[name]
		switch {
		case given && ours && goal.target > 0:
			goal.target, goal.limit = own, quality.Round(goal.limit*own/goal.target)
		case given && ours:
			goal.target, goal.limit = own, own+goal.limit
		case given:
			goal = aim{"", false, own, own * 1.5}
		case !ours:
			rows = append(rows, Row{Metric: name, Value: value, Verdict: unrated})
			continue
		}
		rows = append(rows, goal.row(name, value))
	}
	return rows
}

func (a aim) row(name string, value float64) Row {
	r := Row{Metric: name, Value: value, Unit: a.unit, Better: "lower", Target: &a.target, Limit: &a.limit, Verdict: warn}
	over := func(bound float64) bool { return value > bound }
	if a.higher {
		r.Better = "higher"
		over = func(bound float64) bool { return value < bound }
	}
	switch {
	case !over(a.target):
		r.Verdict = pass
	case over(a.limit):
		r.Verdict = fail
	}
	return r
}
