// Package lesson holds what the kinds for lessons share: grades, objectives, and questions with their rules.
package lesson

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Grade is a grade level: one grade from 1 to 12, or a band of them. In JSON it is a number or one of the bands.
type Grade struct {
	From int `json:"from"` // 0 stands for kindergarten
	To   int `json:"to"`
}

// bands are the grade bands as clients write them.
var bands = map[string]Grade{"K-2": {0, 2}, "3-5": {3, 5}, "6-8": {6, 8}, "9-12": {9, 12}}

// String returns "grade 4" or "grades 3-5".
func (g Grade) String() string {
	switch {
	case g.From == g.To:
		return "grade " + strconv.Itoa(g.From)
	case g.From == 0:
		return fmt.Sprintf("grades K-%d", g.To)
	}
	return fmt.Sprintf("grades %d-%d", g.From, g.To)
}

// ParseGrade reads a grade level as the API takes it.
func ParseGrade(raw json.RawMessage) (Grade, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		if g, ok := bands[strings.TrimSpace(text)]; ok {
			return g, nil
		}
		return Grade{}, fmt.Errorf("grade level %q is unknown", text)
	}
	var n Int
	if err := json.Unmarshal(raw, &n); err != nil || n < 1 || n > 12 {
		return Grade{}, fmt.Errorf("grade level %s is not from 1 to 12", raw)
	}
	return Grade{int(n), int(n)}, nil
}

// Int is a whole number. Unlike int it accepts every spelling of one that JSON Schema calls an integer, such as 3.0 and 3e1.
type Int int

// UnmarshalJSON reads a number without a fraction.
func (i *Int) UnmarshalJSON(raw []byte) error {
	var f float64
	if err := json.Unmarshal(raw, &f); err != nil {
		return err
	}
	if f != float64(int64(f)) {
		return fmt.Errorf("%s is no whole number", raw)
	}
	*i = Int(f)
	return nil
}
