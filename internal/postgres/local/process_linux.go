package local

import (
	"os"
	"strconv"
	"syscall"
)

// attr makes a child that runs as id, is no target of the terminal's ^C, and gets a signal when this process dies.
func (id identity) attr(onDeath syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: id.credential(), Pdeathsig: onDeath}
}

// serves reports whether process pid is a Postgres on the data directory: a server stands in it.
func serves(pid int, data string) bool {
	cwd, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd")
	if err != nil {
		return false
	}
	a, err := os.Stat(cwd)
	if err != nil {
		return false
	}
	b, err := os.Stat(data)
	return err == nil && os.SameFile(a, b)
}
