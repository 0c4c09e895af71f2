package events

import (
	"strings"
	"unicode/utf8"
)

// Bounds of what is kept of refused answers. With them a task.failed stays below MaxData, whatever the answers hold.
const (
	MaxRefusals     = 8        // the newest
	MaxRefusedText  = 16 << 10 // bytes of the text of each of the newest two: what an attempt refuses last, and its repair
	MaxRefusedOlder = 2 << 10  // bytes of the text of each older one
	maxReasons      = 10       // of one refusal
	maxReasonField  = 200      // bytes
	maxReasonText   = 400      // bytes
)

// Refusal is an answer of a model that was of no use: what it said, and what was wrong with it.
type Refusal struct {
	Attempt       int      `json:"attempt"`
	Step          string   `json:"step"`
	Round         int      `json:"round"`                  // 1 for the first answer, 2 for the one that was to mend it
	GeneratedBy   string   `json:"generated_by,omitempty"` // "openai/gpt-5-mini"; empty when the answer came without a name
	PromptVersion string   `json:"prompt_version,omitempty"`
	Reasons       []Reason `json:"reasons"`
	More          int      `json:"more_reasons,omitempty"` // how many reasons are left out
	Text          string   `json:"text"`                   // the answer, or its beginning
	Bytes         int      `json:"bytes"`                  // of the whole answer as it is known
	Usage         *Usage   `json:"usage,omitempty"`        // what the answer cost; it is counted elsewhere as well
}

// Reason is one thing that is wrong with an answer.
type Reason struct {
	Field  string `json:"field"` // "answer.questions[2].options"
	Reason string `json:"reason"`
}

// KeepRefusals returns what is kept of refusals, oldest first: the newest MaxRefusals, the texts of the older ones clipped. It does not
// change the list that it is given, and returns what it returned before when it is given that.
func KeepRefusals(list []Refusal) []Refusal {
	if len(list) == 0 {
		return nil
	}
	list = list[max(0, len(list)-MaxRefusals):]
	kept := make([]Refusal, len(list))
	for i, r := range list {
		most := MaxRefusedOlder
		if i >= len(list)-2 {
			most = MaxRefusedText
		}
		r.Bytes = max(r.Bytes, len(r.Text))
		r.Text = cutText(r.Text, most)
		r.Step, r.GeneratedBy, r.PromptVersion = cutText(r.Step, maxReasonField), cutText(r.GeneratedBy, maxReasonField), cutText(r.PromptVersion, maxReasonField)
		r.More += max(0, len(r.Reasons)-maxReasons)
		reasons := make([]Reason, min(len(r.Reasons), maxReasons))
		for j := range reasons {
			reasons[j] = Reason{cutText(r.Reasons[j].Field, maxReasonField), cutText(r.Reasons[j].Reason, maxReasonText)}
		}
		r.Reasons = reasons
		kept[i] = r
	}
	return kept
}

// cutText returns at most n bytes of s, as every reader of JSON takes it: valid, and without NUL.
func cutText(s string, n int) string {
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	}
	for len(s) > n {
		end := n
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return s
}
