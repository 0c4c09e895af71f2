package analytics

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// maxFigures bounds how many figures a model is shown.
const maxFigures = 160

// Figure is a number that was computed.
type Figure struct {
	Name  string  `json:"name"`  // "score.mean"
	Value float64 `json:"value"` // rounded: two digits behind the point, four below 1
	Unit  string  `json:"unit,omitempty"`
	About string  `json:"about"` // what it is, with people under their pseudonyms
	Topic string  `json:"topic"` // what sort of figure it is: see the topics
	// Reading says in words what the value means, where that is computed: "it rises, clearly".
	Reading string `json:"reading,omitempty"`
	Weak    bool   `json:"weak,omitempty"` // chance explains it as well: no insight that rests on it may be sure
}

// Topics of figures.
const (
	topicCount       = "count"
	topicField       = "field"
	topicGroup       = "group"
	topicTrend       = "trend"
	topicOutlier     = "outlier"
	topicCorrelation = "correlation"
	topicMastery     = "mastery"
	topicQuestion    = "question"
	topicHelp        = "help"
	topicSession     = "session"
	topicRetention   = "retention"
	topicFunnel      = "funnel"
	topicTarget      = "target"
	topicMetric      = "metric"
)

const percent = "%"

// figures collects figures in order. Names are unique; what is no finite number, or above the bound, is left out.
type figures struct {
	list    []Figure
	names   map[string]bool
	dropped int
}

// add returns the name under which the figure stands.
func (f *figures) add(topic, name string, value float64, unit, about string, args ...any) string {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return ""
	}
	if len(f.list) == maxFigures {
		f.dropped++
		return ""
	}
	if f.names == nil {
		f.names = map[string]bool{}
	}
	unique := name
	for n := 2; f.names[unique]; n++ {
		unique = name + "_" + strconv.Itoa(n)
	}
	f.names[unique] = true
	f.list = append(f.list, Figure{Name: unique, Value: round(value), Unit: unit, About: fmt.Sprintf(about, args...), Topic: topic})
	return unique
}

// read says what figures mean, and whether chance explains them as well.
func (f *figures) read(reading string, weak bool, names ...string) {
	for i := range f.list {
		if slices.Contains(names, f.list[i].Name) {
			f.list[i].Reading, f.list[i].Weak = reading, weak
		}
	}
}

// round keeps two digits behind the point, or four below 1.
func round(v float64) float64 {
	digits := 100.0
	if math.Abs(v) < 1 {
		digits = 10_000
	}
	if v = math.Round(v*digits) / digits; v == 0 {
		return 0 // never -0
	}
	return v
}
