package lesson

import "encoding/json"

// Type is a type of question.
type Type string

// The types of questions. See checkShape for what each one holds.
const (
	MultipleChoice Type = "multiple_choice"
	TrueFalse      Type = "true_false"
	ShortAnswer    Type = "short_answer"
	FillBlank      Type = "fill_blank"
	Matching       Type = "matching"
	Ordering       Type = "ordering"
)

// Question is one question with its answer. The author writes everything up to Hints; Finish adds the rest.
type Question struct {
	ID            string   `json:"id"` // q_1 and so on
	Type          Type     `json:"type"`
	Text          string   `json:"text"`
	Options       []Option `json:"options"`
	CorrectAnswer Answer   `json:"correct_answer"`
	Explanation   string   `json:"explanation"`
	Hints         []string `json:"hints"`
	Objective     Int      `json:"objective"`  // number of the objective that it tests, from 1
	Points        Int      `json:"points"`     // for the right answer
	TimeLimit     Int      `json:"time_limit"` // seconds
}

// Option is one thing to choose, to match or to put in order.
type Option struct {
	ID          string `json:"id"`
	Text        string `json:"text"`
	IsCorrect   bool   `json:"is_correct"`
	Explanation string `json:"explanation"`
}

// Answer is one text or several. In JSON, one is a string and several are a list.
type Answer []string

// MarshalJSON writes one text as a string.
func (a Answer) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON reads either form.
func (a *Answer) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = Answer{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(a))
}

// Slot is one question that is to be written.
type Slot struct {
	Number    int  `json:"number"` // from 1
	Type      Type `json:"type"`
	Objective int  `json:"objective"` // from 1
}

// Slots plans n questions. Types and objectives take turns; once every pairing of the two turns has come up, one of them moves
// on by one, so that in the end each objective meets each type.
func Slots(n int, types []Type, objectives int) []Slot {
	slots := make([]Slot, n)
	period := len(types) * objectives / gcd(len(types), objectives)
	for i := range slots {
		slots[i] = Slot{Number: i + 1, Type: types[i%len(types)], Objective: (i+i/period)%objectives + 1}
	}
	return slots
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
