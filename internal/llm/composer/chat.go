package composer

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// chatPurpose is a turn of the assistant. It is the one request with tools that the composer serves.
const chatPurpose = "chat.reply"

type chatInput struct {
	Text          string `json:"text"`
	Circumstances struct {
		May []struct {
			Kind        string `json:"kind"`
			Description string `json:"description"`
		} `json:"may_start"`
		Tasks []struct {
			TaskID string `json:"task_id"`
			Kind   string `json:"kind"`
		} `json:"started_before"`
	} `json:"circumstances"`
}

func (in chatInput) may(kind string) bool {
	for _, k := range in.Circumstances.May {
		if k.Kind == kind {
			return true
		}
	}
	return false
}

// chat answers a message: it asks for what is plainly wished for, and says afterwards what came of that.
func (c *Composer) chat(req llm.Request) (string, []llm.ToolCall, error) {
	var in chatInput
	if err := json.Unmarshal(req.Input, &in); err != nil {
		return "", nil, fault.InvalidField("input", "cannot be read by the offline composer: %v", err)
	}
	if n := len(req.Messages); n > 0 && req.Messages[n-1].Role == llm.RoleTool {
		return chatOutcome(req.Messages), nil, nil
	}
	text := unquoted.ReplaceAllString(in.Text, " ")
	wishes := c.wishes(text)
	if len(wishes) == 0 && asksAfter.MatchString(text) && len(in.Circumstances.Tasks) > 0 && offers(req.Tools, "get_task") {
		last := in.Circumstances.Tasks[len(in.Circumstances.Tasks)-1]
		return "", []llm.ToolCall{chatCall(1, "get_task", map[string]any{"task_id": last.TaskID})}, nil
	}
	var calls []llm.ToolCall
	var refused []string
	for _, w := range wishes {
		if !in.may(w.kind) || !offers(req.Tools, "submit_task") {
			refused = append(refused, w.kind)
			continue
		}
		calls = append(calls, chatCall(len(calls)+1, "submit_task", map[string]any{"kind": w.kind, "input": w.input}))
	}
	switch {
	case len(calls) > 0:
		return "", calls, nil
	case len(refused) > 0:
		return "You may not start tasks of this sort at the moment: " + strings.Join(refused, ", ") + ". " + chatHelp(in), nil, nil
	}
	return chatHelp(in), nil, nil
}

func offers(tools []llm.Tool, name string) bool {
	for _, t := range tools {
		if t.Name == name {
			return true
		}
	}
	return false
}

func chatCall(n int, name string, arguments map[string]any) llm.ToolCall {
	data, _ := json.Marshal(arguments) // plain values: they always encode
	return llm.ToolCall{ID: fmt.Sprint("call-", n), Name: name, Arguments: data}
}

func chatHelp(in chatInput) string {
	if len(in.Circumstances.May) == 0 {
		return "I am the offline assistant: no model is configured, and there is nothing that you may start at the moment."
	}
	var b strings.Builder
	b.WriteString("I am the offline assistant: no model is configured, so I understand plain wishes only. I can start these for you:\n\n")
	for _, k := range in.Circumstances.May {
		fmt.Fprintf(&b, "- **%s**: %s\n", k.Kind, k.Description)
	}
	b.WriteString("\nSay, for example: *Make me a quiz about fractions for grade 4 with 5 questions.*")
	return b.String()
}

// chatOutcome says what the tools answered that were called last.
func chatOutcome(messages []llm.Message) string {
	from := len(messages)
	for from > 0 && messages[from-1].Role == llm.RoleTool {
		from--
	}
	var lines []string
	for _, m := range messages[from:] {
		var told struct {
			TaskID string `json:"task_id"`
			Kind   string `json:"kind"`
			State  string `json:"state"`
			Error  string `json:"error"`
		}
		switch err := json.Unmarshal([]byte(m.Text), &told); {
		case err != nil:
			lines = append(lines, "That did not work: "+firstLine(m.Text))
		case told.TaskID == "":
			lines = append(lines, "That did not work: "+told.Error)
		case told.State == "queued":
			lines = append(lines, fmt.Sprintf("I have started the **%s**: task `%s`. Follow it at `/api/v1/tasks/%s/events`; its result will be at `/api/v1/tasks/%s`.",
				strings.ReplaceAll(told.Kind, "_", " "), told.TaskID, told.TaskID, told.TaskID))
		case told.Error != "":
			lines = append(lines, fmt.Sprintf("The task `%s` is %s: %s", told.TaskID, told.State, told.Error))
		default:
			lines = append(lines, fmt.Sprintf("The task `%s` (%s) is %s.", told.TaskID, told.Kind, told.State))
		}
	}
	return strings.Join(lines, "\n\n")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// order is something to be made.
type order struct {
	kind  string
	input map[string]any
}

var (
	// unquoted finds what stands in quotation marks: it is somebody else's words.
	unquoted   = regexp.MustCompile(`"[^"]*"|“[^”]*”|„[^“]*“|(?:^|\s)'[^']*'`)
	makes      = regexp.MustCompile(`(?i)\b(make|create|write|build|generate|prepare|draft|need|want|give me|erstelle|erzeuge|mach|mache|schreib|schreibe|bau|baue|brauche)\b`)
	asksAfter  = regexp.MustCompile(`(?i)\b(how is|how are|status|ready|done yet|finished|progress|what became|fertig)\b`)
	wishWords  = regexp.MustCompile(`(?i)\b(quiz|lesson|unterrichtsstunde|terrain|landscape|landschaft|script|skript)\b`)
	gradeAfter = regexp.MustCompile(`(?i)\b(?:grade|klasse|class)\s+(\d{1,2})\b|\b(\d{1,2})(?:st|nd|rd|th)[ -]grade`)
	howMany    = regexp.MustCompile(`(?i)\b(\d{1,2})\s+(?:questions|fragen)\b`)
	topicAfter = regexp.MustCompile(`(?i)(?:^|\s)(?:about|on|over|über|zum thema|zu)\s+(.+)`)
	topicEnds  = regexp.MustCompile(`(?i)\s+(?:for|with|in|für|mit|and|und|at|please|bitte)\s|[.,;:?!\n]`)
	biomes     = regexp.MustCompile(`(?i)\b(ocean|forest|desert|mountain|classroom)`)
)

// wishes returns what a message plainly asks for, at most three.
func (c *Composer) wishes(text string) []order {
	if !makes.MatchString(text) {
		return nil
	}
	found := wishWords.FindAllStringIndex(text, 3)
	var all []order
	topic, grade := "", 0
	for i, at := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		begin := 0
		if i > 0 {
			begin = found[i-1][1]
		}
		part, before := text[at[1]:end], text[begin:at[0]]
		if t := topicOf(part); t != "" && !strings.EqualFold(t, "it") && !strings.EqualFold(t, "that") {
			topic = t
		}
		if g := numberIn(gradeAfter, part); g >= 1 && g <= 12 {
			grade = g
		}
		if w, ok := c.wish(strings.ToLower(text[at[0]:at[1]]), topic, grade, part, before); ok {
			all = append(all, w)
		}
	}
	return all
}

func (c *Composer) wish(word, topic string, grade int, part, before string) (order, bool) {
	switch word {
	case "script", "skript":
		functionality := clipRunes(strings.TrimSpace(part), 1000)
		functionality = strings.TrimRight(strings.TrimPrefix(functionality, "that "), ".!? ")
		return order{"script", map[string]any{"functionality": functionality}}, hasLetter(functionality)
	case "terrain", "landscape", "landschaft":
		in := map[string]any{"subject": "Geography"}
		if b := biomes.FindString(before + " " + part); b != "" {
			in["biome"] = strings.ToLower(b)
		}
		if topic != "" {
			in["subject"] = c.subjectOf(topic)
		}
		return order{"terrain", in}, true
	}
	if !hasLetter(topic) {
		return order{}, false
	}
	in := map[string]any{"subject": c.subjectOf(topic), "objectives": []string{"Explain and use " + topic}}
	if grade > 0 {
		in["grade_level"] = grade
	}
	if word != "quiz" {
		if grade == 0 {
			in["grade_level"] = "6-8"
		}
		return order{"content", in}, true
	}
	if n := numberIn(howMany, part); n >= 1 && n <= 50 {
		in["num_questions"] = n
	}
	return order{"quiz", in}, true
}

func topicOf(part string) string {
	m := topicAfter.FindStringSubmatch(part)
	if m == nil {
		return ""
	}
	topic := m[1]
	if end := topicEnds.FindStringIndex(topic + "."); end != nil {
		topic = topic[:min(end[0], len(topic))]
	}
	topic = strings.TrimPrefix(strings.TrimSpace(topic), "the ")
	return clipRunes(topic, 100)
}

func numberIn(pattern *regexp.Regexp, text string) int {
	m := pattern.FindStringSubmatch(text)
	for _, digits := range m[min(1, len(m)):] {
		if n, err := strconv.Atoi(digits); err == nil {
			return n
		}
	}
	return 0
}

// topicSubjects are words of topics that tell the subject.
func topicSubjects() map[string]string {
	return map[string]string{
		"fraction": "Mathematics", "brüche": "Mathematics", "equation": "Mathematics", "geometry": "Mathematics", "percent": "Mathematics", "multiplication": "Mathematics",
		"photosynthesis": "Biology", "cell": "Biology", "plant": "Biology", "animal": "Biology", "ecosystem": "Biology",
		"force": "Physics", "energy": "Physics", "electric": "Physics", "atom": "Chemistry", "acid": "Chemistry", "reaction": "Chemistry",
		"rome": "History", "roman": "History", "war": "History", "revolution": "History", "egypt": "History",
		"volcano": "Geography", "climate": "Geography", "river": "Geography", "water cycle": "Science", "weather": "Science",
		"grammar": "English", "poem": "English", "algorithm": "Computer Science", "programming": "Computer Science", "colour": "Art", "color": "Art",
	}
}

// subjectOf returns the subject that a topic belongs to; the topic itself where that is not known.
func (c *Composer) subjectOf(topic string) string {
	lower := strings.ToLower(topic)
	if s := c.bank.subject(topic); s != nil {
		return topic
	}
	best, length := topic, 0
	for word, subject := range topicSubjects() {
		if strings.Contains(lower, word) && (len(word) > length || len(word) == length && subject < best) {
			best, length = subject, len(word)
		}
	}
	first, size := utf8.DecodeRuneInString(best)
	return string(unicode.ToUpper(first)) + best[size:]
}

func hasLetter(s string) bool { return strings.ContainsFunc(s, unicode.IsLetter) }

func clipRunes(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most])
}
