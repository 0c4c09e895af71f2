package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

const (
	argTimeout  = "timeout_seconds"
	watchTime   = 30 // seconds, when a call says nothing
	maxWatch    = 60
	progressGap = 200 * time.Millisecond // between two notifications about the same attempt
)

// watched is the answer of watch_task.
type watched struct {
	Finished bool            `json:"finished"`
	Task     json.RawMessage `json:"task"`
	Hint     string          `json:"hint,omitempty"`
}

// watch follows a task's stream of events until the task ends or the time is over, tells the client of progress, and reads the task.
func watch(ctx context.Context, s *Server, call *sdk.CallToolRequest, args arguments) (any, error) {
	seconds := watchTime
	if given, ok := args[argTimeout]; ok {
		if err := json.Unmarshal(given, &seconds); err != nil || seconds < 1 || seconds > maxWatch {
			return nil, fault.InvalidField(argTimeout, "must be a whole number of 1 to %d", maxWatch)
		}
	}
	ids, err := wordsOf("id", args["id"])
	if err != nil || len(ids) != 1 || ids[0] == "" {
		return nil, fault.InvalidField("id", "must be one text that is not empty")
	}
	path := "/tasks/" + segment(ids[0])
	limited, stop := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
	defer stop()
	if err := s.follow(limited, stop, call, path); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	found, err := s.ask(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	var state struct {
		State task.State `json:"state"`
	}
	if err := json.Unmarshal(found, &state); err != nil {
		return nil, err
	}
	out := watched{Finished: state.State.Terminal(), Task: found}
	if !out.Finished {
		out.Hint = "the task is not finished: call watch_task again"
	}
	return out, nil
}

// follow reads a task's events until the last one, or until ctx ends, which is no error. It calls stop when it has seen the last.
func (s *Server) follow(ctx context.Context, stop context.CancelFunc, call *sdk.CallToolRequest, path string) error {
	in, err := s.open(ctx, request{method: http.MethodGet, path: path + "/events", header: http.Header{"Accept": {"text/event-stream"}}})
	if err != nil {
		return err
	}
	t := teller{ctx: ctx, session: call.Session, token: call.Params.GetProgressToken()}
	w := &streamed{recorder: recorder{header: http.Header{}}, frame: func(event string, data []byte) {
		if event == "end" {
			stop()
			return
		}
		t.tell(event, data)
	}}
	s.cfg.API.ServeHTTP(w, in)
	if w.status == http.StatusOK || w.status == http.StatusNoContent || ctx.Err() != nil && w.status == 0 {
		return nil
	}
	_, err = w.answer()
	return err
}

// teller turns events into notifications.
type teller struct {
	ctx     context.Context
	session *sdk.ServerSession
	token   any // nil: the client wants none
	last    float64
	at      time.Time
}

// tell notifies the client of an event. Progress only grows, as the protocol wants it, also where a new attempt begins anew.
func (t *teller) tell(event string, data []byte) {
	if t.token == nil {
		return
	}
	var e struct {
		Data struct {
			Percent float64 `json:"percent"`
			Message string  `json:"message"`
		} `json:"data"`
	}
	if json.Unmarshal(data, &e) != nil {
		return
	}
	note := &sdk.ProgressNotificationParams{ProgressToken: t.token, Total: 100, Message: event}
	switch {
	case event == string(events.TypeText):
		return
	case event == string(events.TypeProgress):
		if e.Data.Percent <= t.last || time.Since(t.at) < progressGap && e.Data.Percent < 100 {
			return
		}
		note.Progress = min(e.Data.Percent, 100)
		if e.Data.Message != "" {
			note.Message = e.Data.Message
		}
	default:
		note.Progress = min(t.last+0.01, 100)
	}
	t.last, t.at = note.Progress, time.Now()
	_ = t.session.NotifyProgress(t.ctx, note) // a client that is gone ends ctx
}

// streamed hands on server-sent events as they come, and keeps what is none.
type streamed struct {
	recorder
	frame func(event string, data []byte)
	rest  []byte
}

// Flush implements http.Flusher.
func (w *streamed) Flush() {}

func (w *streamed) Write(data []byte) (int, error) {
	if w.header.Get("Content-Type") != "text/event-stream" {
		return w.recorder.Write(data)
	}
	w.WriteHeader(http.StatusOK)
	w.rest = append(w.rest, data...)
	if len(w.rest) > maxAnswer {
		return 0, errors.New("an event is too large")
	}
	for {
		frame, rest, whole := bytes.Cut(w.rest, []byte("\n\n"))
		if !whole {
			return len(data), nil
		}
		var event string
		var text []byte
		for line := range bytes.Lines(frame) {
			line = bytes.TrimRight(line, "\n")
			if name, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
				event = string(name)
			} else if value, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				text = value
			}
		}
		if event != "" {
			w.frame(event, text)
		}
		w.rest = bytes.Clone(rest)
	}
}
