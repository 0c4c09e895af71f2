package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// remote says which API a command talks to, and as whom.
type remote struct {
	URL   string `help:"Base URL of the API." default:"http://127.0.0.1:8009" env:"TOOLBOXAI_URL"`
	Token string `help:"Bearer token; none is needed against 'toolboxai dev'." env:"TOOLBOXAI_TOKEN"`
	JSON  bool   `help:"Print JSON." name:"json"`
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 16 << 20

// envelope is what every answer looks like.
type envelope struct {
	Data    json.RawMessage `json:"data"`
	Message string          `json:"message"`
	Error   *struct {
		Code    string         `json:"code"`
		Details []fault.Detail `json:"details"`
	} `json:"error"`
	Metadata struct {
		RequestID string `json:"request_id"`
	} `json:"metadata"`
}

// call sends a request below /api/v1 and decodes the answer's data into out, when that is not nil. A *refusedError is an answer that
// another try does not change.
func (r remote) call(ctx context.Context, method, path string, header map[string]string, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	res, err := r.send(ctx, method, path, header, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", r.URL, err)
	}
	var answer envelope
	if err := json.Unmarshal(data, &answer); err != nil {
		return fmt.Errorf("%s answered %s, and not as the API does: is it the right URL?", r.URL, res.Status)
	}
	switch {
	case res.StatusCode >= http.StatusInternalServerError && answer.Error != nil:
		return answer.err()
	case res.StatusCode >= http.StatusBadRequest && answer.Error != nil:
		return &refusedError{answer.err(), answer.Error.Code}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer.Data, out)
}

func (e envelope) err() error {
	var b strings.Builder
	b.WriteString(e.Message)
	for _, d := range e.Error.Details {
		fmt.Fprintf(&b, "\n  %s %s", d.Field, d.Reason)
	}
	if e.Error.Code == "internal" {
		b.WriteString("\n  request " + e.Metadata.RequestID)
	}
	return errors.New(b.String())
}

func (r remote) send(ctx context.Context, method, path string, header map[string]string, body any) (*http.Response, error) {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.URL, "/")+"/api/v1"+path, payload)
	if err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.Token)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		var op *url.Error
		if errors.As(err, &op) && ctx.Err() == nil {
			return nil, fmt.Errorf("no API answers at %s (%w): start one with 'toolboxai dev', or give --url", r.URL, op.Err)
		}
		return nil, err
	}
	return res, nil
}

// frame is one server-sent event.
type frame struct {
	id, event string
	data      []byte
}

// maxFrame bounds one server-sent event, in bytes.
const maxFrame = 2 << 20

// reconnects bounds how often in a row a broken stream is opened again without an event in between.
const reconnects = 30

// follow delivers a task's events to fn, each once, until the task has ended or fn returns an error. A broken stream is
// opened again behind the last event.
func (r remote) follow(ctx context.Context, id string, fn func(frame) error) error {
	return r.followPath(ctx, "/tasks/"+url.PathEscape(id)+"/events", "task "+id, func(f frame) error {
		if f.event == "end" {
			return errLast
		}
		return fn(f)
	})
}

// errLast is what a reader of a stream returns for its last event.
var errLast = errors.New("nothing follows")

// followPath delivers the events of the stream at path, of what, to fn, each once, until fn returns errLast, which is no error, or another
// one, or the server says that nothing follows. A broken stream is opened again behind the last event.
func (r remote) followPath(ctx context.Context, path, what string, fn func(frame) error) error {
	last := ""
	for failures := 0; ; failures++ {
		before := last
		ended, err := r.stream(ctx, path, &last, fn)
		var refused *refusedError
		switch {
		case ended:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &refused):
			return err
		}
		if last != before {
			failures = 0
		}
		if failures >= reconnects {
			return fmt.Errorf("the stream of %s broke %d times in a row: %w", what, failures, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// refusedError is an answer or a reader that another try does not change.
type refusedError struct {
	error
	code string // of the answer
}

func (e *refusedError) Unwrap() error { return e.error }

func (r remote) stream(ctx context.Context, path string, last *string, fn func(frame) error) (ended bool, err error) {
	header := map[string]string{"Accept": "text/event-stream"}
	if *last != "" {
		header["Last-Event-ID"] = *last
	}
	res, err := r.send(ctx, http.MethodGet, path, header, nil)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNoContent {
		return true, nil
	}
	if res.StatusCode != http.StatusOK {
		var answer envelope
		if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&answer); err != nil || answer.Error == nil {
			return false, fmt.Errorf("%s answered %s", r.URL, res.Status)
		}
		if res.StatusCode >= http.StatusInternalServerError {
			return false, answer.err()
		}
		return false, &refusedError{answer.err(), answer.Error.Code}
	}
	err = readFrames(res.Body, func(f frame) error {
		if f.id != "" {
			*last = f.id
		}
		if err := fn(f); err != nil {
			return &refusedError{err, ""}
		}
		return nil
	})
	if errors.Is(err, errLast) {
		return true, nil
	}
	return false, err
}

// placeForm is what places in streams look like: of a task a number, of an answer in a chat four of them, or that it has ended.
var placeForm = regexp.MustCompile(`^(?:[0-9]{1,20}(?:\.[0-9]{1,20}){0,3}|end)$`)

// readFrames parses server-sent events (WHATWG HTML, section 9.2) and calls fn with each one.
func readFrames(body io.Reader, fn func(frame) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 64<<10), maxFrame)
	var f frame
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "":
			if lines.Text() != "" {
				continue // a comment
			}
			if f.data != nil || f.event != "" {
				if err := fn(f); err != nil {
					return err
				}
			}
			f = frame{}
		case "id":
			if placeForm.MatchString(value) {
				f.id = value
			}
		case "event":
			f.event = value
		case "data":
			if f.data != nil {
				f.data = append(f.data, '\n')
			}
			f.data = append(f.data, value...)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
