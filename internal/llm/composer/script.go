package composer

import (
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode"
)

//go:embed scripts/*.luau
var scriptFiles embed.FS

type scriptRequest struct {
	ScriptType    string   `json:"script_type"`
	Functionality string   `json:"functionality"`
	Requirements  []string `json:"requirements"`
}

type scriptInput struct {
	Request scriptWish `json:"request"`
}

// scriptWish is a scriptRequest without what no answer may repeat.
type scriptWish struct{ scriptRequest }

func (w *scriptWish) UnmarshalJSON(raw []byte) error {
	shown, err := plainJSON(raw)
	if err != nil {
		return err
	}
	return json.Unmarshal(shown, &w.scriptRequest)
}

func (in scriptInput) check() error { return nil }

type scriptPlan struct {
	Name     string   `json:"name"`
	Approach string   `json:"approach"`
	Parts    []string `json:"parts"`
	Risks    []string `json:"risks"`
}

type scriptAnswer struct {
	Name          string   `json:"name"`
	Code          string   `json:"code"`
	Dependencies  []string `json:"dependencies"`
	Description   string   `json:"description"`
	SecurityNotes []string `json:"security_notes"`
}

func (c *Composer) scriptOutline(in scriptInput) scriptPlan {
	r, _ := c.chosen(in.Request.scriptRequest)
	return scriptPlan{r.nameFor(in.Request.scriptRequest), r.about, r.parts, r.notes}
}

func (c *Composer) scriptDraft(in scriptInput) scriptAnswer {
	r, left := c.chosen(in.Request.scriptRequest)
	answer := scriptAnswer{Name: r.nameFor(in.Request.scriptRequest), Code: c.code(r, in.Request.scriptRequest, left), Dependencies: r.needs, SecurityNotes: r.notes}
	var b strings.Builder
	b.WriteString(r.about + "\n\n")
	switch in.Request.ScriptType {
	case "LocalScript":
		b.WriteString("Put it into StarterPlayerScripts.")
		if r.file != "scaffold" && !r.client {
			b.WriteString(" What was asked for belongs on the server, where players cannot change it; this LocalScript only shows notices. Ask for a ServerScript with the same words.")
		}
	case "ModuleScript":
		b.WriteString("Put it into ServerScriptService and call require(module).start() once from a Script.")
	default:
		b.WriteString("Put it into ServerScriptService as a Script.")
	}
	if r.file == "scaffold" {
		b.WriteString(" The offline composer has no recipe for this request: the script is a structure with the steps to fill in, and it says at run time what is missing.")
	}
	if len(left) > 0 {
		b.WriteString(" It has nothing of these words of the request, so what they ask for is left to be written: " + oneLine(strings.Join(left, ", ")) + ".")
	}
	if len(in.Request.Requirements) > 0 {
		b.WriteString("\n\nCheck these requirements yourself:")
		for _, text := range in.Request.Requirements {
			if b.Len() > 1200 {
				break
			}
			b.WriteString("\n- " + clip(text, 200))
		}
	}
	answer.Description = clip(b.String(), 2000)
	return answer
}

// chosen returns the recipe for a request, and the words of the request that it has nothing of. It is the scaffold where those are most of it.
func (c *Composer) chosen(req scriptRequest) (recipe, []string) {
	r := recipeFor(req)
	if r.file == "scaffold" || req.ScriptType == "LocalScript" && !r.client {
		return r, nil
	}
	topics := ""
	if r.file == "quiz" || r.file == "dialogue" {
		for _, q := range c.bank.about(req.Functionality) {
			topics += q.Topics + " "
		}
	}
	code := c.body(r, req, "server")
	if r.client {
		code += c.body(r, req, "client") // what one side does not do the other does
	}
	left, done := r.leftover(req.Functionality, code, topics)
	if len(left) > 3*done {
		return scaffoldRecipe(), nil
	}
	return r, left
}

// code fills in the recipe and wraps it for the type of script. left are the words of the request that it has nothing of.
func (c *Composer) code(r recipe, req scriptRequest, left []string) string {
	side := "server"
	if req.ScriptType == "LocalScript" {
		side = "client"
		if !r.client {
			r.file = "scaffold"
		}
	}
	body := c.body(r, req, side)
	head := "--!strict\n-- " + oneLine(req.Functionality) + "\n"
	if len(left) > 0 {
		head += "-- TODO: this script has nothing yet of: " + oneLine(strings.Join(left, ", ")) + "\n"
	}
	head += "\n"
	if req.ScriptType != "ModuleScript" {
		return head + body
	}
	inner := "\t" + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n\t")
	inner = strings.ReplaceAll(inner, "\n\t\n", "\n\n")
	return head + "local Module = {}\n\n-- start sets everything up. Call it once, on the server.\nfunction Module.start()\n" + inner + "\nend\n\nreturn Module\n"
}

// body fills in the recipe for one side, server or client.
func (c *Composer) body(r recipe, req scriptRequest, side string) string {
	t := template.Must(template.New("").Funcs(template.FuncMap{"quote": luauString}).ParseFS(scriptFiles, "scripts/"+r.file+"."+side+".luau"))
	var body strings.Builder
	err := t.ExecuteTemplate(&body, r.file+"."+side+".luau", struct {
		Seconds, Points, Pieces, Pads int
		Gain                          func(otherwise string) string
		Questions                     []luauQuestion
		Lines                         []string
	}{
		seconds(req.Functionality), amount(req.Functionality, "point", "score", "star"), amount(req.Functionality, "coin", "gem", "token", "piece", "treasu"),
		amount(req.Functionality, "checkp", "stage"), func(otherwise string) string { return gain(req.Functionality, otherwise) },
		c.scriptQuestions(req), c.scriptLines(req),
	})
	if err != nil {
		panic(err) // the templates are part of this package, and a test fills in every one
	}
	return body.String()
}

// oneLine makes a text fit for a comment: on one line, without characters that are not seen or turn the text round.
func oneLine(s string) string {
	return clip(strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r >= 0xe0000 && r <= 0xe0fff ||
			r == 0x3164 // a letter without a shape
	}), " "), 200)
}

// luauString returns s as a Luau string literal.
func luauString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\%03d`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// duration finds a length of time, such as "5 seconds" or "two minutes".
var duration = regexp.MustCompile(`(?i)\b(\d{1,4}|one|two|three|four|five|six|seven|eight|nine|ten|fifteen|twenty|thirty|sixty)[ -](second|minute)s?\b`)

// seconds returns the first length of time that a text names, 0 when there is none.
func seconds(s string) int {
	m := duration.FindStringSubmatch(s)
	if m == nil {
		return 0
	}
	n := number(strings.ToLower(m[1]))
	if strings.EqualFold(m[2], "minute") {
		n *= 60
	}
	return n
}

type luauQuestion struct {
	Text    string
	Options []string
	Answer  int // from 1
}

// scriptQuestions picks questions of any subject that fit the words of the request, or leaves them to be written.
func (c *Composer) scriptQuestions(req scriptRequest) []luauQuestion {
	var out []luauQuestion
	for _, q := range c.bank.about(req.Functionality) {
		options := shuffled(q.Ask, append([]string{q.Answer}, q.Wrong...))
		out = append(out, luauQuestion{q.Ask, options, slices.Index(options, q.Answer) + 1})
	}
	for n := len(out) + 1; n <= 3; n++ {
		out = append(out, luauQuestion{fmt.Sprintf("Question %d: write it here", n), []string{"Right answer", "Wrong answer 1", "Wrong answer 2"}, 1})
	}
	return out
}

// about returns at most five questions that have to do with a text, all of the subject that fits it best.
func (b *bank) about(text string) []question {
	var best []question
	top := 0
	for _, name := range b.names() {
		s := b.subjects[name]
		want := s.wanted(text)
		for _, word := range stems("quiz question answer test exam trivia student pupil player game script computer screen") {
			delete(want, word)
		}
		named := slices.ContainsFunc(stems(s.Name), func(w string) bool { return want[w] > 0 })
		var found []question
		sum := 0
		order := ranked(len(s.Questions), seeded(name), func(i int) int { return s.Questions[i].relevance(want) })
		for _, i := range order {
			n := s.Questions[i].relevance(want)
			if len(found) > 0 && 2*n < s.Questions[order[0]].relevance(want) {
				break // it shares a word with the request, and no more
			}
			if len(found) < 5 && (n > 0 || named) {
				found, sum = append(found, s.Questions[i]), sum+n
			}
		}
		if named {
			sum += 40
		}
		if sum > top && sum >= 10 {
			best, top = found, sum
		}
	}
	return best
}

// names returns the subjects in alphabetical order, without their aliases.
func (b *bank) names() []string {
	var out []string
	for name, s := range b.subjects {
		if strings.EqualFold(name, s.Name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// scriptLines is what a character says.
func (c *Composer) scriptLines(req scriptRequest) []string {
	lines := []string{"Hello! I am your guide."}
	for _, q := range first(c.bank.about(req.Functionality), 3) {
		lines = append(lines, "Do you know this? "+q.Ask, "The answer is: "+q.Answer+".")
	}
	if len(lines) == 1 {
		lines = append(lines, "Write here what I should say first.", "And here what I should say then.")
	}
	return append(lines, "Come back whenever you like.")
}
