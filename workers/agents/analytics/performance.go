package analytics

import (
	"maps"
	"slices"
)

// target is what a measurement should keep to.
type target struct {
	role   role
	limit  float64
	least  bool // at least, not at most
	unit   string
	source string
}

const (
	documented = "https://create.roblox.com/docs/performance-optimization/identify"
	ours       = "rule of thumb"
)

// targets: Roblox says that frames take 16.67 ms, that the heartbeat and the default frame rate are capped at 60, that crash rates above 2 to 3 %
// are to be looked into, and that servers should stay below half of 6.25 GiB and 100 MiB for each player. The frame rate that still looks smooth
// and the delay that is not felt yet are ours.
func targets() []target {
	return []target{
		{fps, 55, true, "fps", ours},
		{frameTime, 16.67, false, "ms", documented},
		{ping, 150, false, "ms", ours},
		{crashRate, 3, false, percent, documented},
	}
}

// perform holds measurements against the targets.
func (s *study) perform() {
	rows := [][]any{}
	for _, t := range targets() {
		if c := s.samples(t.role); c != nil {
			rows = append(rows, s.against(*c, t, func(int) float64 { return t.limit }))
		}
	}
	if c := s.samples(memory); c != nil {
		count := s.samples(players)
		limit := func(i int) float64 { // MiB
			connected := 0.0
			if count != nil && len(count.values) == len(c.values) {
				connected, _ = count.number(i)
			}
			return (6.25*1024 + 100*connected) / 2
		}
		rows = append(rows, s.against(*c, target{memory, limit(0), false, "MiB", documented}, limit))
	}
	if len(rows) > 0 {
		s.table("Targets", []string{"measurement", "target", "unit", "median", "samples that keep to it in %", "source"}, rows)
		s.bars("Samples that keep to their target", "share in %", rows, 0, 4)
	}
}

// samples returns what was measured in a role: a field of the records, else a series, else a single figure; nil for none.
func (s *study) samples(r role) *column {
	if c := s.with(r); c != nil && c.numeric {
		return c
	}
	for _, name := range slices.Sorted(maps.Keys(s.in.Data.Series)) {
		if points := s.in.Data.Series[name]; roleOf(name) == r && len(points) > 0 {
			values := make([]value, len(points))
			for i, p := range points {
				values[i] = value{number: p.Value, is: isNumber}
			}
			c := newColumn(name, values)
			return &c
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.in.Data.Metrics)) {
		if roleOf(name) == r {
			c := newColumn(name, []value{{number: s.in.Data.Metrics[name], is: isNumber}})
			return &c
		}
	}
	return nil
}

func (s *study) against(c column, t target, limit func(i int) float64) []any {
	met, n := 0, 0
	for i := range c.values {
		v, ok := c.number(i)
		if !ok {
			continue
		}
		n++
		if t.least && v >= limit(i) || !t.least && v <= limit(i) {
			met++
		}
	}
	d, called := describe(c.numbers()), s.say(c.label)
	key := "target." + slug(called)
	share, bound := 100*float64(met)/float64(n), "at most"
	if t.least {
		bound = "at least"
	}
	s.figures.add(topicTarget, key+".limit", t.limit, t.unit, "target of %s, %s", called, bound)
	s.figures.add(topicTarget, key+".median", d.median, t.unit, "median of %s", called)
	s.figures.add(topicTarget, key+".kept", share, percent, "share of samples in which %s keeps to its target", called)
	return []any{c.label, bound + " " + formatNumber(t.limit), t.unit, round(d.median), round(share), t.source}
}
