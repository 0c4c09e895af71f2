package composer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type mark struct{ Topics, Grades string }

type bankFile struct {
	Subject string
	Terms   []struct {
		Term, Means string
		mark
	}
	Facts []struct {
		Say string
		mark
	}
	Questions []struct {
		Ask, Answer, Why string
		Wrong            []string
		mark
	}
	Sequences []struct {
		Order string
		Items []string
		mark
	}
}

// TestBank_IsWellFormed holds the fact bank against what questions are derived from it by.
func TestBank_IsWellFormed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("bank/*.json")
	if err != nil || len(files) != 10 {
		t.Fatalf("%d subjects: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var b bankFile
			if err := json.Unmarshal(data, &b); err != nil {
				t.Fatal(err)
			}
			if len(b.Terms) < 25 || len(b.Facts) < 25 || len(b.Questions) < 25 || len(b.Sequences) < 6 {
				t.Errorf("%d terms, %d facts, %d questions, %d sequences", len(b.Terms), len(b.Facts), len(b.Questions), len(b.Sequences))
			}
			seen := map[string]bool{}
			once := func(text string) {
				if key := strings.ToLower(text); seen[key] {
					t.Errorf("%q stands twice", text)
				} else {
					seen[key] = true
				}
			}
			for _, x := range b.Terms {
				once(x.Term)
				once(x.Means)
				check(t, x.Means, x.mark)
				if strings.HasSuffix(x.Means, ".") {
					t.Errorf("%q ends in a period", x.Means)
				}
			}
			for _, x := range b.Facts {
				once(x.Say)
				check(t, x.Say, x.mark)
				if !regexp.MustCompile(`^[^\[\]]*\[[^\[\]]+\][^\[\]]*\.?"?\.$`).MatchString(x.Say) {
					t.Errorf("%q is no sentence with one word in brackets", x.Say)
				}
			}
			for _, x := range b.Questions {
				once(x.Ask)
				check(t, x.Ask, x.mark)
				if x.Answer == "" || len(x.Wrong) != 3 || slices.Contains(x.Wrong, x.Answer) || x.Wrong[0] == x.Wrong[1] || x.Wrong[1] == x.Wrong[2] || x.Wrong[0] == x.Wrong[2] {
					t.Errorf("%q: answer %q, wrong %q", x.Ask, x.Answer, x.Wrong)
				}
				if !strings.HasSuffix(x.Why, ".") {
					t.Errorf("%q: %q is no sentence", x.Ask, x.Why)
				}
			}
			for _, x := range b.Sequences {
				once(x.Order)
				check(t, x.Order, x.mark)
				for i, item := range x.Items {
					if slices.Contains(x.Items[:i], item) {
						t.Errorf("%q: %q stands twice", x.Order, item)
					}
				}
				if len(x.Items) < 3 {
					t.Errorf("%q has %d items", x.Order, len(x.Items))
				}
			}
		})
	}
}

func check(t *testing.T, text string, m mark) {
	t.Helper()
	if m.Topics == "" || !regexp.MustCompile(`^(K|[0-9]+)-[0-9]+$`).MatchString(m.Grades) {
		t.Errorf("%q: topics %q, grades %q", text, m.Topics, m.Grades)
	}
	if strings.ContainsAny(text, "\n\t_") && !strings.Contains(text, "___") || len([]rune(text)) > 200 {
		t.Errorf("%q is not one short line", text)
	}
}
