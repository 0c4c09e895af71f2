package vet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// script is one of a corpus: a section "#### context name" of a file.
type script struct {
	name   string
	where  Context
	source string
}

// corpus reads the scripts of a folder of testdata. A file that begins with heldout was written after the rules.
func corpus(t testing.TB, folder string) (all []script, held int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus %s: %v", folder, err)
	}
	contexts := map[string]Context{"server": Server, "client": Client, "module": Module}
	seen := map[string]bool{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, section := range strings.Split("\n"+string(raw), "\n#### ")[1:] {
			head, source, _ := strings.Cut(section, "\n")
			where, name, _ := strings.Cut(head, " ")
			if contexts[where] == "" || seen[name] || folder == "hostile" && !strings.Contains(source, "-- attempts: ") {
				t.Fatalf("%s: section %q has no context, the name of another or no word of what it attempts", file, head)
			}
			seen[name] = true
			all = append(all, script{name, contexts[where], source})
			if strings.HasPrefix(filepath.Base(file), "heldout") {
				held++
			}
		}
	}
	return all, held
}

func denied(findings []Finding) []Finding {
	var out []Finding
	for _, f := range findings {
		if f.Severity == Deny {
			out = append(out, f)
		}
	}
	return out
}

func TestCheck_StopsEveryHostileScript(t *testing.T) {
	t.Parallel()
	all, held := corpus(t, "hostile")
	passed := 0
	for _, s := range all {
		if len(denied(Check(s.source, s.where))) == 0 {
			passed++
			t.Errorf("%s passes:\n%s", s.name, s.source)
		}
	}
	if len(all) < 400 {
		t.Errorf("only %d hostile scripts", len(all))
	}
	t.Logf("%d hostile scripts (%d of them held out), %d pass", len(all), held, passed)
}

func TestCheck_LetsBenignScriptsPass(t *testing.T) {
	t.Parallel()
	all, held := corpus(t, "benign")
	blocked, flagged := 0, 0
	for _, s := range all {
		findings := Check(s.source, s.where)
		if d := denied(findings); len(d) > 0 {
			blocked++
			t.Logf("%s is denied: %v", s.name, d)
		} else if len(findings) > 0 {
			flagged++
		}
	}
	if len(all) < 270 || 50*blocked > len(all) {
		t.Errorf("%d of %d benign scripts are denied", blocked, len(all))
	}
	t.Logf("%d benign scripts (%d of them held out), %d denied, %d flagged", len(all), held, blocked, flagged)
}

// TestCorpora_Parse checks that scripts are refused for what they do. Those whose trick is the syntax are left out.
func TestCorpora_Parse(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"hostile", "benign"} {
		all, _ := corpus(t, folder)
		for _, s := range all {
			odd := strings.HasPrefix(s.name, "syntax-") || strings.HasSuffix(s.name, "-identifier") || strings.HasPrefix(s.name, "bidi-override")
			if _, err := luau.Parse(s.source); err != nil && (folder == "benign" || !odd) {
				t.Errorf("%s/%s: %v", folder, s.name, err)
			}
		}
	}
}

// TestCheck_NeedsEveryRule switches off the rules that deny, one at a time. Each time some hostile script passes.
func TestCheck_NeedsEveryRule(t *testing.T) {
	t.Parallel()
	all, _ := corpus(t, "hostile")
	all = append(all, script{"too-long", Server, ruleOf("too-long").Bad})
	for _, rule := range Rules() {
		if rule.Severity != Deny {
			continue
		}
		t.Run(rule.ID, func(t *testing.T) {
			t.Parallel()
			var through []string
			for _, s := range all {
				if len(denied(check(s.source, s.where, rule.ID))) == 0 {
					through = append(through, s.name)
				}
			}
			if len(through) == 0 {
				t.Errorf("without it nothing passes: the corpus does not need the rule")
			}
			t.Log(fmt.Sprint(len(through), " pass without it: ", through))
		})
	}
}
