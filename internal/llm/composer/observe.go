package composer

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// observation is a mistake that one line shows. In its texts %s stands for what the expression's group matched.
type observation struct {
	languages  string // those it holds for, between spaces
	pattern    *regexp.Regexp
	raw        bool // the pattern looks into texts and comments too
	severity   string
	category   string
	message    string
	suggestion string
}

func observations() []observation {
	seen := func(languages, pattern, severity, category, message, suggestion string) observation {
		return observation{" " + languages + " ", regexp.MustCompile(pattern), false, severity, category, message, suggestion}
	}
	all := []observation{
		seen("luau", `(?:^|[^.:\w])(wait|spawn|delay)\(`, "low", "performance",
			"%s() is the old scheduler: it may wake late, and it throttles when much is waiting.", "Use task.%s() instead."),
		seen("luau", `(Instance\.new)\("[^"]*"\s*,`, "low", "performance",
			"%s with a parent puts the object into the place before its properties are set, and every later change is sent to all players.",
			"Create it, set its properties, and set Parent last."),
		seen("luau", `(FindFirstChild\w*)\([^()]*\)[.:]`, "medium", "correctness",
			"The result of %s is used at once, but it is nil when there is no such object, and then this line stops the script.",
			"Keep the result in a local and use it only if it is not nil, or use WaitForChild where it will come."),
		seen("luau", `game\.(Players|ReplicatedStorage|ServerStorage|Lighting)\b`, "info", "style",
			"game.%s finds the service by its name, which can be changed in a place.", `Use game:GetService and keep the service in a local at the top.`),
		seen("javascript typescript python", `(?:^|[^.\w])(eval|exec)\(`, "high", "security",
			"%s runs text as code: whoever can write that text decides what this program does.", "Parse the text for what you expect in it instead of running it."),
		seen("javascript typescript", `\.(innerHTML|outerHTML)\s*=[^=]`, "medium", "security",
			"Text that goes into %s is read as HTML, and a script in it runs.", "Set textContent, or build the elements."),
		seen("javascript typescript", `[^=!<>](==|!=)[^=]`, "low", "correctness",
			"%s converts what it compares, so that different things can count as equal.", "Compare with === or !== instead."),
		seen("javascript typescript", `(?:^|[^\w.])(var) `, "info", "style", "%s is visible in its whole function.", "Use const, or let where it changes."),
		seen("python", `^\s*(except)\s*:`, "medium", "correctness",
			"%s without a type also catches what should end the program, and hides mistakes.", "Name the exceptions that you expect."),
		seen("python", `def \w+\(.*(=\s*(?:\[\]|\{\}))`, "medium", "correctness",
			"The default %s is made once and shared by all calls.", "Use None as the default and make a new one inside."),
		seen("python", `(shell\s*=\s*True)`, "high", "security", "With %s a command is read by the shell, with all that stands in its text.", "Pass the command as a list, without a shell."),
	}
	secret := seen("luau lua javascript typescript python", `(?i)\b(\w*(?:api_?key|secret|password|token))\s*[:=]\s*["'][^"'\s]{8,}["']`, "high", "security",
		"%s holds a secret that is written into the code: everybody who can read the code has it.", "Keep it outside the code, and make a new one, since this one is known.")
	todo := seen("luau lua javascript typescript python", `(?:--|//|#)\s*.*\b(TODO|FIXME)\b`, "info", "maintainability",
		"A %s is left here.", "Do it, or write down where it is kept track of.")
	secret.raw, todo.raw = true, true
	return append(all, secret, todo)
}

// mostOfOne is how often the same observation is listed.
const mostOfOne = 3

func (r *reading) patterns() {
	for _, o := range observations() {
		if !strings.Contains(o.languages, " "+r.language+" ") {
			continue
		}
		n := 0
		for _, l := range r.lines {
			text := l.code
			if o.raw {
				text = l.text
			}
			m := o.pattern.FindStringSubmatch(text)
			if m == nil {
				continue
			}
			if n++; n > mostOfOne {
				break
			}
			r.found(o.severity, o.category, l.number, strings.ReplaceAll(o.message, "%s", clip(m[1], 60)), strings.ReplaceAll(o.suggestion, "%s", clip(m[1], 60)))
		}
	}
}

var storeCall = regexp.MustCompile(`:((?:Get|Set|Update|Increment|Remove)Async)\(`)

// guardedWithin is how many lines above a call its pcall may stand.
const guardedWithin = 5

func (r *reading) dataStores() {
	if !r.luau() || !slices.ContainsFunc(r.lines, func(l sourceLine) bool { return strings.Contains(l.text, "DataStore") }) {
		return
	}
	for i, l := range r.lines {
		m := storeCall.FindStringSubmatch(l.code)
		if m == nil {
			continue
		}
		guarded := slices.ContainsFunc(r.lines[max(i-guardedWithin, 0):i+1], func(l sourceLine) bool { return strings.Contains(l.code, "pcall") })
		if !guarded {
			r.found("high", "correctness", l.number,
				fmt.Sprintf("%s may fail, as every request to a data store may, and neither this line nor the %d above have a pcall: an error here stops the script.", m[1], guardedWithin),
				"Call it inside pcall, and decide what happens when it fails: try again, or do not save over what you could not read.")
		}
	}
}

var (
	assigned = regexp.MustCompile(`^\s*([A-Za-z_]\w*)\s*=[^=]`)
	word     = regexp.MustCompile(`[A-Za-z_]\w*`)
	declared = regexp.MustCompile(`\blocal\b([^=]*)|\bfunction\b[^(]*\(([^)]*)|\bfor\b(.*?)(?:\bin\b|=)`)
)

// globals finds what is assigned outside of a table and is declared nowhere in the file.
func (r *reading) globals() {
	if !r.luau() {
		return
	}
	known, depth := map[string]bool{}, 0
	for _, l := range r.lines {
		for _, m := range declared.FindAllStringSubmatch(l.code, -1) {
			for _, name := range word.FindAllString(strings.Join(m[1:], " "), -1) {
				known[name] = true
			}
		}
	}
	goesOn := false // the line before ends in a comma
	for _, l := range r.lines {
		m := assigned.FindStringSubmatch(l.code)
		if m != nil && depth == 0 && !goesOn && !known[m[1]] {
			known[m[1]] = true
			r.found("medium", "correctness", l.number, fmt.Sprintf("%s is a global variable: it is declared nowhere in this file, so that it is slower and any function can change it.", clip(m[1], 60)),
				fmt.Sprintf("Declare it with local %s before it is used.", clip(m[1], 60)))
		}
		depth = max(depth+strings.Count(l.code, "{")-strings.Count(l.code, "}"), 0)
		goesOn = strings.HasSuffix(strings.TrimSpace(l.code), ",")
	}
}

// longFunction is the number of lines from which a function is called long.
const longFunction = 50

func (r *reading) longFunctions() {
	for _, f := range r.functions {
		if n := f.to - f.from + 1; n > longFunction {
			r.found("low", "maintainability", f.from, fmt.Sprintf("The function %s has %d lines, which is hard to take in at once.", clip(cmp.Or(f.name, "that begins here"), 60), n),
				"Move steps that belong together into functions with a name that says what they do.")
		}
	}
}

func (r *reading) comments() {
	code, comments := r.count()
	if code >= 20 && comments == 0 {
		r.found("info", "maintainability", 1, fmt.Sprintf("There is no comment in %d lines of code.", code), "Say at the top what the script is for, and where something is not obvious, why it is so.")
	}
}

var literal = regexp.MustCompile(`(?:^|[^\w.])(\d+(?:\.\d+)?)(?:$|[^\w.])`)

// numbers finds the number that stands in the code most often without a name.
func (r *reading) numbers() {
	times, at := map[string]int{}, map[string]int{}
	for _, l := range r.lines {
		for _, m := range literal.FindAllStringSubmatch(l.code, -1) {
			if n := m[1]; len(n) > 1 && n != "10" && n != "100" {
				if times[n]++; times[n] == 1 {
					at[n] = l.number
				}
			}
		}
	}
	most := ""
	for n, count := range times {
		if count >= 3 && (most == "" || count > times[most] || count == times[most] && at[n] < at[most]) {
			most = n
		}
	}
	if most != "" {
		r.found("low", "maintainability", at[most], fmt.Sprintf("The number %s stands %d times in the code, for the first time here, and nothing says what it means.", most, times[most]),
			fmt.Sprintf("Give %s a name at the top of the file and use the name.", most))
	}
}

// longLine is the number of characters from which a line is called long.
const longLine = 120

func (r *reading) width() {
	n, at := 0, 0
	for _, l := range r.lines {
		if len([]rune(l.text)) > longLine {
			if n++; n == 1 {
				at = l.number
			}
		}
	}
	if n > 0 {
		r.found("info", "style", at, fmt.Sprintf("%s longer than %d characters; this is the first.", map[bool]string{true: "One line is", false: fmt.Sprintf("%d lines are", n)}[n == 1], longLine), "Break it where a reader would pause.")
	}
}
