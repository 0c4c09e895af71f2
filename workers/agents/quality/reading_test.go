package quality_test

import (
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// spoken are words by their number of syllables, as a dictionary divides them.
var spoken = map[int]string{
	1: `a cat dog make makes walked walk the fire eyes like likes played jumped strength through whole rules planes moves trees see school
		time work light year house square`,
	2: `water table tables apple people science create ocean number fraction nation boxes wanted needed social language plural quiet lion
		reading poem every something little answer picture question pictures safely movement organs changes rhythm giant climate solid`,
	3: `energy area animal animals family idea computer decimal digital created numerator's dioxide radio video period Canada history
		triangle beautiful together remember gravity factory various curious museum reaction organism skeleton library medium`,
	4: `biology mathematics denominator information ecosystem experiment geography education material bacteria calculator community
		temperature equivalent television population operation apostrophe january variation`,
	5: `photosynthesis civilization multiplication characteristic electricity organization refrigerator university
		constitutional imagination`,
}

func TestSyllables_CountsLikeADictionary(t *testing.T) {
	t.Parallel()
	total, wrong := 0, 0
	for want, list := range spoken {
		for word := range strings.FieldsSeq(list) {
			total++
			if got := quality.Syllables(word); got != want {
				wrong++
				t.Logf("%s: %d syllables, a dictionary has %d", word, got, want)
			}
		}
	}
	// The count stands in a mean over a hundred words and more; a heuristic that is right for 19 in 20 moves it by a tenth of a grade.
	if total < 120 || wrong*20 > total {
		t.Errorf("%d of %d words are miscounted", wrong, total)
	}
}

const gettysburg = `Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in Liberty, and dedicated to the
proposition that all men are created equal. Now we are engaged in a great civil war, testing whether that nation, or any nation so conceived and so dedicated, can
long endure. We are met on a great battle-field of that war. We have come to dedicate a portion of that field, as a final resting place for those who here gave
their lives that that nation might live. It is altogether fitting and proper that we should do this.`

const primer = `The cat sat on the mat. The dog ran to the cat. They are friends. The sun is hot. We can play in the park. I see a big red ball.
My mom has a hat. The bird can sing. Can you see the fish? It is in the pond. We like to run and jump. The end of the day is here.`

const tax = `Notwithstanding any other provision of this subchapter, the determination of whether an organization constitutes a charitable institution
shall be predicated upon a comprehensive examination of its organizational documentation, administrative procedures, and demonstrated operational
characteristics, including but not limited to the distribution of accumulated resources among disqualified individuals. Furthermore, the administrative authority
responsible for determination of eligibility must promulgate regulations establishing the evidentiary requirements applicable to organizations seeking
recognition of exemption, taking into consideration the proportionality of compensation arrangements, the independence of the governing body, and the
transparency of financial reporting in accordance with internationally recognized accounting principles, all of which have to be documented in writing.`

func TestRead_RatesKnownTexts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text        string
		least, most float64
	}{
		"APrimer":            {primer, -2, 1.5},
		"TheGettysburgPart":  {gettysburg, 7, 12},
		"ATaxRule":           {tax, 20, 45},
		"MarkdownIsNoObject": {"# A heading of some words\n\n" + strings.ReplaceAll(primer, "cat", "**cat**") + "\n\n- " + strings.ReplaceAll(primer, ". ", ".\n- "), -2, 1.5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := quality.Read(c.text)
			if !r.Rated || r.Grade < c.least || r.Grade > c.most {
				t.Errorf("%+v, want %v to %v", r, c.least, c.most)
			}
		})
	}
}

func TestRead_FindsSentences(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"Dr. Lee saw 3.5 birds, e.g. a crow. It flew!":                     2,
		"# Heading\n\nOne line\nand its end.\n\n- an item of four\n- item": 2,
		"Look at `x = 1. y = 2` here.\n\n```\ncode. more. code.\n```":      1,
		"He said “Go.” She went; we did not. U.S. law is old":              4,
		"| a cell of words | another |\n|---|---|\n| one more row | x |":   2,
		"The answer is ____.": 1,
		"":                    0,
	} {
		if got := quality.Read(text); got.Sentences != want {
			t.Errorf("%q has %d sentences, want %d: %q", text, got.Sentences, want, got.Longest)
		}
	}
}

func TestRead_RatesEnglishOnly(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"Spanish": strings.Repeat("El ciclo del agua describe el movimiento continuo del agua en la Tierra. El sol calienta el mar y el agua se evapora. ", 5),
		"German":  strings.Repeat("Die Pflanzen machen aus Licht, Wasser und Luft ihre Nahrung. Das geschieht in den Blättern, wo das Blattgrün ist. ", 5),
		"French":  strings.Repeat("Les arbres fabriquent leur nourriture avec la lumière. Elles prennent de l'eau par les racines et un gaz dans l'air. ", 5),
		"Russian": strings.Repeat("Растения делают пищу из света и воды. Это происходит в листьях. ", 8),
		"Chinese": strings.Repeat("植物 用 光 制造 食物。 它们 需要 水。 ", 20),
		"Short":   "The plant makes food.",
	} {
		if r := quality.Read(text); r.Rated || r.Why == "" || r.Check("answer", 1) != nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestRead_LeavesATeachersWordsOut(t *testing.T) {
	t.Parallel()
	with, without := quality.Read(primer+"\n\n"+tax, tax), quality.Read(primer)
	if with.Grade != without.Grade || with.Words != without.Words {
		t.Errorf("with the teacher's words %+v, without %+v", with, without)
	}
	cut := quality.Read(primer+"\n\n"+tax[:300], tax)
	if cut.Grade != without.Grade {
		t.Errorf("with a part of them %+v", cut)
	}
}

func TestReading_FailsWhatIsFarTooHard(t *testing.T) {
	t.Parallel()
	details := quality.Read(tax).Check("answer.sections", 5)
	if len(details) != 1 || details[0].Field != "answer.sections" || !strings.Contains(details[0].Reason, "must be at most 10") ||
		!strings.Contains(details[0].Reason, "reads like grade ") || !strings.Contains(details[0].Reason, `(1) "Furthermore`) || len(details[0].Reason) > 600 {
		t.Errorf("%+v", details)
	}
	if short := quality.Read(tax[:500]); !short.Rated || short.Check("answer", 5) != nil {
		t.Errorf("a short text fails: %+v", short)
	}
	r := quality.Reading{Rated: true, Words: 100, Grade: 10}
	if r.Check("a", 5) != nil || quality.Round(r.Fit(5)) != 0.17 || r.Fit(10) != 1 || r.Fit(12) != 1 || r.Fit(1) != 0 || r.Fit(0) != r.Fit(2) {
		t.Errorf("at the edge: %v, fits %v %v %v", r.Check("a", 5), r.Fit(5), r.Fit(9), r.Fit(1))
	}
	if r.Grade = 10.1; r.Check("a", 5) == nil {
		t.Error("behind the edge it passes")
	}
}

func TestRead_IsLinear(t *testing.T) {
	t.Parallel()
	began := time.Now()
	for _, piece := range []string{"a", ". ", "```", "`", "__ ", "- x\n", "eia", "( "} {
		quality.Read(strings.Repeat(piece, 64<<10/len(piece)))
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}
