package local

import (
	"os"
	"strconv"
	"syscall"
)

// attr makes a child that runs as id, is no target of the terminal's ^C, and is told when this process dies.
func (id identity) attr(throwaway bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Credential: id.credential(), Pdeathsig: syscall.SIGINT}
	if throwaway {
		a.Pdeathsig = syscall.SIGQUIT
	}
	return a
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
