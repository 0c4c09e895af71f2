package channels_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// README.md is the table of the protocol's rules. It is made from the tests: UPDATE_GOLDEN=1 writes it anew.
func TestReadme_IsTheTableOfRules(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`# Which test stands for which rule

Made by TestReadme_IsTheTableOfRules; do not edit. Each rule of the protocol is a test by a raw client against a listening server,
` + "`TestServer_KeepsTheRulesOfTheProtocol/<rule>`" + `. Those of the HTTP API and of webhooks are in [httpapi](httpapi/README.md) and [webhook](webhook/README.md).

| part | rule |
|---|---|
`)
	for _, part := range []struct {
		name  string
		rules []rule
	}{
		{"connections", connectionRules}, {"channels", channelRules}, {"presence", presenceRules}, {"events", eventRules}, {"users", userRules}, {"queries", apiRules},
	} {
		for _, r := range part.rules {
			fmt.Fprintf(&b, "| %s | %s |\n", part.name, r.name)
		}
	}
	b.WriteString("\nWhat is guaranteed beyond single rules, over several processes and under fault:\n\n")
	for _, name := range declared(t) {
		fmt.Fprintf(&b, "- `%s`\n", name)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile("README.md", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile("README.md"); err != nil || string(have) != b.String() {
		t.Errorf("README.md is not what the tests say; UPDATE_GOLDEN=1 writes it anew (%v)", err)
	}
}

// declared returns the names of the tests of this package that are no rules.
func declared(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			if m[1] != "TestMain" && !strings.HasPrefix(m[1], "TestReadme_") && m[1] != "TestServer_KeepsTheRulesOfTheProtocol" {
				names = append(names, m[1])
			}
		}
	}
	slices.Sort(names)
	return names
}
