package analytics

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

// Bounds of what is computed.
const (
	maxMeasured = 12 // fields with statistics
	maxGroups   = 20
	maxNamed    = 20  // people, objectives, questions or stages that have figures of their own
	maxRows     = 100 // of a table
	maxNotes    = 20
)

// Numbers of values from which a statement is made.
const (
	leastTrend    = 8
	leastOutliers = 8
	leastPairs    = 10
)

// study is what is computed from one submission.
type study struct {
	in      Input
	columns []column
	people  *people
	figures figures
	tables  []Table
	charts  []Chart
	notes   []string
	labels  []string // texts with digits that are no figures, such as groups and dates
	missing float64  // share of the values of all fields that is missing
	values  int      // that the largest statistic rests on
}

// compute reads a submission and computes everything. Errors: Invalid for records that are not flat or have too many fields, a group_by that is
// no field, and nothing to analyze.
func compute(in Input) (*study, error) {
	in, err := in.check()
	if err != nil {
		return nil, err
	}
	s := &study{in: in}
	if s.columns, err = in.Data.table(); err != nil {
		return nil, err
	}
	noun := "player"
	if in.DataType == Learning {
		noun = "student"
	}
	s.people = newPeople(noun, s.columns, len(in.Data.Records))
	group, err := s.groupColumn()
	if err != nil {
		return nil, err
	}
	if len(in.Data.Records) > 0 {
		s.figures.add(topicCount, "records", float64(len(in.Data.Records)), "", "number of records")
	}
	if n := len(s.people.ids); n > 0 {
		s.figures.add(topicCount, noun+"s", float64(n), "", "number of %ss", noun)
	}
	s.countMissing()
	switch in.DataType {
	case Learning:
		s.learn()
	case PlayerBehavior:
		s.behave()
	case Performance:
		s.perform()
	}
	s.readMetrics()
	s.readSeries()
	s.fields()
	if group != nil {
		s.groups(*group)
	}
	s.correlations()
	if s.figures.dropped > 0 {
		s.note("There are %d more figures than are shown.", s.figures.dropped)
	}
	return s, nil
}

func (s *study) groupColumn() (*column, error) {
	name := s.in.Data.GroupBy
	if name == "" {
		return nil, nil
	}
	i := slices.IndexFunc(s.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return nil, fault.InvalidField("input.analysis_data.group_by", "%q is no field of the records", lesson.Clip(name, 60))
	}
	return &s.columns[i], nil
}

func (s *study) note(format string, args ...any) {
	if len(s.notes) < maxNotes {
		s.notes = append(s.notes, fmt.Sprintf(format, args...))
	}
}

// say makes a label fit for a model, and remembers it as a text whose digits are no figures.
func (s *study) say(text string) string {
	text = s.people.hide(lesson.Clip(text, 80))
	s.labels = append(s.labels, text)
	return text
}

// with returns the first column of a role.
func (s *study) with(r role) *column {
	for i := range s.columns {
		if s.columns[i].role == r {
			return &s.columns[i]
		}
	}
	return nil
}

func (s *study) countMissing() {
	records, given := len(s.in.Data.Records), 0
	for _, c := range s.columns {
		given += c.given
		if absent := records - c.given; absent*5 >= records {
			s.note("The field %s is missing in %d of %d records.", c.label, absent, records)
		}
	}
	if all := records * len(s.columns); all > 0 {
		s.missing = 1 - float64(given)/float64(all)
		s.figures.add(topicCount, "missing", 100*s.missing, percent, "share of values that are missing")
	}
}

// measured returns the fields that statistics are made of, those with the most numbers first.
func (s *study) measured() []column {
	var out []column
	for _, c := range s.columns {
		if c.measured() {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b column) int { return cmp.Compare(b.given, a.given) })
	if len(out) > maxMeasured {
		s.note("Of %d fields with numbers, the %d fullest have statistics.", len(out), maxMeasured)
		out = out[:maxMeasured]
	}
	return out
}

// fields describes every field with numbers, and its course in time where the records have one.
func (s *study) fields() {
	when := s.with(moment)
	rows := [][]any{}
	for i, c := range s.measured() {
		x := c.numbers()
		d := describe(x)
		about := s.say(c.label)
		name := slug(about)
		s.values = max(s.values, d.n)
		rows = append(rows, []any{c.label, d.n, len(c.values) - d.n, round(d.min), round(d.max), round(d.mean), round(d.median), round(d.p90), round(d.sd)})
		for _, f := range []struct {
			name  string
			value float64
			about string
		}{
			{".mean", d.mean, "mean of %s"}, {".median", d.median, "median of %s"}, {".min", d.min, "lowest %s"}, {".max", d.max, "highest %s"},
			{".p90", d.p90, "90th percentile of %s"}, {".stdev", d.sd, "standard deviation of %s"}, {".count", float64(d.n), "number of values of %s"},
		} {
			s.figures.add(topicField, name+f.name, f.value, "", f.about, about)
		}
		if low, high, n := d.outliers(x); d.n >= leastOutliers && n > 0 {
			s.figures.add(topicOutlier, name+".outliers", float64(n), "", "number of outliers of %s", about)
			s.figures.add(topicOutlier, name+".fence_low", low, "", "lower fence of %s, below which values are outliers", about)
			s.figures.add(topicOutlier, name+".fence_high", high, "", "upper fence of %s, above which values are outliers", about)
		}
		if i == 0 && d.n >= leastOutliers {
			s.charts = append(s.charts, histogram("How "+c.label+" is spread", c.label, x, d))
		}
		if when != nil && when.name != c.name {
			s.course(c, *when, i == 0)
		}
	}
	if len(rows) > 0 {
		s.table("Fields", []string{"field", "count", "missing", "min", "max", "mean", "median", "p90", "stdev"}, rows)
	}
}

// course fits a line through a field over time.
func (s *study) course(c, when column, draw bool) {
	type point struct{ x, y float64 }
	var points []point
	for i := range c.values {
		x, known := when.values[i].day()
		if y, ok := c.number(i); ok && known {
			points = append(points, point{x, y})
		}
	}
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
	x, y := make([]float64, len(points)), make([]float64, len(points))
	for i, p := range points {
		x[i], y[i] = p.x, p.y
	}
	s.trend(c.label, x, y, "day", draw)
}
