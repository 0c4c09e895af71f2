package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

func TestRun_LendsAClusterToACommand(t *testing.T) {
	t.Setenv(pgtest.EnvURL, "")
	out := filepath.Join(t.TempDir(), "url")
	code, err := run([]string{"--", "sh", "-c", `printf %s "$TEST_DATABASE_URL" > "$0"; exit 7`, out})
	if code != 7 || err != nil {
		t.Fatalf("got %d, %v, want the command's 7", code, err)
	}
	url, err := os.ReadFile(out)
	if err != nil || !strings.HasPrefix(string(url), "postgres://") {
		t.Errorf("the command got %q (%v)", url, err)
	}
}

func TestRun_KeepsAServerThatIsGiven(t *testing.T) {
	t.Setenv(pgtest.EnvURL, "postgres:///given")
	if code, err := run([]string{"sh", "-c", `test "$TEST_DATABASE_URL" = postgres:///given`}); code != 0 || err != nil {
		t.Errorf("got %d, %v", code, err)
	}
}

func TestRun_SaysWhatItCannotRun(t *testing.T) {
	t.Setenv(pgtest.EnvURL, "postgres:///given")
	for _, args := range [][]string{nil, {"--"}, {"/nowhere/at-all"}} {
		if code, err := run(args); code == 0 || err == nil {
			t.Errorf("%v: got %d, %v", args, code, err)
		}
	}
}
