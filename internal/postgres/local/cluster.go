//go:build linux || darwin

package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// initCluster makes the cluster when there is none. It is made under another name and renamed at the end, so that data
// either is a whole cluster or does not exist.
func initCluster(ctx context.Context, cfg Config, who identity, bin installation, data string) error {
	if major, err := clusterMajor(data); err != nil || major != 0 {
		return err
	}
	if entries, err := os.ReadDir(data); err == nil && len(entries) > 0 {
		return fault.New(fault.Conflict, "%s is no Postgres data directory and not empty: move it away or choose another data directory", data)
	}
	unfinished := data + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("remove an unfinished cluster: %w", err)
	}
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return fmt.Errorf("make the cluster's directory: %w", err)
	}
	if err := who.own(unfinished); err != nil {
		return fmt.Errorf("give the cluster's directory to its user: %w", err)
	}
	password, err := writePassword(cfg.Dir, who)
	if err != nil {
		return err
	}
	args := []string{
		"-D", unfinished, "-U", superuser, "-E", "UTF8", "--no-locale", "--data-checksums",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile=" + password, "--no-instructions",
	}
	if cfg.Throwaway {
		args = append(args, "--no-sync")
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, bin.initdb, args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = unfinished, bin.env(), who.attr(syscall.SIGKILL)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := runHere(cmd); err != nil {
		return fault.New(fault.Unavailable, "initdb failed: %s: %w", strings.TrimSpace(out.String()), err)
	}
	if err := os.Rename(unfinished, data); err != nil {
		return fmt.Errorf("put the cluster in its place: %w", err)
	}
	return nil
}

// writePassword keeps a random password for TCP in a file that only the server's user and root can read.
func writePassword(dir string, who identity) (path string, err error) {
	path = filepath.Join(dir, "password")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("replace the password: %w", err)
	}
	if err := os.WriteFile(path, []byte(rand.Text()+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the password: %w", err)
	}
	return path, who.own(path)
}
