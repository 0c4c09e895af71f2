package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

const (
	// frameTime is how long a client may take to accept one frame.
	frameTime = 10 * time.Second
	// retryDelay is how long a client is told to wait before it connects again, more or less by a half: those of a server that stops do not all
	// come back at once.
	retryDelay = 2 * time.Second
	// proofEvery is how often a stream asks whether its client may still read: what is revoked ends within a second.
	proofEvery = time.Second
	// sharedEvery is how often it also asks the directory, where that decides: in every so many of those times.
	sharedEvery = 5
	// streamPage is how many events of a finished task are in memory at once.
	streamPage = 100
)

// streamAnswer writes server-sent events for as long as there are any.
type streamAnswer func(w http.ResponseWriter) error

// VisitGetTaskEventsResponse implements GetTaskEventsResponseObject.
func (a streamAnswer) VisitGetTaskEventsResponse(w http.ResponseWriter) error { return a(w) }

// openStream answers with a stream of t's events, or with what keeps it from being opened.
func (s *Server) openStream(ctx context.Context, p auth.Principal, t task.Task, q GetTaskEventsParams) (GetTaskEventsResponseObject, error) {
	after, resumed, err := resumeAfter(q)
	if err != nil {
		return nil, err
	}
	if resumed && t.State.Terminal() && after >= t.Seq {
		return GetTaskEvents204Response{}, nil
	}
	if err := s.streams.acquire(p.UserID); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var live <-chan events.Event // nil when nothing can follow
	if !t.State.Terminal() {
		if live, err = s.cfg.Tasks.Follow(ctx, t.Tenant, t.ID, after); err != nil {
			cancel()
			s.streams.release(p.UserID)
			return nil, err
		}
	}
	return streamAnswer(func(w http.ResponseWriter) error {
		defer s.streams.release(p.UserID)
		defer letGo(cancel, live)
		f := &frames{out: w, control: callOf(ctx).control}
		err := f.open()
		switch {
		case err != nil:
		case live == nil:
			err = s.streamFinished(ctx, f, t, after)
		default:
			err = s.streamLive(ctx, f, p, t, live)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			s.logger.DebugContext(ctx, "stream broke off", "request_id", callOf(ctx).id, "task_id", t.ID, "error", err)
		}
		return nil
	}), nil
}

// letGo ends what Follow started, and waits for it.
func letGo(cancel context.CancelFunc, live <-chan events.Event) {
	cancel()
	if live == nil {
		return
	}
	for range live {
	}
}

// streamFinished writes the history up to t's last event. It needs nothing live, so that it serves archived tasks, too.
func (s *Server) streamFinished(ctx context.Context, f *frames, t task.Task, after uint64) error {
	asked := time.Now()
	for after < t.Seq {
		page, err := s.cfg.Tasks.History(ctx, t.Tenant, t.ID, after, streamPage)
		if err != nil || len(page) == 0 {
			return errors.Join(err, f.hint("try again"))
		}
		for _, e := range page {
			if e.Seq > t.Seq {
				break
			}
			if err := f.event(e); err != nil {
				return err
			}
			if time.Since(asked) < proofEvery {
				continue
			}
			if why := s.mayNotRead(ctx, t, true); why != "" {
				return f.hint(why)
			}
			asked = time.Now()
		}
		after = page[len(page)-1].Seq
	}
	return f.end(t.State, t.Seq)
}

// errLiveEnded says that a source of live events has nothing more to say.
var errLiveEnded = errors.New("the live events ended")

// streamLive writes what Follow delivers until the task ends. An ending that is followed by a replay on record ends nothing:
// only one behind t, which was read before, does.
func (s *Server) streamLive(ctx context.Context, f *frames, p auth.Principal, t task.Task, live <-chan events.Event) error {
	mayNot := func(ask int) string { return s.mayNotRead(ctx, t, ask%sharedEvery == 0) }
	err := s.relay(ctx, f, p, live, mayNot, func(e events.Event) (over bool, err error) {
		if err := f.event(e); err != nil {
			return false, err
		}
		if e.Type.Terminal() && e.Seq > t.Seq {
			return true, f.end(stateAfter(e.Type), e.Seq)
		}
		return false, nil
	})
	if errors.Is(err, errLiveEnded) {
		return errors.Join(ctx.Err(), f.hint("try again"))
	}
	return err
}

// relay gives live events to take until that says that it is over, and keeps the stream alive in between. The stream ends with the token that
// opened it, with the server, and when mayNot, which is asked each second and told how often, says why; errLiveEnded when live is closed.
func (s *Server) relay(
	ctx context.Context, f *frames, p auth.Principal, live <-chan events.Event, mayNot func(ask int) string, take func(events.Event) (over bool, err error),
) error {
	heartbeat := time.NewTicker(s.cfg.Heartbeat)
	defer heartbeat.Stop()
	expired, stop := expiry(p)
	defer stop()
	proof := time.NewTicker(proofEvery)
	defer proof.Stop()
	for proofs := 1; ; {
		select {
		case e, open := <-live:
			if !open {
				return errLiveEnded
			}
			if over, err := take(e); over || err != nil {
				return err
			}
			heartbeat.Reset(s.cfg.Heartbeat)
		case <-heartbeat.C:
			if err := f.comment("heartbeat"); err != nil {
				return err
			}
		case <-proof.C:
			if why := mayNot(proofs); why != "" {
				return f.hint(why)
			}
			proofs++
		case <-expired:
			return f.hint("the token has expired")
		case <-s.stopping:
			return f.hint("the server stops")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// expiry returns a channel that delivers when p's token ends, never when it does not.
func expiry(p auth.Principal) (<-chan time.Time, func() bool) {
	if p.Expires.IsZero() {
		return nil, func() bool { return true }
	}
	timer := time.NewTimer(time.Until(p.Expires))
	return timer.C, timer.Stop
}

func stateAfter(t events.Type) task.State {
	switch t {
	case events.TypeCompleted:
		return task.Completed
	case events.TypeCancelled:
		return task.Cancelled
	}
	return task.Failed
}

// ndjson is the content type of frames that are lines of JSON.
const ndjson = "application/x-ndjson"

// frames writes server-sent events, or the same as lines of JSON. Each write has a deadline, so that a client that stopped reading is let go.
type frames struct {
	out     http.ResponseWriter
	control *http.ResponseController
	buf     bytes.Buffer
	lines   bool   // of JSON, each with the name of the event, its id and its data
	id      string // of the next frame of data; empty for none
}

// line is a frame that is a line of JSON.
type line struct {
	Event string `json:"event"`
	ID    string `json:"id,omitempty"`
	Data  any    `json:"data,omitempty"`
}

// open sends the head of the answer, so that the client knows that it is connected.
func (f *frames) open() error {
	h := f.out.Header()
	h.Set("Content-Type", "text/event-stream")
	if f.lines {
		h.Set("Content-Type", ndjson)
	}
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	// A stream outlives the server's limits for reading a request and writing its answer; each frame has its own.
	_ = f.control.SetReadDeadline(time.Time{})
	f.out.WriteHeader(http.StatusOK)
	if f.lines {
		return f.send()
	}
	fmt.Fprintf(&f.buf, "retry: %d\n\n", retryIn().Milliseconds())
	return f.send()
}

func retryIn() time.Duration { return retryDelay/2 + rand.N(retryDelay) }

// event sends one entry of a history, with its sequence as id, or a progress report without one.
func (f *frames) event(e events.Event) error {
	if e.Seq > 0 {
		fmt.Fprintf(&f.buf, "id: %d\n", e.Seq)
	}
	return f.data(string(e.Type), eventAnswer(e))
}

func (f *frames) end(state task.State, seq uint64) error {
	return f.data("end", struct {
		State task.State `json:"state"`
		Seq   uint64     `json:"seq"`
	}{state, seq})
}

// data sends v in one line: its JSON has no line breaks.
func (f *frames) data(event string, v any) error {
	id := f.id
	f.id = ""
	if f.lines {
		return f.line(line{event, id, v})
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a frame: %w", err)
	}
	if id != "" {
		fmt.Fprintf(&f.buf, "id: %s\n", id)
	}
	fmt.Fprintf(&f.buf, "event: %s\ndata: %s\n\n", event, text)
	return f.send()
}

func (f *frames) line(l line) error {
	if err := json.NewEncoder(&f.buf).Encode(l); err != nil {
		return fmt.Errorf("encode a frame: %w", err)
	}
	return f.send()
}

func (f *frames) comment(text string) error {
	if f.lines {
		return f.line(line{Event: text})
	}
	fmt.Fprintf(&f.buf, ": %s\n\n", text)
	return f.send()
}

// hint asks the client to connect again, and says why.
func (f *frames) hint(why string) error {
	if f.lines {
		return f.line(line{Event: "retry", Data: map[string]any{"after_ms": retryIn().Milliseconds(), "reason": why}})
	}
	fmt.Fprintf(&f.buf, "retry: %d\n: %s\n\n", retryIn().Milliseconds(), why)
	return f.send()
}

func (f *frames) send() error {
	if err := f.control.SetWriteDeadline(time.Now().Add(frameTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	defer f.buf.Reset()
	if _, err := f.out.Write(f.buf.Bytes()); err != nil {
		return err
	}
	return f.control.Flush()
}

// slots bounds how many streams are open: most, and of one user an eighth of them, so that nobody keeps the others from following their
// tasks. It is safe for concurrent use.
type slots struct {
	most int

	mu     sync.Mutex
	open   int
	openBy map[string]int // by user
}

func newSlots(most int) *slots { return &slots{most: most, openBy: map[string]int{}} }

// acquire takes a slot for a user, who releases it, or says why there is none.
func (s *slots) acquire(user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	each := max(s.most/8, 1)
	switch {
	case s.open >= s.most:
		return fault.After(5*time.Second, "%d streams are open, as many as one server holds", s.most)
	case s.openBy[user] >= each:
		e := fault.New(fault.RateLimited, "you have %d streams open, as many as one server holds for one user", each)
		e.RetryAfter = 5 * time.Second
		return e
	}
	s.open++
	s.openBy[user]++
	return nil
}

func (s *slots) release(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.openBy[user]--; s.openBy[user] == 0 {
		delete(s.openBy, user)
	}
}
