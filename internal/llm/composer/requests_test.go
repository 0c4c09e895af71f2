package composer_test

import (
	"encoding/json"

	"github.com/toolboxai/orchestrator/internal/llm"
)

const (
	content = `{"subject":"Biology","grade":{"from":6,"to":8},"grade_name":"grades 6-8","objectives":[{"title":"Explain photosynthesis"}],
		"environment_type":"laboratory","duration_minutes":45,"difficulty":"medium","max_students":30}`
	quiz      = `{"subject":"Mathematics","objectives":[{"title":"Add fractions"}],"grade":{"from":3,"to":5},"grade_name":"grades 3-5","difficulty":"easy"}`
	slots     = `[{"number":1,"type":"multiple_choice","objective":1},{"number":2,"type":"ordering","objective":1}]`
	terrain   = `{"subject":"Geography","terrain_type":"educational","complexity":"medium","biome":"mountain","size":"medium","features":["river"]}`
	bounds    = `{"size":{"x":200,"y":100,"z":200},"max_operations":200,"max_props":150,"voxel_budget":125000}`
	review    = `{"code":"local n = 1\nwhile true do\n\twait(n)\nend\n","language":"luau","review_type":"comprehensive"}`
	tests     = `{"test_type":"security","functionality":"A door that opens when touched","wanted":["It closes"],"script_type":"ServerScript"}`
	script    = `{"script_type":"ServerScript","functionality":"A door that opens when touched","requirements":[]}`
	asset     = `{"asset_type":"Model","action":"create","name":"A mountain","purpose":"mountain model","subject":"Geography","checks":[{"name":"name_words","status":"pass"},{"name":"purpose_words","status":"pass"}]}`
	analytics = `{"data_type":"learning","figures":[{"name":"learning.mean","value":71.25,"unit":"%","about":"mean of mountain quizzes","topic":"mastery"}]}`
)

// requests holds one request of every purpose.
func requests() []llm.Request {
	object := json.RawMessage(`{"type":"object"}`)
	of := func(purpose, input string) llm.Request {
		return llm.Request{Purpose: purpose, Input: json.RawMessage(input), Schema: object}
	}
	return []llm.Request{
		of("content.outline", `{"request":`+content+`}`),
		of("content.draft", `{"request":`+content+`}`),
		of("content.assessment", `{"request":`+content+`,"slots":`+slots+`}`),
		of("quiz.outline", `{"request":`+quiz+`,"slots":`+slots+`}`),
		of("quiz.draft", `{"request":`+quiz+`,"slots":`+slots+`,"from":0,"to":2}`),
		of("terrain.outline", `{"request":`+terrain+`,"limits":`+bounds+`}`),
		of("terrain.draft", `{"request":`+terrain+`,"limits":`+bounds+`}`),
		of("roblox_analytics.report", `{"request":`+analytics+`}`),
		of("roblox_asset.plan", `{"request":`+asset+`}`),
		of("script.outline", `{"request":`+script+`}`),
		of("script.draft", `{"request":`+script+`}`),
		of("code_review.review", `{"request":`+review+`,"findings":[{"rule":"loop","line":2}]}`),
		of("roblox_testing.plan", `{"request":`+tests+`,"static":[{"rule":"loop","line":2,"why":"It hangs.","mend":"Wait."}],
			"evaluation":[{"metric":"fps","value":20,"verdict":"fail"}]}`),
		of("roblox_testing.script", `{"request":`+tests+`,"cases":[{"id":"t_1","name":"Server scripts are out of reach"},{"id":"t_2","name":"The door opens"}]}`),
	}
}
