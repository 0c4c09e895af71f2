package composer

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

type testingRequest struct {
	TestType      string             `json:"test_type"`
	Functionality string             `json:"functionality"`
	Wanted        []string           `json:"wanted"`
	Code          string             `json:"code"`
	Targets       map[string]float64 `json:"targets"`
}

type testingInput struct {
	Request testingRequest `json:"request"`
	Static  []struct {
		Rule string `json:"rule"`
		Line int    `json:"line"`
		Why  string `json:"why"`
		Mend string `json:"mend"`
	} `json:"static"`
	Evaluation []struct {
		Metric  string  `json:"metric"`
		Value   float64 `json:"value"`
		Verdict string  `json:"verdict"`
	} `json:"evaluation"`
	Cases []testingCase `json:"cases"`
}

// mostWanted and mostStatic are how many points and findings get a case of their own.
const (
	mostWanted = 40
	mostStatic = 10
)

func (in testingInput) check() error {
	if len(in.Request.Wanted) > mostWanted {
		return fault.InvalidField("input.request.wanted", "has %d points, at most %d are allowed", len(in.Request.Wanted), mostWanted)
	}
	return nil
}

type testingCase struct {
	ID        string   `json:"id,omitempty"`
	Name      string   `json:"name"`
	Purpose   string   `json:"purpose"`
	Steps     []string `json:"steps"`
	Expected  string   `json:"expected"`
	Priority  string   `json:"priority"`
	Automated bool     `json:"automated"`
	Covers    []int    `json:"covers"`

	body []string // lines of the test, for one that is automated
}

type testingExplanation struct {
	Metric string `json:"metric"`
	Text   string `json:"text"`
}

type testingPlan struct {
	Summary      string               `json:"summary"`
	Cases        []testingCase        `json:"cases"`
	Explanations []testingExplanation `json:"explanations"`
}

func (c *Composer) testingPlan(in testingInput) testingPlan {
	plan := testingPlan{Explanations: []testingExplanation{}}
	in.Request.Functionality, in.Request.Wanted = plain(in.Request.Functionality), plainAll(in.Request.Wanted)
	if in.Request.TestType == "security" {
		plan.Cases = in.findings()
	}
	plan.Cases = append(plan.Cases, in.Request.automatic()...)
	for i, text := range in.Request.Wanted {
		plan.Cases = append(plan.Cases, byHand(i+1, text))
	}
	for _, row := range in.Evaluation {
		if row.Verdict == "warn" || row.Verdict == "fail" {
			plan.Explanations = append(plan.Explanations, testingExplanation{row.Metric, meaning(row.Metric, row.Verdict)})
		}
	}
	about := "the place as it stands, since nothing was said about what it is for"
	if in.Request.Functionality != "" {
		about = "“" + clip(strings.NewReplacer("“", "", "”", "").Replace(in.Request.Functionality), 300) + "”"
	}
	plan.Summary = fmt.Sprintf("%s for %s.", counted(len(plan.Cases), in.Request.TestType+" test"), about)
	if n := len(in.Request.Wanted); n > 0 {
		plan.Summary += fmt.Sprintf(" Each of the %s has a case to go through by hand.", counted(n, "point"))
	}
	plan.Summary += " The offline composer plans from the words and numbers of the request: add the cases that only somebody who knows the place can think of."
	return plan
}

// findings are cases for what the rules found in the script.
func (in testingInput) findings() []testingCase {
	var out []testingCase
	seen := map[string]bool{}
	for _, f := range in.Static {
		name := fmt.Sprintf("Line %d: %s", f.Line, clip(f.Rule, 60))
		if seen[name] || len(out) == mostStatic {
			continue
		}
		seen[name] = true
		out = append(out, testingCase{
			Name: name, Purpose: clip("The rules found this in the script. "+f.Why, 400), Priority: "high",
			Steps: []string{
				fmt.Sprintf("Open the script at line %d.", f.Line), clip("Mend it: "+f.Mend, 400),
				"Submit the script to a security test once more.",
			},
			Expected: "The finding is gone, and the script still does what it is for.", Covers: []int{},
		})
	}
	return out
}

func byHand(n int, text string) testingCase {
	return testingCase{
		Name: fmt.Sprintf("Point %d: %s", n, clip(text, 90)), Purpose: "Shows whether this holds: " + clip(text, 300), Priority: "medium",
		Steps: []string{
			"Start a test with two players in Roblox Studio.", "With the first player, do what puts this to the test: " + clip(text, 300),
			"Watch what the second player sees.", "Do it again, faster, and once in the wrong order.",
		},
		Expected: "It holds each time, for both players, and the output shows no error: " + clip(text, 300), Covers: []int{n},
	}
}

// metricMeanings is what follows from a metric that misses its target, and what to do first.
func metricMeanings() map[string]string {
	return map[string]string{
		"fps":              "Players see the picture stutter and their steps come late. Look at the MicroProfiler for what fills a frame, and begin with scripts that run every frame and with moving parts that could be anchored.",
		"frame_time_ms":    "A frame takes longer than the sixtieth of a second that it has, and the picture stutters. The MicroProfiler shows whether scripts, physics or drawing fill it.",
		"heartbeat_ms":     "The server falls behind, and everything that players do comes late. Look for loops over many objects and for work that could be done once instead of every frame.",
		"script_time_ms":   "Scripts leave too little of a frame for the rest. Do less every frame: react to events, and spread long work over several frames with task.wait.",
		"physics_time_ms":  "Many parts move or touch at once. Anchor what never moves, and turn CanTouch and CanCollide off where they are not needed.",
		"render_time_ms":   "There is much to draw. Reuse meshes and materials, turn shadows off for small things, and let streaming load only what is near.",
		"memory_mb":        "Devices with little memory close the game. Look for sounds, pictures and meshes that are used once, and for objects that are made and never destroyed.",
		"server_memory_mb": "A server that runs out of memory ends for everybody in it. Look for tables and objects that grow with every player or round and are never cleared.",
		"ping_ms":          "What players do reaches the server late. Part of it is the network; the rest is a server that is busy or that sends too much.",
		"receive_kbps":     "The server sends more than a school's network may carry for a class. Send changes instead of whole tables, and not every frame.",
		"send_kbps":        "Clients send much. Send what a player does, not where everything is, and not every frame.",
		"part_count":       "Every part costs memory and time to draw. Join parts that never move into meshes, remove what nobody sees, and turn streaming on.",
		"instance_count":   "There are very many objects. Remove what is not used, and destroy what was made for a moment.",
		"draw_calls":       "The picture is put together from many pieces. Reuse the same meshes and materials, so that they are drawn together.",
		"triangles":        "Meshes have more detail than small screens show. Use simpler ones, above all for what stands far away.",
		"load_time_s":      "A class loses its patience before the place is there. Load what is needed first, and the rest afterwards.",
		"error_count":      "Scripts stopped with errors, so that something does not do what it should. Read the first error in the output: the others often follow from it.",
	}
}

func meaning(metric, verdict string) string {
	text, ok := metricMeanings()[metric]
	if !ok {
		text = "It misses the target that was given for it. Measure it again at the same place and time of a round, then change one thing at a time."
	}
	if verdict == "warn" {
		return text + " It is between the target and the limit: keep an eye on it."
	}
	return text + " It is beyond the limit: mend this before a class plays."
}

var objectName = regexp.MustCompile(`:(?:WaitForChild|FindFirstChild)\("([A-Za-z][A-Za-z0-9_ ]{0,40})"`)

// objects returns the names of at most five objects that the script looks for.
func (r testingRequest) objects() []string {
	var out []string
	seen := map[string]bool{}
	for _, l := range sourceLines("luau", r.Code) {
		for _, m := range objectName.FindAllStringSubmatchIndex(l.text, -1) {
			name := l.text[m[2]:m[3]]
			if isCode := l.code[m[0]] == ':'; isCode && !seen[name] && len(out) < 5 {
				seen[name] = true
				out = append(out, name)
			}
		}
	}
	return out
}

type testingScript struct {
	Code string `json:"code"`
}

// testingScript writes a test for each of its own cases; one that it does not know says that it is to be done by hand.
func (c *Composer) testingScript(in testingInput) testingScript {
	own := map[string][]string{}
	for _, known := range in.Request.automatic() {
		own[known.Name] = known.body
	}
	var b strings.Builder
	for _, service := range []string{"Players", "ReplicatedStorage", "RunService", "Stats"} {
		for _, known := range in.Cases {
			if strings.Contains(strings.Join(own[known.Name], "\n"), service+".") || strings.Contains(strings.Join(own[known.Name], "\n"), service+":") {
				fmt.Fprintf(&b, "local %s = game:GetService(%q)\n", service, service)
				break
			}
		}
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "describe(%s, function()\n", luauString(in.Request.TestType))
	for i, known := range in.Cases {
		if i > 0 {
			b.WriteString("\n")
		}
		body, ok := own[known.Name]
		if !ok {
			body = []string{"skip(" + luauString("do this one by hand: "+clip(known.Expected, 120)) + ")"}
		}
		fmt.Fprintf(&b, "\tit(%s, function()\n\t\t%s\n\tend)\n", luauString(known.ID+" "+known.Name), strings.Join(body, "\n\t\t"))
	}
	b.WriteString("end)")
	return testingScript{b.String()}
}
