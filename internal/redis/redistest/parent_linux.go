package redistest

import "syscall"

// withParent has the kernel end the server when the test process is killed, and keeps the terminal's ^C from it.
func withParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
