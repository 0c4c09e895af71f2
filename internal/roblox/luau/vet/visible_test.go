package vet_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
)

func TestVisible_KeepsAlphabetsAndUnmixesWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Гора и река": "Гора и река", "Βουνό και ποτάμι": "Βουνό και ποτάμι", "山と川": "山と川", "جبل ونهر": "جبل ونهر", "": "",
		"Mоuntain": "Mountain", "iPhoneами и Wi-Fi": "iPhoneaми и Wi-Fi", "Ѕtone": "Stone", "νalley": "valley", "ｆｕｌｌ１": "full1",
		"a\u200bb\u202ec\u2066d\U000e0041e\u3164f": "abcdef", "admin\u202egnp": "admingnp",
	} {
		if got := vet.Visible(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestVisible_PassesTheRuleForWhatIsSeen(t *testing.T) {
	t.Parallel()
	mixed := rapid.StringOf(rapid.SampledFrom([]rune("abMo аоМеνρΑ\u202e\u200b\u200d\u3164\ufeff火ｗА1-é\u0301👩")))
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(mixed, rapid.String()).Draw(rt, "text")
		for _, source := range []string{"print(" + luau.Quote(vet.Visible(text)) + ")", luau.Comment(vet.Visible(text)) + "\nprint(1)"} {
			for _, f := range vet.Check(source, vet.Server) {
				if f.Rule == "invisible-text" {
					rt.Fatalf("%v in %q", f, source)
				}
			}
		}
	})
}
