// Package lesson holds what the kinds for lessons share: grades, objectives, and questions with their rules.
package lesson

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Grade is a grade level: one grade from 1 to 12, or a band of them. In JSON it is a number or one of the bands.
type Grade struct {
	From int `json:"from"` // 0 stands for kindergarten
	To   int `json:"to"`
}

// String returns "grade 4" or "grades 3-5".
func (g Grade) String() string {
	if g.From == g.To {
		return "grade " + strconv.Itoa(g.From)
	}
	if g.From == 0 {
		return fmt.Sprintf("grades K-%d", g.To)
	}
	return fmt.Sprintf("grades %d-%d", g.From, g.To)
}

// ParseGrade reads a grade level as the API takes it.
func ParseGrade(raw json.RawMessage) (Grade, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		switch text {
		case "K-2":
			return Grade{0, 2}, nil
		case "3-5":
			return Grade{3, 5}, nil
		case "6-8":
			return Grade{6, 8}, nil
		case "9-12":
			return Grade{9, 12}, nil
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
