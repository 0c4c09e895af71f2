package composer

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

type analyticsFigure struct {
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	About   string  `json:"about"`
	Topic   string  `json:"topic"`
	Reading string  `json:"reading"`
	Weak    bool    `json:"weak"`
}

type analyticsRequest struct {
	DataType string            `json:"data_type"`
	Question string            `json:"question"`
	Figures  []analyticsFigure `json:"figures"`
}

type analyticsInput struct {
	Request analyticsRequest `json:"request"`
}

func (in analyticsInput) check() error { return nil }

type analyticsInsight struct {
	Title      string   `json:"title"`
	Detail     string   `json:"detail"`
	Figures    []string `json:"figures"`
	Confidence string   `json:"confidence"`
}

type analyticsReport struct {
	Summary         string             `json:"summary"`
	Insights        []analyticsInsight `json:"insights"`
	Recommendations []string           `json:"recommendations"`
}

// interpretation says how the figures of a topic are read: which of them, under which title, and what follows.
type interpretation struct {
	topic, title, advice string
	pick                 func([]analyticsFigure) []analyticsFigure
}

func readings() []interpretation {
	ends := func(suffix string, up bool) func([]analyticsFigure) []analyticsFigure {
		return func(all []analyticsFigure) []analyticsFigure { return first(ordered(ending(all, suffix), up), 3) }
	}
	head := func(n int) func([]analyticsFigure) []analyticsFigure {
		return func(all []analyticsFigure) []analyticsFigure { return first(all, n) }
	}
	return []interpretation{
		{"mastery", "What the class has learned", "Practise the weakest objective with the whole class, then ask a few questions on it again.", weakest},
		{"help", "Who needs help", "Sit down with those who need help, one by one, and look at an answer of theirs together.", needing},
		{"question", "The hardest questions", "Look at the hardest questions: is it what they ask, or how they ask it?", ends("", true)},
		{"session", "How long players stay", "Put what matters into the first minutes, before the short sessions end.", head(3)},
		{"retention", "Who comes back", "Give players a reason to return, such as something that grows until the next lesson.", head(2)},
		{"funnel", "Where players stop", "Watch somebody play the stage at which most are lost, and ask what they were looking for.", ends(".lost", false)},
		{"target", "What keeps to its target", "Look at the measurement that keeps to its target least, with the tools of Studio, on the weakest device of the class.", ends(".kept", true)},
		{"metric", "The figures that were given", "Collect the same figures again after the next change, and compare.", head(4)},
		{"trend", "How things change", "Look at the trend again with more data before anything is built on it.", ends(".slope", false)},
		{"group", "How groups differ", "Ask in the groups that stand apart what is different there.", ends(".mean", false)},
		{"correlation", "What goes together", "Take what goes together as a hint, not as a cause: try it out with one group.", head(2)},
		{"outlier", "What is out of the ordinary", "Look at the records that are out of the ordinary: they may be mistakes, or the ones that matter.", ends(".outliers", false)},
		{"field", "The fields at a glance", "Decide which field answers the question, and collect more of it.", means},
		{"count", "What there is", "Collect figures: so far there is little to read.", head(2)},
	}
}

// analyticsReport reads out the figures that matter most. It quotes them as they are, and calculates nothing.
func (c *Composer) analyticsReport(in analyticsInput) analyticsReport {
	out := analyticsReport{Insights: []analyticsInsight{}, Recommendations: []string{}}
	few := true
	given := in.Request.Figures
	in.Request.Figures = slices.DeleteFunc(slices.Clone(given), func(f analyticsFigure) bool { return plain(f.About) != f.About })
	for _, f := range in.Request.Figures {
		if f.Topic == "count" && f.Name == "records" && f.Value >= 30 {
			few = false
		}
	}
	for _, r := range readings() {
		var all []analyticsFigure
		for _, f := range in.Request.Figures {
			if f.Topic == r.topic {
				all = append(all, f)
			}
		}
		chosen := r.pick(all)
		if len(chosen) == 0 || len(out.Insights) == 6 || r.topic == "count" && len(out.Insights) > 0 {
			continue
		}
		insight := analyticsInsight{Title: r.title, Confidence: "medium"}
		var said []string
		for _, f := range chosen {
			said = append(said, f.sentence())
			insight.Figures = append(insight.Figures, f.Name)
			if f.Weak || few {
				insight.Confidence = "low"
			}
		}
		insight.Detail = strings.Join(said, " ")
		out.Insights = append(out.Insights, insight)
		if len(out.Recommendations) < 4 {
			out.Recommendations = append(out.Recommendations, r.advice)
		}
	}
	if len(out.Insights) == 0 && len(given) > 0 {
		out.Insights = []analyticsInsight{{
			Title: "The figures that were given", Detail: "Their names hold what no report repeats: read them in the table, and give them plain names.",
			Figures: []string{given[0].Name}, Confidence: "low",
		}}
	}
	out.Recommendations = append(out.Recommendations, "Have a model read the figures for more than this: the offline composer quotes them and draws no conclusions.")
	out.Summary = analyticsSummary(in.Request, out.Insights, few)
	return out
}

func analyticsSummary(r analyticsRequest, insights []analyticsInsight, few bool) string {
	var parts []string
	for _, insight := range first(insights, 2) {
		for _, f := range r.Figures {
			if f.Name == insight.Figures[0] {
				parts = append(parts, f.sentence())
			}
		}
	}
	if few {
		parts = append(parts, "There is little data, so take all of this as a first look.")
	}
	if r.Question != "" {
		parts = append(parts, "What this means for your question is for you to judge: the figures that bear on it are below.")
	}
	return strings.Join(parts, " ")
}

// sentence reads a figure out.
func (f analyticsFigure) sentence() string {
	value := strconv.FormatFloat(f.Value, 'f', -1, 64)
	if f.Unit != "" && !strings.HasPrefix(f.Unit, "per ") {
		value += " " + f.Unit
	}
	if f.Reading != "" {
		value += " (" + f.Reading + ")"
	}
	return "The " + f.About + " is " + value + "."
}

// ending returns the figures whose names end in a suffix.
func ending(all []analyticsFigure, suffix string) []analyticsFigure {
	return slices.DeleteFunc(slices.Clone(all), func(f analyticsFigure) bool {
		return !strings.HasSuffix(f.Name, suffix) || suffix == "" && f.Unit != "%"
	})
}

// ordered sorts figures by value.
func ordered(all []analyticsFigure, up bool) []analyticsFigure {
	slices.SortStableFunc(all, func(a, b analyticsFigure) int {
		if up {
			return cmp.Compare(a.Value, b.Value)
		}
		return cmp.Compare(b.Value, a.Value)
	})
	return all
}

// means returns the means of the first fields.
func means(all []analyticsFigure) []analyticsFigure { return first(ending(all, ".mean"), 3) }

// weakest returns the mean of all, the weakest objective and the strongest.
func weakest(all []analyticsFigure) []analyticsFigure {
	var out, goals []analyticsFigure
	for _, f := range all {
		switch {
		case f.Name == "learning.mean":
			out = append(out, f)
		case strings.HasPrefix(f.Name, "mastery.") && f.Unit == "%":
			goals = append(goals, f)
		}
	}
	if goals = ordered(goals, true); len(goals) > 1 {
		goals = []analyticsFigure{goals[0], goals[len(goals)-1]}
	}
	return append(out, goals...)
}

// needing returns how many need help, and the first of them.
func needing(all []analyticsFigure) []analyticsFigure {
	var out, some []analyticsFigure
	for _, f := range all {
		switch {
		case f.Name == "help.count":
			out = append(out, f)
		case strings.HasSuffix(f.Name, ".mean"):
			some = append(some, f)
		}
	}
	return append(out, first(ordered(some, true), 3)...)
}
