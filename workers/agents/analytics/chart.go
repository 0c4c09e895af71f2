package analytics

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Bounds of what the dashboard draws.
const (
	maxCharts = 8
	maxPoints = 60 // of a line; longer ones are drawn by the means of as many stretches
	maxBars   = 20
	maxTables = 10
)

// Chart is for the dashboard. Each series has as many values as there are labels.
type Chart struct {
	Type   string   `json:"type"` // line, bar or histogram
	Title  string   `json:"title"`
	Labels []string `json:"labels"`
	Series []Series `json:"series"`
}

// Series is a row of values of a chart.
type Series struct {
	Name   string    `json:"name"`
	Values []float64 `json:"values"`
}

// Table holds figures beside what they are about. Cells are texts and numbers.
type Table struct {
	Title   string   `json:"title"`
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
}

// table adds a table, cut to its bound.
func (s *study) table(title string, columns []string, rows [][]any) {
	if len(s.tables) == maxTables {
		return
	}
	if len(rows) > maxRows {
		s.note("The table %q shows %d of %d rows.", title, maxRows, len(rows))
		rows = rows[:maxRows]
	}
	s.tables = append(s.tables, Table{title, columns, rows})
}

// bars draws one column of a table's rows over another.
func (s *study) bars(title, name string, rows [][]any, labels, values int) {
	c := Chart{Type: "bar", Title: title, Labels: []string{}, Series: []Series{{Name: name, Values: []float64{}}}}
	for _, row := range rows[:min(len(rows), maxBars)] {
		var v float64
		switch n := row[values].(type) {
		case float64:
			v = n
		case int:
			v = float64(n)
		default:
			continue
		}
		c.Labels = append(c.Labels, fmt.Sprint(row[labels]))
		c.Series[0].Values = append(c.Series[0].Values, v)
	}
	if len(c.Labels) > 0 && len(s.charts) < maxCharts {
		s.charts = append(s.charts, c)
	}
}

// histogram counts values in at most ten classes of equal width: as many as the square root of their number.
func histogram(title, name string, x []float64, d summary) Chart {
	n := min(max(int(math.Sqrt(float64(len(x)))), 1), 10)
	width := (d.max - d.min) / float64(n)
	if width == 0 || math.IsInf(width, 0) {
		n, width = 1, 1
	}
	c := Chart{Type: "histogram", Title: title, Series: []Series{{Name: name, Values: make([]float64, n)}}}
	for i := range n {
		from := d.min + float64(i)*width
		c.Labels = append(c.Labels, formatNumber(round(from))+" to "+formatNumber(round(from+width)))
	}
	for _, v := range x {
		c.Series[0].Values[min(max(int((v-d.min)/width), 0), n-1)]++
	}
	return c
}

// lineChart draws a series; times are shown as dates.
func lineChart(name string, x, y []float64, unit string) Chart {
	c := Chart{Type: "line", Title: name, Series: []Series{{Name: name}}}
	stretch := (len(y) + maxPoints - 1) / maxPoints
	for from := 0; from < len(y); from += stretch {
		part, sum := y[from:min(from+stretch, len(y))], 0.0
		for _, v := range part {
			sum += v
		}
		at := strconv.Itoa(from + 1)
		if unit == "day" {
			at = time.Unix(int64(x[from]*86_400), 0).UTC().Format(time.DateOnly)
		}
		c.Labels = append(c.Labels, at)
		c.Series[0].Values = append(c.Series[0].Values, round(sum/float64(len(part))))
	}
	return c
}

// formatNumber shows a number without needless digits.
func formatNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
