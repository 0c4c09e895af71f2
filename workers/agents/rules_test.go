package agents_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

const (
	contentExample = `{"subject":"Biology","grade_level":7,"objectives":["Explain photosynthesis","Describe plant cells"]}`
	quizExample    = `{"subject":"Biology","objectives":["Plants"],"num_questions":6,
		"question_types":["multiple_choice","true_false","short_answer","fill_blank","matching","ordering"]}`
	terrainExample = `{"subject":"Geography","biome":"desert","size":"small","features":["river"]}`
	assetExample   = `{"asset_type":"Audio","action":"create","asset_data":{"purpose":"Sounds of a rainforest","subject":"Science","format":"ogg"}}`
	deleteExample  = `{"asset_type":"Image","action":"delete","asset_data":{"asset_id":"77001234567","purpose":"Also delete asset 5550001111"}}`
	learnExample   = `{"data_type":"learning","analysis_data":{"question":"Did 35 percent pass?","series":{"visits":[5,9,4,8,6,7,5,9,4,8]},"records":[
		{"student":"Ana Ruiz","objective":"Verbs","correct":true},{"student":"Ana Ruiz","objective":"Verbs","correct":false},
		{"student":"Ana Ruiz","objective":"Two-part verbs","correct":true},{"student":"Tom Berg","objective":"Verbs","correct":false}]}}`
	scriptExample = `{"functionality":"A door that opens when it is touched"}`
)

// rule is a mistake in an answer and what the agent says about it.
type rule struct {
	name    string
	input   string
	purpose string
	change  func(object)
	want    string // a line of the repair prompt
}

func rules() []rule {
	question := func(i int, change func(q object)) func(object) {
		return func(v object) { change(at(v, "questions", i).(object)) }
	}
	operation := func(change func(o object)) func(object) {
		return func(v object) { change(at(v, "operations", 0).(object)) }
	}
	issue := func(field string, value any) func(object) {
		return func(v object) { at(v, "issues", 0).(object)[field] = value }
	}
	summary := func(text string) func(object) { return func(v object) { v["summary"] = text } }
	detail := func(text string, figures ...any) func(object) {
		return func(v object) {
			v["insights"] = []any{object{"title": "Verbs", "detail": text, "figures": figures, "confidence": "medium"}}
		}
	}
	code := func(text string) func(object) { return func(v object) { v["code"] = text } }
	return []rule{
		{"ContentOutlineLeavesOutAnObjective", contentExample, "content.outline",
			func(v object) { at(v, "sections", 2).(object)["objectives"] = []any{1} },
			`- answer.sections: do not cover objective 2 ("Describe plant cells"): no section has 2 in its objectives`},
		{"ContentNamesAnObjectiveThatIsNotThere", contentExample, "content.outline",
			func(v object) { at(v, "sections", 0).(object)["objectives"] = []any{3} },
			"- answer.sections[0].objectives[0]: is 3, but the objectives are numbered 1 to 2"},
		{"ContentClaimsAnObjectiveAndSaysNothing", contentExample, "content.draft",
			func(v object) {
				s := at(v, "sections", 1).(object)
				s["title"], s["body"], s["activity"] = "Nothing", strings.Repeat("Lorem ipsum dolor sit amet. ", 5), ""
			},
			`- answer.sections[1].body: says nothing about objective 1 ("Explain photosynthesis"), which the section names`},
		{"ContentHasAnEmptySection", contentExample, "content.draft",
			func(v object) { at(v, "sections", 0).(object)["body"] = "Hello." },
			"- answer.sections[0].body: has 6 characters, must have at least 80"},
		{"ContentRepeatsATitle", contentExample, "content.draft",
			func(v object) { at(v, "sections", 1).(object)["title"] = "WARM-UP" },
			"- answer.sections[1].title: repeats the title of another section"},
		{"ContentRepeatsATerm", contentExample, "content.draft",
			func(v object) { at(v, "vocabulary", 1).(object)["term"] = at(v, "vocabulary", 0, "term") },
			`- answer.vocabulary[1].term: "photosynthesis" stands twice`},
		{"ContentBreaksTheSchema", contentExample, "content.draft",
			func(v object) { delete(v, "vocabulary") },
			"- answer.vocabulary: is missing"},
		{"ContentAssessmentHasTooFewQuestions", contentExample, "content.assessment",
			func(v object) { v["questions"] = v["questions"].([]any)[:2] },
			"- answer.questions: has 2 questions, must have exactly 4"},

		{"QuizPlanIsShort", quizExample, "quiz.outline",
			func(v object) { v["plan"] = v["plan"].([]any)[:4] },
			"- answer.plan: has 4 entries, must have exactly 6"},
		{"QuizPlanIsMixedUp", quizExample, "quiz.outline",
			func(v object) { at(v, "plan", 1).(object)["number"] = 5 },
			"- answer.plan[1].number: is 5, must be 2"},
		{"QuizHasAnotherType", quizExample, "quiz.draft",
			question(1, func(q object) { q["type"] = "multiple_choice" }),
			`- answer.questions[1].type: is "multiple_choice", must be "true_false" as planned for question 2`},
		{"QuizRepeatsAQuestion", quizExample, "quiz.draft",
			func(v object) { at(v, "questions", 2).(object)["text"] = at(v, "questions", 0, "text") },
			"- answer.questions[2].text: repeats answer.questions[0]"},
		{"QuizMarksAllOptions", quizExample, "quiz.draft",
			question(0, func(q object) {
				var all []any
				for _, o := range q["options"].([]any) {
					o.(object)["is_correct"] = true
					all = append(all, o.(object)["text"])
				}
				q["correct_answer"] = all
			}),
			"- answer.questions[0].options: are all marked correct; at least one must be wrong"},
		{"QuizMarksNoOption", quizExample, "quiz.draft",
			question(0, func(q object) {
				for _, o := range q["options"].([]any) {
					o.(object)["is_correct"] = false
				}
			}),
			"- answer.questions[0].options: has no option that is marked correct"},
		{"QuizAnswersSomethingElse", quizExample, "quiz.draft",
			question(0, func(q object) { q["correct_answer"] = "something else" }),
			`- answer.questions[0].correct_answer: is ["something else"], but the options marked correct are [`},
		{"QuizHasOneOption", quizExample, "quiz.draft",
			question(0, func(q object) { q["options"] = q["options"].([]any)[:1] }),
			"- answer.questions[0].options: has 1 options; multiple_choice takes 2 to 6"},
		{"QuizRepeatsAnOption", quizExample, "quiz.draft",
			question(0, func(q object) { at(q, "options", 1).(object)["text"] = at(q, "options", 0, "text") }),
			"stands twice"},
		{"QuizTrueFalseIsTurnedRound", quizExample, "quiz.draft",
			question(1, func(q object) {
				at(q, "options", 0).(object)["id"], at(q, "options", 1).(object)["id"] = "false", "true"
			}),
			`- answer.questions[1].options: must have the ids "true" and "false", in this order`},
		{"QuizShortAnswerHasOptions", quizExample, "quiz.draft",
			question(2, func(q object) {
				q["options"] = []any{object{"id": "a", "text": "x", "is_correct": true, "explanation": ""}}
			}),
			"- answer.questions[2].options: has 1 options; short_answer takes exactly 0"},
		{"QuizBlankIsMissing", quizExample, "quiz.draft",
			question(3, func(q object) { q["text"] = "There is no gap." }),
			`- answer.questions[3].correct_answer: fills 1 blanks, but the text has 0 of "____"`},
		{"QuizPartnerIsMissing", quizExample, "quiz.draft",
			question(4, func(q object) { q["correct_answer"] = q["correct_answer"].([]any)[:3] }),
			"- answer.questions[4].correct_answer: has 3 partners for 4 options"},
		{"QuizPartnerComesTwice", quizExample, "quiz.draft",
			question(4, func(q object) { a := q["correct_answer"].([]any); a[1] = a[0] }),
			"- answer.questions[4].correct_answer: has the partner "},
		{"QuizStandsInTheRightOrder", quizExample, "quiz.draft",
			question(5, func(q object) {
				for i, text := range q["correct_answer"].([]any) {
					at(q, "options", i).(object)["text"] = text
				}
			}),
			"- answer.questions[5].options: stand in the right order already; shuffle them"},
		{"QuizOrdersSomethingElse", quizExample, "quiz.draft",
			question(5, func(q object) { q["correct_answer"].([]any)[0] = "something else" }),
			"- answer.questions[5].correct_answer: must hold the texts of all options, each once, in the right order"},
		{"QuizHoldsANull", quizExample, "quiz.draft",
			question(0, func(q object) { q["explanation"] = "a\x00b" }),
			"- answer.questions[0].explanation: holds a NUL character"},

		{"TerrainLeavesOutAFeature", terrainExample, "terrain.outline",
			func(v object) { v["zones"] = v["zones"].([]any)[:2] },
			`- answer.zones: have no place for feature 1 ("river")`},
		{"TerrainReachesOutside", terrainExample, "terrain.draft",
			operation(func(o object) { at(o, "position").(object)["x"] = 30 }),
			"- answer.operations[0]: reaches from x -20.0 to 80.0, outside the bounds -50 to 50"},
		{"TerrainHasNoSize", terrainExample, "terrain.draft",
			operation(func(o object) { delete(o, "size") }),
			"- answer.operations[0].size: is required for fill_block"},
		{"TerrainHasNoRadius", terrainExample, "terrain.draft",
			operation(func(o object) { o["op"] = "fill_ball" }),
			"- answer.operations[0].radius: is required for fill_ball"},
		{"TerrainHasNoSource", terrainExample, "terrain.draft",
			operation(func(o object) { o["op"] = "replace_material" }),
			"- answer.operations[0].source_material: is required for replace_material"},
		{"TerrainTakesAir", terrainExample, "terrain.draft",
			operation(func(o object) { o["material"] = "Air" }),
			"- answer.operations[0].material: value must be one of 'Asphalt', 'Basalt'"},
		{"TerrainSpendsTooManyVoxels", terrainExample, "terrain.draft",
			func(v object) {
				whole := object{
					"op": "fill_block", "material": "Rock",
					"position": object{"x": 0, "y": 25, "z": 0}, "size": object{"x": 100, "y": 50, "z": 100},
				}
				v["operations"] = []any{whole, whole, whole}
			},
			"- answer.operations: write 26364 voxels in all, at most 16000 are allowed"},
		{"TerrainSpendsFarTooManyVoxels", terrainExample, "terrain.draft",
			func(v object) {
				whole := object{
					"op": "fill_block", "material": "Rock",
					"position": object{"x": 0, "y": 25, "z": 0}, "size": object{"x": 100, "y": 50, "z": 100},
				}
				v["operations"] = []any{whole, whole, whole, whole, whole, whole}
			},
			"- answer.operations: write more than 35152 voxels in all, at most 16000 are allowed"},
		{"TerrainPutsTheSpawnUnderWater", terrainExample, "terrain.draft",
			func(v object) {
				sea := object{
					"op": "fill_block", "material": "Water",
					"position": object{"x": 0, "y": 14, "z": 0}, "size": object{"x": 100, "y": 12, "z": 100},
				}
				v["operations"] = append(v["operations"].([]any)[:1], sea)
			},
			"under water at "},
		{"TerrainHasNoGroundUnderAProp", terrainExample, "terrain.draft",
			func(v object) { at(v, "props", 1, "position").(object)["y"] = 35 },
			"- answer.props[1].position: hangs "},
		{"TerrainHasNoSpawn", terrainExample, "terrain.draft",
			func(v object) {
				v["props"] = []any{object{"kind": "rock", "name": "R", "position": object{"x": 0, "y": 8, "z": 0}, "size": object{"x": 2, "y": 2, "z": 2}}}
			},
			"- answer.props: have no spawn: players need a place to appear"},
		{"TerrainPropStandsOutside", terrainExample, "terrain.draft",
			func(v object) { at(v, "props", 0, "position").(object)["y"] = 49.5 },
			"outside the bounds 0 to 50"},

		{"AssetNameIsLong", assetExample, "roblox_asset.plan",
			func(v object) { v["display_name"] = strings.Repeat("Rain", 13) }, "- answer.display_name: has 52 characters, at most 50 are taken"},
		{"AssetHasNoName", assetExample, "roblox_asset.plan",
			func(v object) { v["display_name"] = " " }, "- answer.display_name: is blank"},
		{"AssetNameIsALink", assetExample, "roblox_asset.plan",
			func(v object) { v["display_name"] = "Rain at www.example.com" }, "- answer.display_name: has a link, which moderation refuses"},
		{"AssetClaimsToBeUploaded", assetExample, "roblox_asset.plan",
			summary("The sound has been uploaded."), `- answer.summary: says "has been uploaded", but nothing is sent to Roblox`},
		{"AssetStepNamesAnotherAsset", assetExample, "roblox_asset.plan",
			func(v object) { v["steps"] = []any{"Replace asset 99887766 by it."} }, "- answer.steps[0]: names 99887766, which the request does not"},
		{"DeleteNamesAnotherAsset", deleteExample, "roblox_asset.plan",
			summary("Assets 77001234567 and 12345678 are to be archived."), "- answer.summary: names 12345678, which the request does not"},

		{"AnalyticsMakesUpANumber", learnExample, "roblox_analytics.report",
			summary("All is well. As many as 91 % of the answers were right! Go on."),
			`- answer.summary: has the number "91" in the sentence "As many as 91 % of the answers were right!", which is none of the computed figures`},
		{"AnalyticsSpellsANumber", learnExample, "roblox_analytics.report",
			summary("Seventy-one percent passed."), `has the number "seventy-one" in the sentence "Seventy-one percent passed."`},
		{"AnalyticsWritesAnotherScript", learnExample, "roblox_analytics.report",
			summary("نجح ٩١ في المئة."), `- answer.summary: has the number "91"`},
		{"AnalyticsSaysHalf", learnExample, "roblox_analytics.report",
			summary("Half of the class passed."), `- answer.summary: has the number "half"`},
		{"AnalyticsInventsAStudent", learnExample, "roblox_analytics.report",
			summary("Look at student 7."), `- answer.summary: has the number "7"`},
		{"AnalyticsAdvisesWithANumber", learnExample, "roblox_analytics.report",
			func(v object) { v["recommendations"] = []any{"Practise 17 minutes a day."} }, `- answer.recommendations[0]: has the number "17"`},
		{"InsightQuotesWhatItDoesNotName", learnExample, "roblox_analytics.report",
			detail("Of 4 answers, 33.33 % on Verbs were right.", "mastery.verbs"),
			`- answer.insights[0].detail: has the number "4" in the sentence "Of 4 answers, 33.33 % on Verbs were right.", which is none of the figures that the insight names`},
		{"InsightNamesNoFigure", learnExample, "roblox_analytics.report",
			detail("Verbs are hard.", "mastery.nouns"), `- answer.insights[0].figures[0]: "mastery.nouns" is no figure of the request`},
		{"InsightIsSureOfChance", learnExample, "roblox_analytics.report",
			func(v object) {
				v["insights"] = []any{object{"title": "Visits", "detail": "Visits change.", "figures": []any{"trend.visits.slope"}, "confidence": "high"}}
			},
			"- answer.insights[0].confidence: is high, but a figure that the insight rests on is marked weak"},
		{"InsightRepeatsATitle", learnExample, "roblox_analytics.report",
			func(v object) { at(v, "insights", 1).(object)["title"] = at(v, "insights", 0, "title") },
			"- answer.insights[1].title: repeats the title of another insight"},

		{"ScriptIsEmpty", scriptExample, "script.draft", code("-- nothing\n"), "- answer.code: holds no code"},
		{"ScriptDoesNotEnd", scriptExample, "script.draft", code("if true then print(1)"),
			"- answer.code: line 2, column 1: the source does not parse: "},
		{"ScriptRunsText", scriptExample, "script.draft", code(`loadstring("x")()`),
			"- answer.code: line 1, column 1: loadstring: it runs text as code, which nobody has read; write the code as functions (loadstring)"},
		{"ScriptReachesOutside", scriptExample, "script.draft", code("\nlocal h = game:GetService('HttpService') h:GetAsync('x')"),
			"- answer.code: line 2, column 42: it sends data out of the place or fetches what nobody has read; leave requests out"},
		{"ScriptRequiresAnAsset", scriptExample, "script.draft", code("require(123456)"),
			"- answer.code: line 1, column 1: it loads and runs code of a stranger, which can change at any time; put a ModuleScript into the place"},
		{"ScriptHasNoName", scriptExample, "script.draft",
			func(v object) { v["name"] = "日本" }, `- answer.name: is "日本", must hold letters from A to Z`},
		{"ModuleReturnsNothing", `{"functionality":"A door","script_type":"ModuleScript"}`, "script.draft", code("local M = {}"),
			"- answer.code: does not return one value at its end, as a ModuleScript must"},
		{"ClientNamesTheServer", `{"functionality":"A quiz","script_type":"LocalScript"}`, "script.draft", code("local s = game.ServerStorage"),
			"- answer.code: line 1, column 11: ServerStorage exists on the server only, and this is a LocalScript"},

		{"ReviewNamesALineThatIsNotThere", reviewExample, "code_review.review", issue("line", 900),
			"- answer.issues[0].line: is 900, but the code has the lines 1 to 3"},
		{"ReviewSaysNothing", reviewExample, "code_review.review", issue("message", "\u200b"), "- answer.issues[0].message: is blank"},
		{"ReviewSuggestsNothing", reviewExample, "code_review.review", issue("suggestion", " "), "- answer.issues[0].suggestion: is blank"},
		{"ReviewHasNoSummary", reviewExample, "code_review.review", func(v object) { v["summary"] = " " }, "- answer.summary: is blank"},
		{"ReviewBreaksTheSchema", reviewExample, "code_review.review", issue("severity", "fatal"), "- answer.issues[0].severity: value must be one of"},

		{"TestingLeavesOutARequirement", testingExample, "roblox_testing.plan",
			func(v object) { v["cases"] = v["cases"].([]any)[:4] },
			`- answer.cases: test nothing of number 2 of wanted ("It stays playable")`},
		{"TestingCoversWhatIsNotThere", testingExample, "roblox_testing.plan",
			func(v object) { at(v, "cases", 0).(object)["covers"] = []any{3} },
			"- answer.cases[0].covers[0]: is 3, but wanted has the numbers 1 to 2"},
		{"TestingRepeatsACase", testingExample, "roblox_testing.plan",
			func(v object) { at(v, "cases", 1).(object)["name"] = at(v, "cases", 0, "name") }, "- answer.cases[1].name: repeats answer.cases[0]"},
		{"TestingClaimsARun", testingExample, "roblox_testing.plan",
			func(v object) { v["summary"] = "The plan is good. All tests were executed and passed." },
			`- answer.summary: says "All tests were executed and passed", but nothing was run`},
		{"TestingIsAllByHand", testingExample, "roblox_testing.plan",
			func(v object) {
				for _, c := range v["cases"].([]any) {
					c.(object)["automated"] = false
				}
			},
			"- answer.cases: have none with automated true; at least one must be done by the script"},
		{"TestingExplainsNothing", testingExample, "roblox_testing.plan",
			func(v object) { v["explanations"] = []any{} }, `- answer.explanations: leave out "fps", whose verdict is fail`},
		{"TestingExplainsWhatWasNotMeasured", testingExample, "roblox_testing.plan",
			func(v object) { at(v, "explanations", 0).(object)["metric"] = "luck" },
			`- answer.explanations[0].metric: is "luck", which was not measured`},
		{"TestingScriptLeavesOutACase", testingExample, "roblox_testing.script", code("describe('x', function() end)"),
			`- answer.code: has 0 tests whose name begins with "t_1 ", must have exactly one`},
		{"TestingScriptHasAnotherTest", testingExample, "roblox_testing.script",
			func(v object) { v["code"] = at(v, "code").(string) + "\nit(\"t_99 more\", function() end)" },
			`the test "t_99 more" begins with no id of a case`},
		{"TestingScriptDoesNotEnd", testingExample, "roblox_testing.script", code("it('t_1 x', function()"), `- answer.code: line 1, column 23: expected 'end'`},
		{"TestingScriptHasAHarnessOfItsOwn", testingExample, "roblox_testing.script",
			func(v object) { v["code"] = "local function it(...) end\n" + at(v, "code").(string) },
			`- answer.code: has 0 tests whose name begins with "t_1 ", must have exactly one`},
		{"TestingScriptRunsText", testingExample, "roblox_testing.script",
			func(v object) { v["code"] = at(v, "code").(string) + "\nloadstring('x')()" },
			": it runs text as code, which nobody has read; write the code as functions (loadstring)"},
	}
}

// TestAgents_RepairEveryMistake has a model make one mistake and correct it when it is told.
func TestAgents_RepairEveryMistake(t *testing.T) {
	t.Parallel()
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			kind, _, _ := strings.Cut(r.purpose, ".")
			wrong := -1
			m := newModel(func(call int, req llm.Request, answer string) (string, error) {
				if req.Purpose != r.purpose || wrong >= 0 {
					return answer, nil
				}
				wrong = call
				return edited(t, answer, r.change), nil
			})
			got, _ := workerstest.Work(t, open(t, m, kind), []byte(r.input))
			if got.State != task.Completed {
				t.Fatalf("state %s: %+v", got.State, got.Failure)
			}
			calls := m.asked()
			if wrong < 0 || len(calls) <= wrong+1 || calls[wrong+1].Purpose != r.purpose {
				t.Fatalf("%s was not asked again after the mistake", r.purpose)
			}
			repair := calls[wrong+1].Prompt
			if !strings.HasPrefix(repair, calls[wrong].Prompt) || !strings.Contains(repair, r.want) {
				_, reasons, _ := strings.Cut(repair, "</previous_answer>")
				t.Errorf("the repair prompt lacks %q; it says:\n%s", r.want, reasons)
			}
			if u := got.Usage; u.Calls != len(calls) || u.InputTokens != 10*len(calls) || u.OutputTokens != 20*len(calls) {
				t.Errorf("%d calls were made, the usage says %+v", len(calls), u)
			}
		})
	}
}

// TestAgents_GiveUpAfterOneRepair has a model repeat its mistake.
func TestAgents_GiveUpAfterOneRepair(t *testing.T) {
	t.Parallel()
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			kind, _, _ := strings.Cut(r.purpose, ".")
			rounds := 0
			m := newModel(func(_ int, req llm.Request, answer string) (string, error) {
				if req.Purpose != r.purpose {
					return answer, nil
				}
				rounds++
				return edited(t, answer, r.change), nil
			})
			got, _ := workerstest.Work(t, open(t, m, kind), []byte(r.input))
			if got.State != task.Failed || got.Failure.Cause != "invalid_output" || got.Result != nil {
				t.Errorf("state %s, failure %+v, result %s", got.State, got.Failure, got.Result)
			}
			checkRefused(t, got, r)
			if rounds != 2 {
				t.Errorf("asked %d times, want 2", rounds)
			}
		})
	}
}

// checkRefused wants both rounds of the mistake on record, with the reasons that the model was told.
func checkRefused(t *testing.T, got task.Task, r rule) {
	t.Helper()
	if len(got.Refused) != 2 {
		t.Fatalf("%d answers are kept", len(got.Refused))
	}
	for i, refused := range got.Refused {
		if refused.Round != i+1 || refused.Attempt != 1 || refused.GeneratedBy != "openai/gpt-test" || refused.PromptVersion == "" ||
			refused.Usage == nil || refused.Usage.OutputTokens != 20 || !json.Valid([]byte(refused.Text)) && refused.Bytes <= len(refused.Text) {
			t.Errorf("answer %d: %+v", i+1, refused)
		}
		told := slices.ContainsFunc(refused.Reasons, func(why events.Reason) bool { return strings.Contains("- "+why.Field+": "+why.Reason, r.want) })
		if !told {
			t.Errorf("answer %d lacks %q: %+v", i+1, r.want, refused.Reasons)
		}
	}
}
