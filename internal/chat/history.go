package chat

// turnOverhead is what a turn costs beside its words, in tokens.
const turnOverhead = 8

// Tokens estimates how many tokens a text takes: a quarter of its bytes, rounded up.
func Tokens(text string) int { return (len(text) + 3) / 4 }

// Tokens estimates what a turn takes.
func (t Turn) Tokens() int {
	n := turnOverhead + Tokens(t.User) + Tokens(t.Assistant)
	for _, u := range t.Tools {
		n += Tokens(string(raw(u)))
	}
	return n
}

// Trim returns the newest of turns, which are in the order of the conversation, that fit into so many tokens. A turn is kept whole or not
// at all: an answer without its question misleads, and providers refuse a conversation that begins with an answer. What is kept has no
// hole: with a turn that does not fit, all before it are left out.
func Trim(turns []Turn, tokens int) []Turn {
	from := len(turns)
	for from > 0 {
		if tokens -= turns[from-1].Tokens(); tokens < 0 {
			break
		}
		from--
	}
	return turns[from:]
}

// input returns the input of the turn of a message. before are the messages before it, the newest first.
func input(m Message, d Draft, before []Message) Input {
	in := Input{
		Conversation: m.Conversation, Message: m.ID, Text: m.Text, History: []Turn{}, May: d.May, Tasks: []string{},
		Facts: Facts{Date: m.CreatedAt.Format("2006-01-02"), Role: d.Role}, Grounds: &d.Grounds,
	}
	in.Grounds.At = m.CreatedAt
	if in.Grounds.Proved.IsZero() {
		in.Grounds.Proved = m.CreatedAt
	}
	if in.May == nil {
		in.May = []string{}
	}
	var turns []Turn
	for i := len(before) - 1; i >= 0; i-- {
		b := before[i]
		if b.Answer == nil {
			continue
		}
		turns = append(turns, Turn{User: b.Text, Tools: b.Answer.Tools, Assistant: b.Answer.Text})
		for _, u := range b.Answer.Tools {
			if u.Name == ToolSubmit && u.TaskID != "" {
				in.Tasks = append(in.Tasks, u.TaskID)
			}
		}
	}
	in.Tasks = in.Tasks[max(0, len(in.Tasks)-maxTasks):]
	in.History = append(in.History, Trim(turns, HistoryTokens-Tokens(m.Text))...)
	for i, t := range in.History {
		if t.Tools == nil {
			in.History[i].Tools = []ToolUse{}
		}
	}
	return in
}

// The tools of an assistant.
const (
	ToolSubmit = "submit_task"
	ToolTask   = "get_task"
	ToolKinds  = "list_kinds"
)

// maxTasks is of how many tasks that it submitted before a turn is told.
const maxTasks = 50
