package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// said is what a script of Node's has said. Which fields there are, the script says.
type said struct {
	Socket, User     string
	Subscribed       string
	Members          map[string]json.RawMessage
	Ready            bool
	Refused, Failed  string
	Error            string
	Channel, Event   string
	Data             json.RawMessage
	Report           []received
	Stream, Type, ID string // of an event of an EventSource
	Asked, Admitted  bool   // whether a page was let in
}

// received is what a reader was given: the sequences, by what it follows.
type received struct {
	Given  map[string][]uint64
	States map[string]string
}

// script is a process of Node's that says one JSON object a line, and ends with its input.
type script struct {
	t      *testing.T
	name   string
	input  io.WriteCloser
	stderr *lockedBuffer
	ended  chan struct{}
	err    error // of its end, once ended is closed

	mu  sync.Mutex
	all []said
}

// node runs a file in dir until the test ends.
func node(t *testing.T, dir, file string, env ...string) *script {
	t.Helper()
	cmd := exec.Command("node", file)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(os.Environ(), env...), 10*time.Second
	s := &script{t: t, name: file, stderr: &lockedBuffer{}, ended: make(chan struct{})}
	cmd.Stderr = s.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if s.input, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		s.hear(out)
		s.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		s.input.Close()
		select {
		case <-s.ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-s.ended
		}
		if t.Failed() {
			t.Logf("%s says %d things, and:\n%s", file, len(s.heard()), tail(s.stderr.String()))
		}
	})
	return s
}

func (s *script) hear(out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var what said
		if err := json.Unmarshal(text, &what); err != nil {
			s.t.Errorf("%s says %s: %v", s.name, bytes.TrimSpace(text), err)
			continue
		}
		s.mu.Lock()
		s.all = append(s.all, what)
		s.mu.Unlock()
	}
}

// heard returns what was said so far.
func (s *script) heard() []said {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// says waits until something is said for which is is true, and returns it.
func (s *script) says(what string, is func(said) bool) (found said) {
	s.t.Helper()
	eventually(s.t, s.name+" says "+what, func() error {
		ended := false
		select {
		case <-s.ended:
			ended = true
		default:
		}
		all := s.heard()
		if i := slices.IndexFunc(all, is); i >= 0 {
			found = all[i]
			return nil
		}
		if ended {
			s.t.Fatalf("%s has ended and never said %s: %v\n%s", s.name, what, s.err, tail(s.stderr.String()))
		}
		return fmt.Errorf("it has said %d other things, last %+v", len(all), all[max(0, len(all)-3):])
	})
	return found
}

// tell sends a line of JSON to the script.
func (s *script) tell(what any) {
	s.t.Helper()
	data, err := json.Marshal(what)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.input.Write(append(data, '\n')); err != nil {
		s.t.Fatalf("%s hears nothing: %v", s.name, err)
	}
}

// on returns the messages on a channel, as line prints them.
func (s *script) on(channel string) (all []string) {
	s.t.Helper()
	for _, x := range s.heard() {
		if x.Channel == channel && !strings.HasPrefix(x.Event, "pusher:") {
			all = append(all, line(s.t, x.Event, x.Data))
		}
	}
	return all
}
