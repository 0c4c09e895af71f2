package local

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// attr makes a child that runs as id and is no target of the terminal's ^C. There is no parent death signal here.
func (id identity) attr(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: id.credential()}
}

// serves reports whether process pid is a Postgres that was started on the data directory.
func serves(pid int, data string) bool {
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), "postgres") && strings.Contains(string(out), "-D "+data)
}
