//go:build linux || darwin

package local

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// identity is the user as whom Postgres runs.
type identity struct {
	uid, gid uint32
	drop     bool // it is not the user of this process
}

func (id identity) credential() *syscall.Credential {
	if !id.drop {
		return nil
	}
	return &syscall.Credential{Uid: id.uid, Gid: id.gid}
}

// own gives path to id.
func (id identity) own(path string) error {
	if !id.drop {
		return nil
	}
	return os.Lchown(path, int(id.uid), int(id.gid))
}

// prepareDir makes dir and chooses the user as whom Postgres can work in it.
func prepareDir(dir string) (identity, error) {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		err = os.MkdirAll(dir, 0o755)
		if err == nil {
			err = os.Chmod(dir, 0o755) // whatever the umask
		}
		if err != nil {
			return identity{}, fmt.Errorf("local postgres: %w", err)
		}
	}
	if os.Geteuid() != 0 {
		return identity{uid: uint32(os.Getuid()), gid: uint32(os.Getgid())}, nil
	}
	if uid, gid, ok := owner(filepath.Join(dir, "data")); ok {
		if uid == 0 {
			return identity{}, fault.New(fault.Conflict, "%s belongs to root, as whom Postgres does not run: give it to the user who made it", filepath.Join(dir, "data"))
		}
		return identity{uid, gid, true}, nil
	}
	var shut string
	for _, id := range candidates(dir) {
		if shut = closedTo(id, dir); shut == "" {
			return id, nil
		}
	}
	return identity{}, fault.New(fault.Forbidden,
		"Postgres does not run as root, and %s is closed to other users: choose a data directory that they can reach, such as /var/lib/toolboxai", shut)
}

// candidates returns users other than root: the one whose home dir seems to be in, the user postgres, and nobody.
func candidates(dir string) []identity {
	var ids []identity
	for at := dir; at != filepath.Dir(at); at = filepath.Dir(at) {
		if uid, gid, ok := owner(at); ok && uid != 0 {
			ids = append(ids, identity{uid, gid, true})
			break
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
		if uerr == nil && gerr == nil && uid != 0 {
			ids = append(ids, identity{uint32(uid), uint32(gid), true})
		}
	}
	return append(ids, identity{65534, 65534, true})
}

// closedTo returns the first directory on the way to dir that id cannot enter, or "".
func closedTo(id identity, dir string) string {
	shut := ""
	for at := dir; ; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err != nil || !mayEnter(id, info) {
			shut = at
		}
		if at == filepath.Dir(at) {
			return shut
		}
	}
}

func mayEnter(id identity, info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return false
	case st.Uid == id.uid:
		return info.Mode()&0o100 != 0
	case st.Gid == id.gid:
		return info.Mode()&0o010 != 0
	}
	return info.Mode()&0o001 != 0
}

func owner(path string) (uid, gid uint32, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return st.Uid, st.Gid, true
}

// lockDir holds dir for this process: the lock goes with it, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("local postgres: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fault.New(fault.Conflict, "another process runs a Postgres in %s", dir)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// InUse reports whether a process runs a Postgres in dir. A Start at the very same moment may find the directory taken.
func InUse(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return false
	}
	defer unlock(f)
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

// unlock gives a lock free at once. Closing the file alone would not do: a child that is just being started has it too until
// its program begins.
func unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	_ = f.Close()
}

// maxSocket is the longest path of a Unix socket that every system takes, in bytes.
const maxSocket = 103

// socketDir makes the directory of the socket. Only the server's user and root can enter it, so that the socket needs no
// password.
func socketDir(cfg Config, who identity) (string, error) {
	dir := filepath.Join(cfg.Dir, "run")
	err := os.RemoveAll(dir) // a socket and its lock file may be left from a crash
	if err == nil && len(dir)+len("/.s.PGSQL.65535.lock") <= maxSocket {
		err = os.Mkdir(dir, 0o700)
	} else if err == nil {
		dir, err = os.MkdirTemp("/tmp", "toolboxai-pg-")
	}
	if err == nil {
		err = who.own(dir)
	}
	if err != nil {
		return "", fmt.Errorf("make the socket's directory: %w", err)
	}
	return dir, nil
}
