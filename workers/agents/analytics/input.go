package analytics

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

// Bounds of a submission. Those of the schema are the same; the whole input is bounded by task.MaxInput.
const (
	maxText  = 200  // characters of a value that is kept as text
	maxValue = 1e15 // larger numbers count as missing: they are mistakes, and their squares are no figures
)

// Input is a submission, as input.schema.json describes it.
type Input struct {
	DataType string `json:"data_type"`
	Data     Data   `json:"analysis_data"`
}

// Data is what is to be analyzed. Fields that it does not name are passed over.
type Data struct {
	Records  []map[string]json.RawMessage `json:"records"`
	Metrics  map[string]float64           `json:"metrics"`
	Series   map[string][]Point           `json:"series"`
	Question string                       `json:"question"`
	Period   string                       `json:"period"`
	GroupBy  string                       `json:"group_by"`
}

// Point is a value of a series: a number, or a number at a time.
type Point struct {
	T     json.RawMessage // nil where the place in the list is the time
	Value float64
}

// UnmarshalJSON reads both forms.
func (p *Point) UnmarshalJSON(raw []byte) error {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' {
		return json.Unmarshal(raw, &p.Value)
	}
	var v struct {
		T     json.RawMessage `json:"t"`
		Value float64         `json:"value"`
	}
	err := json.Unmarshal(raw, &v)
	p.T, p.Value = v.T, v.Value
	return err
}

// value is one field of a record: text, a number, or nothing.
type value struct {
	text   string // as it stands; for labels
	number float64
	is     sort
}

type sort int

const (
	missing sort = iota
	isText
	isNumber
	isFlag // number is 0 or 1
)

// readValue reads a flat value. Words such as "n/a" are missing, and text that is a number is one.
func readValue(raw json.RawMessage) (value, error) {
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0 || string(raw) == "null":
		return value{}, nil
	case raw[0] == '{' || raw[0] == '[':
		return value{}, fmt.Errorf("is not flat: only texts, numbers, true and false are taken")
	case raw[0] == 't':
		return value{"true", 1, isFlag}, nil
	case raw[0] == 'f':
		return value{"false", 0, isFlag}, nil
	case raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return value{}, err
		}
		return textValue(lesson.Clip(lesson.Clean(s), maxText)), nil
	}
	return textValue(string(raw)), nil
}

func textValue(s string) value {
	switch strings.ToLower(s) {
	case "", "-", "n/a", "na", "null", "none", "nan", "?":
		return value{}
	case "true", "yes":
		return value{s, 1, isFlag}
	case "false", "no":
		return value{s, 0, isFlag}
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	switch {
	case err != nil:
		return value{s, 0, isText}
	case math.IsNaN(n) || math.Abs(n) > maxValue:
		return value{}
	}
	return value{s, n, isNumber}
}

// day reads a time as days since 1970: RFC 3339, a date, or Unix time in seconds or milliseconds.
func (v value) day() (float64, bool) {
	switch {
	case v.is == isNumber && v.number > 1e11:
		return v.number / 86_400_000, true
	case v.is == isNumber && v.number > 1e8:
		return v.number / 86_400, true
	case v.is != isText:
		return 0, false
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly, "2006-01-02T15:04:05", "2006-01-02 15:04", "2006/01/02"} {
		if t, err := time.Parse(layout, v.text); err == nil {
			return float64(t.Unix()) / 86_400, true
		}
	}
	return 0, false
}

// table reads the records into columns, in alphabetical order.
func (d Data) table() ([]column, error) {
	byName := map[string][]value{}
	for i, record := range d.Records {
		for name, raw := range record {
			v, err := readValue(raw)
			if err != nil {
				return nil, fault.InvalidField(fmt.Sprintf("input.analysis_data.records[%d].%s", i, lesson.Clip(name, 60)), "%v", err)
			}
			if byName[name] == nil {
				byName[name] = make([]value, len(d.Records))
			}
			byName[name][i] = v
		}
	}
	if len(byName) > maxFields {
		return nil, fault.InvalidField("input.analysis_data.records", "have %d fields in all, at most %d are taken", len(byName), maxFields)
	}
	var out []column
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, newColumn(name, byName[name]))
	}
	return out, nil
}

// check holds the input against what the schema cannot say, and returns it complete.
func (in Input) check() (Input, error) {
	in.DataType = cmp.Or(in.DataType, PlayerBehavior)
	d := &in.Data
	d.Question, d.Period, d.GroupBy = lesson.Clean(d.Question), lesson.Clean(d.Period), strings.TrimSpace(d.GroupBy)
	points := 0
	for _, list := range d.Series {
		points += len(list)
	}
	if len(d.Records)+len(d.Metrics)+points == 0 {
		return in, fault.InvalidField("input.analysis_data", "holds nothing to analyze: give records, metrics or series")
	}
	for name, points := range d.Series {
		for i, p := range points {
			if math.Abs(p.Value) > maxValue {
				return in, fault.InvalidField(fmt.Sprintf("input.analysis_data.series.%s[%d]", lesson.Clip(name, 60), i), "is above %g", maxValue)
			}
		}
	}
	return in, nil
}
