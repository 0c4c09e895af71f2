package analytics

import (
	"cmp"
	"maps"
	"slices"
)

// readMetrics takes single numbers as they are.
func (s *study) readMetrics() {
	rows := [][]any{}
	for _, name := range slices.Sorted(maps.Keys(s.in.Data.Metrics)) {
		about, v := label(name), s.in.Data.Metrics[name]
		called := s.say(about)
		if s.figures.add(topicMetric, "metric."+slug(called), v, "", "%s", called) == "" {
			continue
		}
		rows = append(rows, []any{about, round(v)})
	}
	s.values = max(s.values, len(rows))
	if len(rows) > 0 {
		s.table("Metrics", []string{"metric", "value"}, rows)
	}
}

// readSeries describes each series, and fits a line through it.
func (s *study) readSeries() {
	rows := [][]any{}
	for _, name := range slices.Sorted(maps.Keys(s.in.Data.Series)) {
		points, about := s.in.Data.Series[name], label(name)
		if len(points) == 0 {
			continue
		}
		x, y, unit := axis(points)
		d, called := describe(y), s.say(about)
		s.values = max(s.values, d.n)
		rows = append(rows, []any{about, d.n, round(y[0]), round(y[len(y)-1]), round(d.min), round(d.max), round(d.mean)})
		key := "series." + slug(called)
		s.figures.add(topicField, key+".mean", d.mean, "", "mean of %s", called)
		s.figures.add(topicField, key+".median", d.median, "", "median of %s", called)
		s.figures.add(topicField, key+".first", y[0], "", "first value of %s", called)
		s.figures.add(topicField, key+".last", y[len(y)-1], "", "last value of %s", called)
		s.figures.add(topicField, key+".min", d.min, "", "lowest value of %s", called)
		s.figures.add(topicField, key+".max", d.max, "", "highest value of %s", called)
		s.figures.add(topicField, key+".count", float64(d.n), "", "number of values of %s", called)
		s.trend(about, x, y, unit, true)
	}
	if len(rows) > 0 {
		s.table("Series", []string{"series", "count", "first", "last", "min", "max", "mean"}, rows)
	}
}

// axis returns the points in order of time: in days where each has a time, otherwise by their places.
func axis(points []Point) (x, y []float64, unit string) {
	days := make(map[int]float64, len(points))
	for i, p := range points {
		v, err := readValue(p.T)
		day, ok := v.day()
		if p.T == nil || err != nil || !ok {
			break
		}
		days[i] = day
	}
	order := make([]int, len(points))
	for i := range order {
		order[i] = i
	}
	unit = "step"
	if len(days) == len(points) {
		unit = "day"
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(days[a], days[b]) })
	}
	for place, i := range order {
		at := float64(place)
		if unit == "day" {
			at = days[i]
		}
		x, y = append(x, at), append(y, points[i].Value)
	}
	return x, y, unit
}
