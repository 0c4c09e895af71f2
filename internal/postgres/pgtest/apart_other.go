//go:build !unix

package pgtest

import "syscall"

func apart() *syscall.SysProcAttr { return nil }
