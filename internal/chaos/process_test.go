//go:build chaos && linux

package chaos_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// launcher starts processes from one thread that lives as long as they do: the kernel kills them when that thread ends, so a suite
// that is killed leaves nothing behind.
type launcher struct {
	jobs chan func()
	done chan struct{}
}

// newLauncher ends with the test, after what was started later has been cleaned up.
func newLauncher(t *testing.T) *launcher {
	l := &launcher{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		runtime.LockOSThread()
		for job := range l.jobs {
			job()
		}
	}()
	t.Cleanup(func() {
		close(l.jobs)
		<-l.done
	})
	return l
}

func (l *launcher) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	answer := make(chan error)
	l.jobs <- func() { answer <- cmd.Start() }
	return <-answer
}

// process is a role, or a node of the broker, that runs on its own.
type process struct {
	name   string
	cmd    *exec.Cmd
	output *tail
	ended  chan struct{}
}

// run starts a process and kills it with the test.
func (l *launcher) run(t *testing.T, name string, env []string, program string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(program, args...), output: &tail{}, ended: make(chan struct{})}
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := l.start(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is told by ProcessState
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p, nil
}

// kill ends the process at once, and returns when it has ended.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// signal does nothing to a process that has ended.
func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// tail keeps the end of what a process printed, and what it printed first.
type tail struct {
	mu   sync.Mutex
	head []byte
	buf  []byte
}

const maxTail = 6 << 10

func (b *tail) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if room := maxTail - len(b.head); room > 0 {
		b.head = append(b.head, p[:min(room, len(p))]...)
	}
	b.buf = append(b.buf, p...)
	if over := len(b.buf) - maxTail; over > 0 {
		b.buf = bytes.Clone(b.buf[over:])
	}
	return len(p), nil
}

// began reports whether the process said so among the first things that it said.
func (b *tail) began(words string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Contains(b.head, []byte(words))
}

func (b *tail) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.buf)
}

// bareEnvironment is what a fresh machine has: no keys, no addresses.
func bareEnvironment() []string {
	var env []string
	for _, entry := range os.Environ() {
		switch name, _, _ := strings.Cut(entry, "="); name {
		case "PATH", "HOME", "TMPDIR", "TZ", "LANG":
			env = append(env, entry)
		}
	}
	return env
}
