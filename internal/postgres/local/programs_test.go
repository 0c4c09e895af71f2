//go:build linux || darwin

package local_test

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres/local"
)

// These tests change PATH and cannot run beside others.

func TestStart_FollowsALinkOnPATH(t *testing.T) {
	found, err := exec.Command("sh", "-c", `readlink -f "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | tail -n 1)"`).Output()
	if err != nil {
		t.Fatal(err)
	}
	bin := home(t)
	if err := os.Symlink(strings.TrimSpace(string(found)), filepath.Join(bin, "initdb")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	start(t, local.WithPlaces(local.Config{Dir: home(t), Throwaway: true}))
}

func TestStart_SaysWhatToInstall(t *testing.T) {
	tools := home(t)
	npm := func(script string) {
		if err := os.WriteFile(filepath.Join(tools, "npm"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, npm string
		download  bool
		says      string
	}{
		{"nothing", "", false, "set DATABASE_URL"},
		{"no npm", "", true, "npm needed"},
		{"npm fails", "echo no network >&2; exit 1", true, "no network"},
		{"npm leaves nothing", "exit 0", true, "0 tarballs"},
		{"another package", `echo x > "$6/a.tgz"`, true, "checksum is wrong"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := "/nowhere"
			if c.npm != "" {
				npm(c.npm)
				path = tools + ":/bin:/usr/bin"
			}
			t.Setenv("PATH", path)
			dir := home(t)
			_, err := local.Start(t.Context(), local.WithPlaces(local.Config{Dir: dir, Download: c.download}))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if c.says != "0 tarballs" && c.says != "checksum is wrong" && !fault.Is(err, fault.Unavailable) {
				t.Errorf("got %v, want Unavailable", fault.KindOf(err))
			}
			left, globErr := filepath.Glob(filepath.Join(dir, "*"))
			if globErr != nil || len(left) != 1 { // the lock
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestServerLog_PassesLinesOn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w, last := local.NewServerLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for _, part := range []string{"LOG:  a", "b\nFATAL:  the database system is starting up\nERROR:  c\n", strings.Repeat("x", 10_000), "\nlast\n", "half"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	text := out.String()
	if strings.Count(text, "level=WARN") != 1 || strings.Count(text, "level=DEBUG") != 4 || !strings.Contains(text, `"LOG:  ab"`) {
		t.Error(text)
	}
	if got := last(); !strings.HasSuffix(got, "; last") || len(got) > 5000 {
		t.Errorf("%d bytes: …%s", len(got), got[len(got)-20:])
	}
	for range 20 {
		_, _ = w.Write([]byte("again\n"))
	}
	if got := last(); strings.Count(got, "again") != 8 {
		t.Errorf("got %s", got)
	}
}
