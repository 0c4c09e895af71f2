package composer_test

import (
	"encoding/json"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
)

// TestComposer_WritesScriptsWithNothingToLookAt asks for every recipe and the scaffold, as each type of script.
func TestComposer_WritesScriptsWithNothingToLookAt(t *testing.T) {
	t.Parallel()
	for _, wish := range []string{
		"A door that opens for 5 seconds", "Checkpoints for an obby", "A quiz about planets", "A leaderboard with points", "Collect coins",
		"An npc that talks about volcanoes", "Day and night in two minutes", "A countdown timer", "Something else",
		"A bell \u202e\u200b\U000E0041 with odd letters", `A "sign" ]] --[[ loadstring`,
	} {
		for _, kind := range []vet.Context{vet.Server, vet.Client, vet.Module} {
			input, err := json.Marshal(map[string]any{"request": map[string]any{"script_type": kind, "functionality": wish}})
			if err != nil {
				t.Fatal(err)
			}
			var answer struct{ Code string }
			if err := json.Unmarshal([]byte(complete(t, llm.Request{Purpose: "script.draft", Input: input})), &answer); err != nil {
				t.Fatal(err)
			}
			if findings := vet.Check(answer.Code, kind); len(findings) > 0 {
				t.Errorf("%s, %s: %v in\n%s", wish, kind, findings, answer.Code)
			}
		}
	}
}
