package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/internal/postgres/local"
)

// Cluster is a throwaway Postgres. Stop it, or let it die with the process: either way its directory goes too.
type Cluster struct {
	server *local.Server
	dir    string
	reaper *exec.Cmd
	life   io.Closer // the reaper acts when it is closed, which the end of the process does too
}

const dirPrefix = "toolboxai-pgtest-"

// abandonedAfter is the age from which a directory that nobody holds is taken for a leftover.
const abandonedAfter = time.Minute

// StartCluster starts one, in memory when /dev/shm can be written to.
func StartCluster(ctx context.Context) (*Cluster, error) {
	base := os.TempDir()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		base = "/dev/shm"
	}
	sweep(base)
	dir, err := os.MkdirTemp(base, dirPrefix)
	if err != nil && base != os.TempDir() {
		dir, err = os.MkdirTemp("", dirPrefix)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the server may run as another user
		return nil, err
	}
	c := &Cluster{dir: dir}
	if c.server, err = local.Start(ctx, local.Config{Dir: dir, Throwaway: true, MaxConns: 300}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.startReaper(); err != nil {
		return nil, errors.Join(err, c.server.Stop(ctx), os.RemoveAll(dir))
	}
	return c, nil
}

// URL returns the connection string of a database of the cluster.
func (c *Cluster) URL() string { return c.server.URL() }

// Stop ends the server and removes its directory.
func (c *Cluster) Stop(ctx context.Context) error {
	err := c.server.Stop(ctx)
	return errors.Join(err, c.life.Close(), c.reaper.Wait(), os.RemoveAll(c.dir))
}

// startReaper runs a shell that removes the directory once this process is gone: no code of ours runs after a panic or a
// kill, nor behind the last test of a package. It makes sure that the server has ended, and lets go of its files.
func (c *Cluster) startReaper() error {
	const script = `read -r _
n=0
while [ -e "$1/data/postmaster.pid" ] && [ $n -lt 100 ]; do
	kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")" 2>/dev/null || break
	sleep 0.1
	n=$((n + 1))
done
rm -rf -- "$1"`
	c.reaper = exec.Command("/bin/sh", "-c", script, "reaper", c.dir) //nolint:noctx // it outlives everybody
	c.reaper.Dir = "/"
	c.reaper.SysProcAttr = apart()
	life, err := c.reaper.StdinPipe()
	if err != nil {
		return err
	}
	c.life = life
	if err := c.reaper.Start(); err != nil {
		return fmt.Errorf("start the shell that cleans up: %w", err)
	}
	return nil
}

// sweep removes directories that are left because not even their reaper lived to do it.
func sweep(base string) {
	dirs, _ := filepath.Glob(filepath.Join(base, dirPrefix+"*")) // fails only for a bad pattern
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err == nil && time.Since(info.ModTime()) > abandonedAfter && !local.InUse(dir) {
			_ = os.RemoveAll(dir)
		}
	}
}

// LeakOptions makes goleak overlook the goroutine that waits for the throwaway server of this process, which has no end
// before the process has.
func LeakOptions() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/toolboxai/orchestrator/internal/postgres/local.(*process).run"),
		goleak.IgnoreAnyFunction("os/exec.(*Cmd).writerDescriptor.func1"),
	}
}
