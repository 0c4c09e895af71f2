package check_test

import (
	"os"
	"path/filepath"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
)

// complaints returns what helm lint --strict fails for.
func complaints(dir string, values map[string]any) []error {
	var out []error
	for _, m := range lint.RunAll(dir, values, namespace).Messages {
		if m.Severity >= support.WarningSev {
			out = append(out, m)
		}
	}
	return out
}

func TestChart_IsCleanUnderStrictLint(t *testing.T) {
	t.Parallel()
	for name, values := range valueSets(t) {
		for _, err := range complaints(chartDir, values) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChart_LintNoticesABrokenTemplate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "toolboxai")
	if err := os.CopyFS(dir, os.DirFS(chartDir)); err != nil {
		t.Fatal(err)
	}
	if found := complaints(dir, nil); len(found) > 0 {
		t.Fatalf("the copy: %v", found)
	}
	broken := []byte("apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: UPPER}\n")
	if err := os.WriteFile(filepath.Join(dir, "templates", "broken.yaml"), broken, 0o600); err != nil {
		t.Fatal(err)
	}
	if found := complaints(dir, nil); len(found) == 0 {
		t.Error("nobody complains of a deprecated kind with an impossible name")
	}
}
