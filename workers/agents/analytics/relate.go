package analytics

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// trend says how something changes, and how sure that is.
func (s *study) trend(about string, x, y []float64, unit string, draw bool) {
	if draw && len(y) > 1 && len(s.charts) < maxCharts {
		s.charts = append(s.charts, lineChart(about, x, y, unit))
	}
	l, ok := fit(x, y)
	if !ok || len(x) < leastTrend {
		return
	}
	course := "no clear trend"
	if l.p < sure && l.beta != 0 {
		course = "it falls, clearly"
		if l.beta > 0 {
			course = "it rises, clearly"
		}
	}
	called := s.say(about)
	key := "trend." + slug(called)
	names := []string{
		s.figures.add(topicTrend, key+".slope", l.beta, "per "+unit, "change of %s per %s by least squares", called, unit),
		s.figures.add(topicTrend, key+".change", l.beta*(x[len(x)-1]-x[0]), "", "change of %s from first to last along the fitted line", called),
		s.figures.add(topicTrend, key+".explained", 100*l.r2, percent, "share of the variation of %s that the line explains", called),
		s.figures.add(topicTrend, key+".chance", 100*l.p, percent, "probability of such a slope of %s by chance", called),
	}
	s.figures.read(course, l.p >= sure, names...)
}

// groups compares the fullest fields between groups.
func (s *study) groups(by column) {
	members := map[string][]int{}
	var order []string
	for i, v := range by.values {
		name := v.text
		if by.role == student && s.people.of[i] >= 0 {
			name = s.people.ids[s.people.of[i]]
		}
		if name == "" {
			continue
		}
		if members[name] == nil {
			order = append(order, name)
		}
		members[name] = append(members[name], i)
	}
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(len(members[b]), len(members[a])) })
	s.figures.add(topicGroup, "groups", float64(len(order)), "", "number of groups by %s", s.say(by.label))
	if len(order) > maxGroups {
		s.note("Of %d groups, the %d largest are compared.", len(order), maxGroups)
		order = order[:maxGroups]
	}
	fields := s.measured()
	fields = slices.DeleteFunc(fields, func(c column) bool { return c.name == by.name })
	fields = fields[:min(len(fields), 3)]
	head := []string{by.label, "records"}
	for _, c := range fields {
		head = append(head, "mean of "+c.label)
	}
	rows := [][]any{}
	for i, name := range order {
		called := s.say(name)
		if by.role == adult || by.role == identifier {
			called = fmt.Sprintf("group %d", i+1) // an address or another person's name is no label for a model
		}
		s.labels = append(s.labels, called, "group "+called, s.people.hide(by.label)+" "+called)
		key := "group." + slug(called)
		s.figures.add(topicGroup, key+".records", float64(len(members[name])), "", "number of records of group %s", called)
		row := []any{name, len(members[name])}
		for _, c := range fields {
			var x []float64
			for _, i := range members[name] {
				if n, ok := c.number(i); ok {
					x = append(x, n)
				}
			}
			if len(x) == 0 {
				row = append(row, "")
				continue
			}
			mean := stat.Mean(x, nil)
			s.figures.add(topicGroup, key+"."+slug(s.say(c.label))+".mean", mean, "", "mean of %s in group %s", s.say(c.label), called)
			row = append(row, round(mean))
		}
		rows = append(rows, row)
	}
	s.table("Groups by "+by.label, head, rows)
	if len(fields) > 0 {
		s.bars("Mean of "+fields[0].label+" by "+by.label, fields[0].label, rows, 0, 2)
	}
}

// correlations compares the measured fields in pairs, where enough records have both.
func (s *study) correlations() {
	type pair struct {
		a, b column
		r, p float64
		n    int
	}
	var found []pair
	fields := s.measured()
	fields = fields[:min(len(fields), 8)]
	for i, a := range fields {
		for _, b := range fields[i+1:] {
			var x, y []float64
			for k := range a.values {
				u, ok := a.number(k)
				if v, both := b.number(k); ok && both {
					x, y = append(x, u), append(y, v)
				}
			}
			if len(x) < leastPairs || stat.Variance(x, nil) == 0 || stat.Variance(y, nil) == 0 {
				continue
			}
			if r := stat.Correlation(x, y, nil); !math.IsNaN(r) {
				found = append(found, pair{a, b, r, significance(r, len(x)), len(x)})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b pair) int { return cmp.Compare(math.Abs(b.r), math.Abs(a.r)) })
	rows := [][]any{}
	for _, f := range found[:min(len(found), 10)] {
		clear := "not clear"
		if f.p < sure {
			clear = "clear"
		}
		a, b := s.say(f.a.label), s.say(f.b.label)
		name := s.figures.add(topicCorrelation, "correlation."+slug(a)+"."+slug(b), f.r, "", "correlation of %s with %s", a, b)
		s.figures.read(clear, f.p >= sure, name)
		rows = append(rows, []any{f.a.label, f.b.label, round(f.r), f.n, clear})
	}
	if len(rows) > 0 {
		s.table("Correlations", []string{"field", "with", "r", "records", "sure"}, rows)
	}
}
