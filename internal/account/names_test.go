package account_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestUsernameKey_IsOneForAllWaysToWriteAName(t *testing.T) {
	t.Parallel()
	for username, want := range map[string]string{
		"ada":                   "ada",
		"Ada.Lovelace_1":        "ada.lovelace_1",
		"ADA+2":                 "ada+2",
		"Émilie":                "émilie",
		"E\u0301milie":          "émilie", // decomposed
		"\uff21\uff24\uff21":    "ada",    // fullwidth
		"Ольга":                 "ольга",
		"李小龙":                   "李小龙",
		strings.Repeat("é", 64): strings.Repeat("é", 64),
	} {
		if key, err := account.UsernameKey(username); err != nil || key != want {
			t.Errorf("%q: got %q, %v, want %q", username, key, err, want)
		}
	}
}

func TestUsernameKey_RefusesWhatCanBeNone(t *testing.T) {
	t.Parallel()
	for _, username := range []string{
		"", "ab", "e\u0301a", strings.Repeat("a", 65), strings.Repeat("é", 65), strings.Repeat("a", 1<<20), "ada lovelace", " ada", "ada@school.example",
		"ada\uff20school", "ada\x00", "ada\n", "a\u200bda", "a\u202eda", "\xff\xfe\xfd", "...", "<script>", "ada'--", "a/b/c", "ada!", "ada\u00ad", "\u3164\u3164\u3164",
	} {
		if key, err := account.UsernameKey(username); !invalid(err, "username") {
			t.Errorf("%.80q: got %q, %v, want Invalid", username, key, err)
		}
	}
}

func TestEmailKey_IsOneForAllWaysToWriteAnAddress(t *testing.T) {
	t.Parallel()
	for email, want := range map[string]string{
		"ada@school.example":                   "ada@school.example",
		"  Ada.L+x@School.EXAMPLE ":            "ada.l+x@school.example",
		"\uff21da@school.example":              "ada@school.example",
		"z\u00fcrich@m\u00fcnchen.example":     "zürich@münchen.example",
		"zu\u0308rich@mu\u0308nchen.example":   "zürich@münchen.example",
		strings.Repeat("a", 64) + "@b.example": strings.Repeat("a", 64) + "@b.example",
	} {
		if key, err := account.EmailKey(email); err != nil || key != want {
			t.Errorf("%q: got %q, %v, want %q", email, key, err, want)
		}
	}
}

func TestEmailKey_RefusesWhatCanBeNone(t *testing.T) {
	t.Parallel()
	for _, email := range []string{
		"", "ada", "ada@", "@school.example", "ada@school", "Ada <ada@school.example>", "<ada@school.example>", "ada@school.example, eve@x.example",
		"ada@school.example\r\nBcc: all@x.example", "ada@x@school.example", `"ada@x"@school.example`, `"a b"@school.example`, "a da@school.example",
		"ada@[192.0.2.1]", "ada@school.example.", "ada@.example", "ada\xff@school.example", "a\u200bda@school.example", "a\u202eda@school.example",
		strings.Repeat("a", 300) + "@b.example", strings.Repeat("\ufdfa", 80) + "@b.example", strings.Repeat("a@", 1<<20),
	} {
		if key, err := account.EmailKey(email); !invalid(err, "email") {
			t.Errorf("%.80q: got %q, %v, want Invalid", email, key, err)
		}
	}
}

func TestCheckName_KeepsANameAsItIsRead(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"  Ada Lovelace\t": "Ada Lovelace", "Zoe\u0308": "Zoë", "O'Neill-Smith, Jr.": "O'Neill-Smith, Jr.", "می\u200cخواهم": "می\u200cخواهم",
		"7b": "7b", "李小龙": "李小龙", strings.Repeat("ß", 200): strings.Repeat("ß", 200),
	} {
		if got, err := account.CheckName("name", name); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{
		"", " ", "-", "\u200d", strings.Repeat("a", 201), "a\x00b", "a\nb", "a\u202eb", "a\u2066b", "a\u2028b", "\ufeffa", "a\u200bb", "a\u00adb",
		"\u3164", "a\U000e0041b", "\xff",
	} {
		if got, err := account.CheckName("label", name); !invalid(err, "label") {
			t.Errorf("%.80q: got %q, %v, want Invalid", name, got, err)
		}
	}
}

// invalid reports whether err is about a field.
func invalid(err error, field string) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Kind == fault.Invalid && len(f.Details) == 1 && f.Details[0].Field == field
}

// A key is its own key, so that a comparison does not depend on how often a name was normalised, and holds nothing that cannot be seen.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"ada", "Ada@School.example", "\uff21\uff24\uff21", "İstanbul", "ẞtraße", "\u0345a\u0301", "ﬁ@x.example", "\u1e9e\u03d2\u2126", "Zoe\u0308 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, normal := range map[string]func(string) (string, error){
			"username": account.UsernameKey,
			"email":    account.EmailKey,
			"name":     func(s string) (string, error) { return account.CheckName("name", s) },
		} {
			key, err := normal(s)
			if err != nil {
				if !invalid(err, name) {
					t.Errorf("%s of %q: %v, want Invalid", name, s, err)
				}
				continue
			}
			if again, err := normal(key); err != nil || again != key {
				t.Errorf("%s of %q is %q, and of that %q, %v", name, s, key, again, err)
			}
			if !utf8.ValidString(key) || !norm.NFC.IsNormalString(key) || strings.ContainsFunc(key, unicode.IsControl) || strings.TrimSpace(key) != key {
				t.Errorf("%s of %q is %q", name, s, key)
			}
			if at := strings.Contains(key, "@"); name == "username" && at || name == "email" && !at {
				t.Errorf("%s of %q is %q: it can be taken for the other", name, s, key)
			}
		}
	})
}
