// Package nodetest installs what a test needs from the npm registry, at the versions of a lock file.
package nodetest

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// installTime bounds an installation.
const installTime = 4 * time.Minute

// Install returns a copy of a folder that holds a package.json and its package-lock.json, with what the lock file names. Without node, npm or a
// registry the test is skipped, unless TOOLBOXAI_TEST_REQUIRE=1 forbids that.
func Install(t testing.TB, folder string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			unavailable(t, "%s is not installed: %v", program, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), installTime)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		unavailable(t, "npm ci: %v\n%s", err, out)
	}
	return dir
}

func unavailable(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("TOOLBOXAI_TEST_REQUIRE") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
