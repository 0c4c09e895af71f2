package apikey_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// example was made once: texts that are out there must stay good.
const example = "tbai_AbCdEf012345_abcdefghijklmnopqrstuvwxyz01234514Rx1J"

func TestParse(t *testing.T) {
	t.Parallel()
	id, part, err := apikey.Parse(example)
	if err != nil || id != "AbCdEf012345" || part != "abcdefghijklmnopqrstuvwxyz012345" {
		t.Fatalf("got %q, %q, %v", id, part, err)
	}
	for _, text := range []string{
		"", "tbai_", example[:len(example)-1], example + "0", "TBAI" + example[4:], strings.Replace(example, "_a", "-a", 1),
		strings.Replace(example, "Ab", "A_", 1), strings.Replace(example, "xyz", "xÿ", 1), " " + example[1:],
	} {
		if _, _, err := apikey.Parse(text); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Whichever character is mistyped, and however two neighbours are swapped, it is noticed without asking anybody.
func TestParse_NoticesTypingErrors(t *testing.T) {
	t.Parallel()
	for at := range len(example) {
		for _, c := range "0Aaz_" {
			wrong := example[:at] + string(c) + example[at+1:]
			if _, _, err := apikey.Parse(wrong); (err == nil) != (wrong == example) {
				t.Errorf("%q is taken", wrong)
			}
		}
		if at > 0 {
			swapped := example[:at-1] + example[at:at+1] + example[at-1:at] + example[at+1:]
			if _, _, err := apikey.Parse(swapped); (err == nil) != (swapped == example) {
				t.Errorf("%q is taken", swapped)
			}
		}
	}
}

func TestPattern_FindsLeakedKeys(t *testing.T) {
	t.Parallel()
	scan := regexp.MustCompile(apikey.Pattern)
	text := "curl -H 'Authorization: Bearer " + example + "' https://school.example # not tbai_short_one"
	if got := scan.FindAllString(text, -1); len(got) != 1 || got[0] != example {
		t.Errorf("found %q", got)
	}
	if !apikey.IsKey(example) || apikey.IsKey("eyJhbGciOi") {
		t.Error("keys are not told from tokens")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("")
	f.Add("tbai_000000000000_00000000000000000000000000000000000000")
	scan := regexp.MustCompile("^" + apikey.Pattern + "$")
	f.Fuzz(func(t *testing.T, text string) {
		id, part, err := apikey.Parse(text)
		if err != nil {
			if !fault.Is(err, fault.Unauthorized) || len(text) > 3 && strings.Contains(err.Error(), text) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if !scan.MatchString(text) || !strings.HasPrefix(text, "tbai_"+id+"_"+part) {
			t.Errorf("%q is read as %q, %q", text, id, part)
		}
	})
}
