package lesson

import "strconv"

// Difficulty is how hard a lesson or quiz is to be.
type Difficulty string

// Points returns what a right answer of this difficulty earns.
func (d Difficulty) Points() int {
	switch d {
	case "easy":
		return 5
	case "hard":
		return 15
	case "expert":
		return 20
	}
	return 10
}

// seconds is how long a question of each type takes, when nobody sets a limit.
func seconds(t Type) int {
	switch t {
	case TrueFalse:
		return 30
	case MultipleChoice, FillBlank:
		return 45
	case Matching, Ordering:
		return 90
	}
	return 120
}

// Finish numbers questions q_1 and on and gives them objective, points and a time limit. Where total, in seconds, is not 0,
// the limits share it: one second each, and the rest in proportion to the types' usual times. Total is no less than the
// number of questions.
func Finish(questions []Question, slots []Slot, d Difficulty, total int) {
	usual := 0
	for _, q := range questions {
		usual += seconds(q.Type)
	}
	for i := range questions {
		q := &questions[i]
		q.ID = "q_" + strconv.Itoa(i+1)
		q.Objective, q.Points = Int(slots[i].Objective), Int(d.Points())
		limit := seconds(q.Type)
		if total > 0 {
			limit = 1 + limit*(total-len(questions))/usual
		}
		q.TimeLimit = Int(limit)
		if q.Hints == nil {
			q.Hints = []string{}
		}
	}
}
