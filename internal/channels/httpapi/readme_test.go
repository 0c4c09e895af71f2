package httpapi_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestReadme_NamesAllTests(t *testing.T) {
	t.Parallel()
	named, declared := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`"), regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, dir := range []string{".", filepath.Join("..", "webhook")} {
		readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllStringSubmatch(string(source), -1) {
				there[m[1]] = true
			}
		}
		rules := map[string]bool{"TestMain": true}
		for _, m := range named.FindAllStringSubmatch(string(readme), -1) {
			rules[m[1]] = true
			if !there[m[1]] {
				t.Errorf("%s: README.md names %s, which is no test", dir, m[1])
			}
		}
		for name := range there {
			if !rules[name] && !strings.HasPrefix(name, "TestNew_") && !strings.HasPrefix(name, "TestReadme_") {
				t.Errorf("%s: README.md has no rule for %s", dir, name)
			}
		}
	}
}
