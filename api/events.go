package api

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// defaultEvents is the size of a page of a history when the client asks for none.
const defaultEvents = 100

// GetTaskEvents implements StrictServerInterface.
func (s *Server) GetTaskEvents(ctx context.Context, r GetTaskEventsRequestObject) (GetTaskEventsResponseObject, error) {
	p, t, err := s.readable(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if callOf(ctx).stream {
		return s.openStream(ctx, p, t, r.Params)
	}
	limit := r.Params.Limit
	if limit == 0 {
		limit = defaultEvents
	}
	history, err := s.cfg.Tasks.History(ctx, p.Tenant, t.ID, r.Params.After, limit+1)
	if err != nil {
		return nil, err
	}
	var page EventPage
	if len(history) > limit {
		history = history[:limit]
		page.Next = history[limit-1].Seq
	}
	page.Events = make([]Event, len(history))
	for i, e := range history {
		page.Events[i] = eventAnswer(e)
	}
	return GetTaskEvents200JSONResponse(success(ctx, page, "ok")), nil
}

func eventAnswer(e events.Event) Event {
	return Event{Seq: e.Seq, ID: e.ID, Type: string(e.Type), Source: e.Source, Time: e.Time, TaskID: e.Task, Data: withoutRefused(e)}
}

// withoutRefused returns e's body without the answers that were refused: a history may be read by students, and a stream has no room for them.
// The task has them.
func withoutRefused(e events.Event) json.RawMessage {
	if !bytes.Contains(e.Data, []byte(`"refused"`)) || e.Type != events.TypeRetrying && e.Type != events.TypeWaiting && e.Type != events.TypeFailed {
		return e.Data
	}
	var body map[string]json.RawMessage
	if json.Unmarshal(e.Data, &body) != nil {
		return e.Data
	}
	delete(body, "refused")
	data, err := events.Marshal(body)
	if err != nil {
		return e.Data
	}
	return data
}

// resumeAfter returns the sequence behind which a stream begins, and whether a client that lost its stream asks.
func resumeAfter(q GetTaskEventsParams) (after uint64, resumed bool, err error) {
	if q.LastEventID == "" {
		return q.After, false, nil
	}
	after, err = strconv.ParseUint(q.LastEventID, 10, 64)
	if err != nil {
		return 0, false, fault.InvalidField("Last-Event-ID", "is no log sequence")
	}
	return after, true, nil
}
