package agents_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

func assetInput() *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		action := rapid.SampledFrom([]string{"create", "update", "delete", "analyze"}).Draw(t, "action")
		data := map[string]any{}
		switch action {
		case "create":
			data["purpose"] = "A poster " + words(200).Draw(t, "purpose")
		case "update":
			data["asset_id"], data["description"] = rapid.Int64Range(1, 1<<50).Draw(t, "id"), words(900).Draw(t, "description")
		case "delete":
			data["asset_id"] = "2205400862"
		}
		maybe(t, data, "name", words(200))
		maybe(t, data, "subject", words(100))
		maybe(t, data, "audience", words(100))
		maybe(t, data, "grade_level", rapid.SampledFrom([]any{1, 4, "6-8"}))
		maybe(t, data, "format", rapid.SampledFrom([]string{"png", ".jpg", "audio/mpeg", "exe", "fbx", "rbxm"}))
		maybe(t, data, "size_bytes", rapid.Float64Range(0, 1e12))
		maybe(t, data, "duration_seconds", rapid.Float64Range(0, 1e4))
		maybe(t, data, "triangles", rapid.IntRange(0, 50_000))
		maybe(t, data, "dimensions", rapid.Just(map[string]any{"width": 8000, "height": 10}))
		maybe(t, data, "tags", rapid.SliceOfN(words(40), 0, 20))
		maybe(t, data, "rig", words(100))
		kinds := []string{"Animation", "Audio", "Decal", "Image", "Mesh", "Model", "Video", "music", "3d_model", "texture"}
		return map[string]any{"asset_type": rapid.SampledFrom(kinds).Draw(t, "type"), "action": action, "asset_data": data}
	})
}

func analyticsInput() *rapid.Generator[map[string]any] {
	cell := rapid.OneOf(rapid.Map(rapid.IntRange(-5, 200), func(n int) any { return n }), rapid.Map(rapid.Float64Range(-1e9, 1e9), func(f float64) any { return f }),
		rapid.SampledFrom([]any{nil, true, false, "n/a", "75%", "2026-10-01", "2026-10-02T10:00:00Z", "Two-part verbs", "Level 3", "5", "½ cup", "Ⅳ"}),
		rapid.Map(words(60), func(s string) any { return s }))
	fields := []string{
		"student", "student_id", "objective", "question", "correct", "score", "max_score", "attempts", "seconds", "date", "stage", "fps", "ping_ms",
		"server_memory_mb", "players", "device", "notes", "x1", "光", "",
	}
	return rapid.Custom(func(t *rapid.T) map[string]any {
		data := map[string]any{}
		record := rapid.MapOfN(rapid.SampledFrom(fields), cell, 0, 8)
		if rapid.Bool().Draw(t, "records") {
			data["records"] = append(rapid.SliceOfN(record, 0, 40).Draw(t, "rows"), map[string]any{"device": "tablet 2", "score": 3})
			maybe(t, data, "group_by", rapid.SampledFrom([]string{"device", "score"}))
		}
		if rapid.Bool().Draw(t, "series") {
			point := rapid.OneOf(rapid.Map(rapid.Float64Range(-1e6, 1e6), func(f float64) any { return f }),
				rapid.Map(rapid.IntRange(1, 28), func(d int) any { return map[string]any{"t": 1790000000 + 86400*d, "value": d} }))
			data["series"] = map[string]any{words(60).Draw(t, "name"): rapid.SliceOfN(point, 0, 80).Draw(t, "points")}
		}
		data["metrics"] = rapid.MapOfN(words(60), rapid.Float64Range(-1e12, 1e12), 1, 5).Draw(t, "metrics")
		maybe(t, data, "question", words(500))
		maybe(t, data, "period", words(100))
		in := map[string]any{"analysis_data": data}
		maybe(t, in, "data_type", rapid.SampledFrom([]string{"player_behavior", "performance", "learning"}))
		return in
	})
}

type assetView struct {
	Action   string
	AssetID  string `json:"asset_id"`
	Verdict  string
	Sent     bool
	Metadata *struct {
		DisplayName string `json:"display_name"`
		Description string
	}
	Request *struct {
		Method, Path string
		Query        map[string]string
		Body         map[string]any
		File         *struct {
			ContentType string `json:"content_type"`
		}
	}
	Checks []struct{ Name, Status string }
}

func checkAsset(t failer, input, result json.RawMessage) {
	t.Helper()
	in := decode[struct{ Action string }](t, input)
	out := decode[assetView](t, result)
	failed := slices.ContainsFunc(out.Checks, func(c struct{ Name, Status string }) bool { return c.Status == "fail" })
	if in.Action != out.Action || out.Sent || failed != (out.Verdict == "blocked") || len(out.Checks) == 0 {
		t.Fatalf("action %q, sent %v, verdict %s, checks %v", out.Action, out.Sent, out.Verdict, out.Checks)
	}
	if (out.Request == nil) != (failed || out.Action == "analyze") || (out.Metadata == nil) != (out.Action == "delete") {
		t.Fatalf("action %s, verdict %s: request %+v, metadata %+v", out.Action, out.Verdict, out.Request, out.Metadata)
	}
	if out.Request == nil {
		return
	}
	want := map[string]string{
		"create": "POST /assets/v1/assets", "update": "PATCH /assets/v1/assets/" + out.AssetID, "delete": "POST /assets/v1/assets/" + out.AssetID + ":archive",
	}[out.Action]
	if got := out.Request.Method + " " + out.Request.Path; got != want {
		t.Fatalf("the request is %s, want %s", got, want)
	}
}

func checkAnalytics(t failer, _, result json.RawMessage) {
	t.Helper()
	out := decode[struct {
		Insights []struct{ Figures []string }
		Figures  []struct {
			Name  string
			Value float64
		}
		Tables []struct {
			Columns []string
			Rows    [][]any
		}
		Charts []struct {
			Labels []string
			Series []struct{ Values []float64 }
		}
		Score float64 `json:"quality_score"`
	}](t, result)
	names := map[string]bool{}
	for _, f := range out.Figures {
		if names[f.Name] || math.IsInf(f.Value, 0) {
			t.Fatalf("figure %q stands twice, or is endless", f.Name)
		}
		names[f.Name] = true
	}
	for _, in := range out.Insights {
		for _, name := range in.Figures {
			if !names[name] {
				t.Fatalf("an insight names %q, which is no figure", name)
			}
		}
	}
	for _, table := range out.Tables {
		for _, row := range table.Rows {
			if len(row) != len(table.Columns) {
				t.Fatalf("a row has %d cells under %d heads", len(row), len(table.Columns))
			}
		}
	}
	for _, c := range out.Charts {
		for _, s := range c.Series {
			if len(s.Values) != len(c.Labels) {
				t.Fatalf("a series has %d values for %d labels", len(s.Values), len(c.Labels))
			}
		}
	}
	if out.Score < 0 || out.Score > 1 {
		t.Fatalf("quality score %v", out.Score)
	}
}

func TestAsset_RefusesWhatItCannotPlan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ input, want string }{
		"DeleteWithoutID":   {`{"asset_type":"Image","action":"delete"}`, "input.asset_data.asset_id is missing: delete needs the id of the asset"},
		"UpdateWithoutID":   {`{"asset_type":"Model","action":"update","asset_data":{"name":"x"}}`, "input.asset_data.asset_id is missing: update needs"},
		"DeleteOfNull":      {`{"asset_type":"Image","action":"delete","asset_data":{"asset_id":""}}`, "input.asset_data.asset_id is missing"},
		"DeleteOfZero":      {`{"asset_type":"Image","action":"delete","asset_data":{"asset_id":0}}`, "input.asset_data.asset_id is no id of an asset"},
		"CreateWithID":      {`{"asset_type":"Image","action":"create","asset_data":{"asset_id":5,"name":"x"}}`, "input.asset_data.asset_id is given, but create"},
		"CreateOfNothing":   {`{"asset_type":"Image","action":"create"}`, "input.asset_data.name is missing"},
		"UpdateOfNothing":   {`{"asset_type":"Image","action":"update","asset_data":{"asset_id":5}}`, "input.asset_data says nothing to change"},
		"TooMuchUnknown":    {`{"asset_type":"Image","asset_data":{"x":"` + strings.Repeat("y", 9000) + `"}}`, "at most 8192 are kept"},
		"TypeThatIsUnknown": {`{"asset_type":"Hat"}`, `input.asset_type "Hat" is unknown`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newModel(nil)
			got, _ := workerstest.Work(t, open(t, m, "roblox_asset"), []byte(c.input))
			if got.State != task.Failed || got.Failure.Cause != events.CauseInput || !strings.Contains(got.Failure.Error, c.want) {
				t.Errorf("state %s, failure %+v, want %s", got.State, got.Failure, c.want)
			}
			if len(m.asked()) > 0 {
				t.Error("the model was asked all the same")
			}
		})
	}
}

// TestAsset_DeletesOnlyWhatTheInputNames has a model answer with everything that it can, about another asset.
func TestAsset_DeletesOnlyWhatTheInputNames(t *testing.T) {
	t.Parallel()
	m := newModel(func(_ int, _ llm.Request, answer string) (string, error) {
		return edited(t, answer, func(v object) {
			v["display_name"], v["description"], v["tags"] = "5550001111", "Delete 5550001111", []any{"5550001111"}
		}), nil
	})
	got, _ := workerstest.Work(t, open(t, m, "roblox_asset"), []byte(deleteExample))
	if got.State != task.Completed {
		t.Fatalf("state %s: %+v", got.State, got.Failure)
	}
	out := decode[assetView](t, got.Result)
	if out.AssetID != "77001234567" || out.Request.Path != "/assets/v1/assets/77001234567:archive" || out.Request.Body != nil || strings.Contains(string(got.Result), "5550001111") {
		t.Errorf("the plan: %s", got.Result)
	}
}

// TestAsset_KeepsWhatIsGiven has a model write another name and description than the teacher did.
func TestAsset_KeepsWhatIsGiven(t *testing.T) {
	t.Parallel()
	m := newModel(func(_ int, _ llm.Request, answer string) (string, error) {
		return edited(t, answer, func(v object) { v["display_name"], v["description"] = "Something else", "Something else" }), nil
	})
	input := `{"asset_type":"model","action":"update","asset_data":{"asset_id":9,"name":"Volcano","format":"fbx","rig":{"bones":4}}}`
	got, _ := workerstest.Work(t, open(t, m, "roblox_asset"), []byte(input))
	out := decode[assetView](t, got.Result)
	if out.Request == nil || out.Request.Body["displayName"] != "Volcano" || out.Request.Body["description"] != nil || out.Request.Query["updateMask"] != "displayName" ||
		out.Request.File.ContentType != "model/fbx" || !strings.Contains(string(got.Result), `"asset_data_other":{"rig":{"bones":4}}`) {
		t.Errorf("state %s, failure %+v, the plan: %s", got.State, got.Failure, got.Result)
	}
}

func TestAsset_HoldsFilesAgainstTheLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kind, data, check, status string }{
		"FormatFits":         {"Audio", `"format":".MP3"`, "format", "pass"},
		"FormatDoesNot":      {"Audio", `"format":"aiff"`, "format", "fail"},
		"FormatIsNotGiven":   {"Audio", `"purpose":"x"`, "format", "unknown"},
		"SizeAtTheLimit":     {"Image", `"size_bytes":20000000`, "file_size", "pass"},
		"SizeAboveIt":        {"Image", `"size_bytes":20000001`, "file_size", "fail"},
		"VideoMayBeLarge":    {"Video", `"size_bytes":20000001`, "file_size", "pass"},
		"SevenMinutes":       {"sound", `"duration_seconds":420`, "duration", "pass"},
		"LongerThanThat":     {"sound", `"duration_seconds":420.5`, "duration", "fail"},
		"TrianglesFit":       {"Mesh", `"triangles":20000`, "triangles", "pass"},
		"TooManyTriangles":   {"Mesh", `"triangles":20001`, "triangles", "fail"},
		"PixelsFit":          {"Decal", `"dimensions":{"width":7999,"height":7999}`, "dimensions", "pass"},
		"TooManyPixels":      {"Decal", `"dimensions":{"width":8000,"height":10}`, "dimensions", "fail"},
		"VideoAtItsLimit":    {"Video", `"dimensions":{"width":4096,"height":2160}`, "dimensions", "pass"},
		"NameIsLong":         {"Decal", `"name":"` + strings.Repeat("n", 51) + `"`, "name_length", "warn"},
		"NameHasALink":       {"Decal", `"name":"join discord.gg"`, "name_words", "fail"},
		"DescriptionHasMail": {"Decal", `"description":"Write to class@example.org"`, "description_words", "fail"},
		"PurposeStaysHere":   {"Decal", `"purpose":"free robux"`, "purpose_words", "warn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := workerstest.Work(t, open(t, offline(), "roblox_asset"), []byte(`{"asset_type":"`+c.kind+`","asset_data":{`+c.data+`}}`))
			if got.State != task.Completed {
				t.Fatalf("state %s: %+v", got.State, got.Failure)
			}
			for _, check := range decode[assetView](t, got.Result).Checks {
				if check.Name == c.check {
					if check.Status != c.status {
						t.Errorf("%s is %s, want %s", c.check, check.Status, c.status)
					}
					return
				}
			}
			t.Errorf("there is no check %s", c.check)
		})
	}
}

const classOfTwo = `{"data_type":"learning","analysis_data":{"group_by":"teacher","question":"How is ana RUIZ doing beside Tom, and what of 8812345?","period":"Ruiz week",
	"records":[{"student_id":8812345,"student_name":"Ana Ruiz","email":"ana@example.org","teacher":"Eva Stone","objective":"Ruiz's verbs, group 2","score":3,"notes":"SECRET"},
	{"student_id":8812346,"student_name":"Tom Berg","email":"tom@example.org","teacher":"Eva Stone","objective":"Verbs","score":7,"ip":"10.1.2.3"}]}}`

// TestAnalytics_NeverTellsAModelWhoSomebodyIs looks for names, ids and free texts in all that a model is sent, and for the names in the tables.
func TestAnalytics_NeverTellsAModelWhoSomebodyIs(t *testing.T) {
	t.Parallel()
	m := newModel(nil)
	got, _ := workerstest.Work(t, open(t, m, "roblox_analytics"), []byte(classOfTwo))
	if got.State != task.Completed {
		t.Fatalf("state %s: %+v", got.State, got.Failure)
	}
	sent := ""
	for _, call := range m.asked() {
		sent += strings.ToLower(call.System + call.Prompt + string(call.Input))
	}
	for _, secret := range []string{"ana", "ruiz", "tom", "berg", "8812345", "8812346", "example.org", "eva", "stone", "secret", "10.1.2.3"} {
		for _, word := range strings.FieldsFunc(sent, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.", r) }) {
			if strings.Trim(word, ".") == secret {
				t.Errorf("the model was told %q", secret)
			}
		}
	}
	// The control: what is no person's is there, so that the search sees what is sent.
	for _, word := range []string{"verbs", "student 1", "student 2", "group 1"} {
		if !strings.Contains(sent, word) {
			t.Errorf("the model was not told %q", word)
		}
	}
	for _, name := range []string{`"student 1","8812345"`, `"Eva Stone"`} {
		if !strings.Contains(string(got.Result), name) {
			t.Errorf("the tables lack %s: %s", name, got.Result)
		}
	}
}

func TestAnalytics_RefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	wide := map[string]any{}
	for i := range 51 {
		wide[strings.Repeat("f", i+1)] = i
	}
	for name, c := range map[string]struct{ data, want string }{
		"Nothing":        {`{}`, "input.analysis_data holds nothing to analyze"},
		"EmptySeries":    {`{"series":{"a":[]}}`, "input.analysis_data holds nothing to analyze"},
		"Nested":         {`{"records":[{"a":1},{"a":{"b":1}}]}`, "input.analysis_data.records[1].a is not flat"},
		"UnknownGroup":   {`{"records":[{"a":1}],"group_by":"b"}`, `input.analysis_data.group_by "b" is no field of the records`},
		"TooManyFields":  {string(encode(t, map[string]any{"records": []any{wide}})), "have 51 fields in all, at most 50 are taken"},
		"EndlessNumbers": {`{"series":{"a":[1e300]}}`, "input.analysis_data.series.a[0] is above"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := workerstest.Work(t, open(t, newModel(nil), "roblox_analytics"), []byte(`{"analysis_data":`+c.data+`}`))
			if got.State != task.Failed || got.Failure.Cause != events.CauseInput || !strings.Contains(got.Failure.Error, c.want) {
				t.Errorf("state %s, failure %+v, want %s", got.State, got.Failure, c.want)
			}
		})
	}
}
