package check_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/strvals"
)

// The commands of the README are run as far as no cluster is needed: their values are rendered.
func TestReadme_CommandsRender(t *testing.T) {
	t.Parallel()
	commands := regexp.MustCompile(`(?m)^\s*helm (?:upgrade --install|template) toolboxai deploy/chart.*$`).FindAllString(read(t, "deploy", "chart", "README.md"), -1)
	if len(commands) < 4 {
		t.Fatalf("found %q", commands)
	}
	for _, command := range commands {
		values, err := commandValues(t, command)
		if err == nil {
			_, err = render(loadChart(t), values)
		}
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
}

func TestReadme_CommandsWithWrongValuesAreNoticed(t *testing.T) {
	t.Parallel()
	values, err := commandValues(t, "helm template toolboxai deploy/chart --set image.tags=v1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := render(loadChart(t), values); err == nil {
		t.Error("image.tags is taken")
	}
	if _, err := commandValues(t, "helm template toolboxai deploy/chart --values=x"); err == nil {
		t.Error("an option that the test cannot read is passed over")
	}
}

// commandValues returns the values that a command's --values and --set give.
func commandValues(t *testing.T, command string) (map[string]any, error) {
	t.Helper()
	_, options, _ := strings.Cut(command, "deploy/chart")
	words := strings.Fields(options)
	values := map[string]any{}
	for ; len(words) > 1; words = words[2:] {
		switch words[0] {
		case "--values":
			values = readValues(t, filepath.Join(repository, words[1]))
		case "--set":
			if err := strvals.ParseInto(words[1], values); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("option %s", words[0])
		}
	}
	if len(words) > 0 {
		return nil, fmt.Errorf("option %s", words[0])
	}
	return values, nil
}

func TestReadme_TellsOfEveryValue(t *testing.T) {
	t.Parallel()
	table := read(t, "deploy", "chart", "README.md")
	for name := range parseValues(t, read(t, "deploy", "chart", "values.yaml")) {
		if !regexp.MustCompile("(?m)^\\|[^|]*`" + name + "`").MatchString(table) {
			t.Errorf("%s is not in the table", name)
		}
	}
}
