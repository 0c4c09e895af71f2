//go:build unix

package pgtest

import "syscall"

// apart keeps the terminal's ^C from a child.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
