package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	turns "github.com/toolboxai/orchestrator/internal/chat"
)

type chatCommand struct {
	remote
	Conversation string `help:"Go on with this conversation; without it a new one begins." placeholder:"ID"`
	Message      string `arg:"" optional:"" help:"What to say, at most 8000 characters. Without it each line of standard input is said, one after the other."`
}

// Help says what kong's lists cannot.
func (*chatCommand) Help() string {
	return "The answer goes to standard output as it is written; which tools the assistant used, and the conversation's id, go to standard error. " +
		"With --json each event is a line of JSON. Ctrl-C ends the turn, not the tasks that it started. Exits with 1 when there is no answer."
}

func (c *chatCommand) Run(ctx context.Context) error {
	t := &talk{remote: c.remote, conversation: c.Conversation, out: os.Stdout, notes: os.Stderr, together: together(os.Stdout, os.Stderr)}
	if c.Message != "" {
		return t.say(ctx, c.Message)
	}
	return t.sayAll(ctx, os.Stdin, isTerminal(os.Stdin))
}

// together reports whether two files are the same terminal, pipe or file.
func together(a, b *os.File) bool {
	first, err := a.Stat()
	second, err2 := b.Stat()
	return err == nil && err2 == nil && os.SameFile(first, second)
}

// talk is a conversation as a command leads it.
type talk struct {
	remote
	conversation string // empty until there is one
	out, notes   io.Writer
	together     bool // who reads out reads notes in it: neither breaks the other's lines
}

// maxLine bounds a line of standard input, in bytes.
const maxLine = turns.MaxText*utf8.UTFMax + len("\r\n")

// sayAll says each line of in that is not empty. On a terminal it goes on after what fails; elsewhere nothing is said behind it.
func (t *talk) sayAll(ctx context.Context, in io.Reader, interactive bool) error {
	lines, stop := readLines(in)
	defer stop()
	failed := false
	for {
		if interactive {
			fmt.Fprint(t.notes, "> ")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, more := <-lines:
			switch {
			case !more && failed:
				return errNotCompleted
			case !more:
				return nil
			case line.err != nil:
				return &usageError{line.err}
			case strings.TrimSpace(line.text) == "":
				continue
			}
			err := t.say(ctx, line.text)
			if err != nil && (!interactive || ctx.Err() != nil) {
				return err
			}
			if err != nil {
				complain(err)
				failed = true
			}
		}
	}
}

type inputLine struct {
	text string
	err  error
}

// readLines reads ahead of who takes the lines. A read from a terminal cannot be ended: the process does that.
func readLines(in io.Reader) (<-chan inputLine, func()) {
	lines, done := make(chan inputLine), make(chan struct{})
	tell := func(l inputLine) bool {
		select {
		case lines <- l:
			return true
		case <-done:
			return false
		}
	}
	go func() {
		defer close(lines)
		s := bufio.NewScanner(in)
		s.Buffer(nil, maxLine)
		for s.Scan() {
			if !tell(inputLine{text: s.Text()}) {
				return
			}
		}
		switch err := s.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			tell(inputLine{err: fmt.Errorf("a line of standard input has more than %d characters", turns.MaxText)})
		case err != nil:
			tell(inputLine{err: fmt.Errorf("standard input: %w", err)})
		}
	}()
	return lines, func() { close(done) }
}

// cancelTime is how long the server has to hear that nobody waits for an answer any more.
const cancelTime = 10 * time.Second

// say sends a message and shows the answer. When ctx ends before the answer does, the turn is cancelled.
func (t *talk) say(ctx context.Context, text string) error {
	if strings.TrimSpace(text) == "" || utf8.RuneCountInString(text) > turns.MaxText {
		return &usageError{fmt.Errorf("a message has 1 to %d characters", turns.MaxText)}
	}
	if t.conversation == "" {
		var made turns.Conversation
		if err := t.call(ctx, http.MethodPost, "/ai-chat/conversations", nil, nil, &made); err != nil {
			return err
		}
		t.conversation = made.ID
		fmt.Fprintln(t.notes, "conversation", made.ID)
	}
	path := "/ai-chat/conversations/" + url.PathEscape(t.conversation)
	defer func() {
		if ctx.Err() != nil {
			t.cancel(context.WithoutCancel(ctx), path)
		}
	}()
	var sent turns.Message
	if err := t.call(ctx, http.MethodPost, path+"/messages", nil, map[string]string{"text": text}, &sent); err != nil {
		return err
	}
	answer := &spoken{talk: t}
	err := t.followPath(ctx, path+"/messages/"+sent.ID+"/stream", "message "+sent.ID, answer.hear)
	answer.end()
	return errors.Join(err, answer.failed)
}

func (t *talk) cancel(ctx context.Context, path string) {
	ctx, stop := context.WithTimeout(ctx, cancelTime)
	defer stop()
	var m turns.Message
	err := t.call(ctx, http.MethodPost, path+"/cancel", nil, nil, &m)
	var refused *refusedError
	switch {
	case err == nil:
		fmt.Fprintln(t.notes, "the turn is", m.State)
	case !errors.As(err, &refused): // 409: it was over
		fmt.Fprintln(t.notes, "the turn may go on:", err)
	}
}
