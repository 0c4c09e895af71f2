package task_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestFingerprint_IgnoresWhatVaries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string][2]string{
		"number":     {"status 429 after 12 tries", "status 503 after 1 tries"},
		"decimal":    {"took 1.5s at 10:20:30", "took 2s at 9:00:00"},
		"uuid":       {"task 0190b1c2-7c4b-7def-8abc-0123456789ab is gone", "task FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF is gone"},
		"hex":        {"object deadbeefcafe0001 at 0x1F", "object 0123456789abcdef at 0xabc"},
		"quoted":     {`no field "a \" b" in 'x y'`, `no field "c" in ''`},
		"backtick":   {"no kind `quiz`", "no kind `terrain`"},
		"space":      {" a\n\tb ", "A b"},
		"tail":       {strings.Repeat("x ", 5000), strings.Repeat("x ", 6000)},
		"not UTF-8":  {"a\xff", "a\xfe"},
		"apostrophe": {"can't read 1, won't", "can't read 2, won't"},
	} {
		if a, b := task.Fingerprint(events.CauseBug, c[0]), task.Fingerprint(events.CauseBug, c[1]); a != b {
			t.Errorf("%s: %q has %s, %q has %s", name, c[0], a, c[1], b)
		}
	}
}

func TestFingerprint_TellsErrorsApart(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, message := range []string{"", "status 429", "deadline passed", "can't read", "can't write", "added a face"} {
		for _, cause := range []events.Cause{events.CauseBug, events.CauseProvider} {
			f := task.Fingerprint(cause, message)
			if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(f) {
				t.Errorf("%q has fingerprint %q", message, f)
			}
			if other, twice := seen[f]; twice {
				t.Errorf("%s %q and %s have the same fingerprint", cause, message, other)
			}
			seen[f] = string(cause) + " " + message
		}
	}
}

func FuzzFingerprint(f *testing.F) {
	f.Add("bug", `error 17 in "x`)
	f.Fuzz(func(t *testing.T, cause, message string) {
		a := task.Fingerprint(events.Cause(cause), message)
		if len(a) != 16 || a != task.Fingerprint(events.Cause(cause), message) {
			t.Errorf("%q has fingerprint %q", message, a)
		}
	})
}
