package terrain

import (
	"testing"

	"github.com/toolboxai/orchestrator/internal/roblox/terrain"
)

func TestBuilt_TakesNoSignForTheThingItself(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		feature string
		draft   Draft
		want    bool
	}{
		{"coral reef", Draft{Props: []terrain.Prop{{Kind: "sign", Name: "Coral reef", Text: "Build here: coral reef"}}}, false},
		{"coral reef", Draft{Operations: []terrain.Operation{{Label: "reef"}}}, true},
		{"lookout tower", Draft{Props: []terrain.Prop{{Kind: "building", Name: "Tower"}}}, true},
		{"welcome sign", Draft{Props: []terrain.Prop{{Kind: "sign", Name: "Welcome"}}}, true},
		{"tower of the king", Draft{Operations: []terrain.Operation{{Label: "roof of the barn"}}}, false},
	} {
		if got := built(1, c.feature, Outline{}, c.draft); got != c.want {
			t.Errorf("%s in %+v: %v", c.feature, c.draft, got)
		}
	}
}
