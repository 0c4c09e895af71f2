package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// News is the one live view of the log that a process has, for all its readers. *nats.Newsfeed has it.
type News interface {
	// Tenant delivers a tenant's events behind a place in the log, each once, in order; math.MaxUint64 is what comes from now on. When news is
	// closed before ctx ends, reason says why: NotFound when events behind that place are not there any more.
	Tenant(ctx context.Context, tenant string, after uint64) (news <-chan events.Event, reason func() error, err error)
	// History returns at most limit events of a tenant behind a place in the log, oldest first, and where to go on: behind the last of them or,
	// where there are no more, at the log's end. NotFound as above.
	History(ctx context.Context, tenant string, after uint64, limit int) (found []events.Event, next uint64, more bool, err error)
	// Head returns the log's end.
	Head(ctx context.Context) (uint64, error)
}

const (
	scopeOrg = "org"
	// newsScan bounds how many of a tenant's events one page of a user's looks at.
	newsScan = 4 * 500
	// maxOwners is of how many tasks a server remembers whose they are. The others are looked up.
	maxOwners = 20_000
)

// GetEvents implements StrictServerInterface.
func (s *Server) GetEvents(ctx context.Context, r GetEventsRequestObject) (GetEventsResponseObject, error) {
	p, reach, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if r.Params.Scope == scopeOrg && reach < auth.Tenant {
		return nil, fault.New(fault.Forbidden, "scope=org is for teachers and admins: ask for scope=user")
	}
	told := func(e events.Event) (bool, error) {
		found, err := s.owners.about(ctx, s.cfg.Tasks, e)
		return found.owner == p.UserID || r.Params.Scope == scopeOrg && !found.private, err
	}
	if callOf(ctx).stream {
		return s.openNews(ctx, p, r.Params, told)
	}
	after := uint64(0)
	if r.Params.After != nil {
		after = *r.Params.After
	}
	page, err := s.newsPage(ctx, p.Tenant, after, r.Params.Limit, told)
	if err != nil {
		return nil, err
	}
	return GetEvents200JSONResponse(success(ctx, page, "ok")), nil
}

// newsPage returns the events behind after that are told.
func (s *Server) newsPage(ctx context.Context, tenant string, after uint64, limit int, told func(events.Event) (bool, error)) (NewsPage, error) {
	if limit == 0 {
		limit = defaultEvents
	}
	page := NewsPage{Events: []Event{}, Next: after, More: true}
	for seen := 0; page.More && len(page.Events) < limit && seen < newsScan; {
		found, next, more, err := s.cfg.News.History(ctx, tenant, page.Next, limit)
		if fault.Is(err, fault.NotFound) {
			head, err := s.cfg.News.Head(ctx)
			return NewsPage{Events: []Event{}, Next: head, Reset: true}, err
		}
		if err != nil {
			return NewsPage{}, err
		}
		page.Next, page.More = next, more
		seen += len(found)
		for i, e := range found {
			mine, err := told(e)
			if err != nil {
				return NewsPage{}, err
			}
			if !mine {
				continue
			}
			if page.Events = append(page.Events, eventAnswer(e)); len(page.Events) == limit && i < len(found)-1 {
				page.Next, page.More = e.Seq, true
				break
			}
		}
	}
	return page, nil
}

// newsAnswer writes server-sent events for as long as there are any.
type newsAnswer func(w http.ResponseWriter) error

// VisitGetEventsResponse implements GetEventsResponseObject.
func (a newsAnswer) VisitGetEventsResponse(w http.ResponseWriter) error { return a(w) }

// openNews answers with a stream of the events that are told.
func (s *Server) openNews(ctx context.Context, p auth.Principal, q GetEventsParams, told func(events.Event) (bool, error)) (GetEventsResponseObject, error) {
	after, err := newsAfter(q)
	if err != nil {
		return nil, err
	}
	head := after
	if after == math.MaxUint64 {
		if head, err = s.cfg.News.Head(ctx); err != nil {
			return nil, err
		}
		after = head
	}
	if err := s.streams.acquire(p.UserID); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	live, reason, err := s.cfg.News.Tenant(ctx, p.Tenant, after)
	gone := fault.Is(err, fault.NotFound)
	if gone {
		if head, err = s.cfg.News.Head(ctx); err == nil {
			live, reason, err = s.cfg.News.Tenant(ctx, p.Tenant, head)
		}
	}
	if err != nil {
		cancel()
		s.streams.release(p.UserID)
		return nil, err
	}
	return newsAnswer(func(w http.ResponseWriter) error {
		defer s.streams.release(p.UserID)
		defer letGo(cancel, live)
		f := &frames{out: w, control: callOf(ctx).control}
		err := f.open()
		if err == nil {
			err = f.place(gone, head)
		}
		if err == nil {
			err = s.streamNews(ctx, f, p, live, reason, q.Scope == scopeOrg, told)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			s.logger.DebugContext(ctx, "stream broke off", "request_id", callOf(ctx).id, "scope", q.Scope, "error", err)
		}
		return nil
	}), nil
}

// newsAfter returns the place behind which a stream begins, math.MaxUint64 for now.
func newsAfter(q GetEventsParams) (uint64, error) {
	if q.LastEventID == "" && q.After == nil {
		return math.MaxUint64, nil
	}
	if q.LastEventID == "" {
		return *q.After, nil
	}
	after, _, err := resumeAfter(GetTaskEventsParams{LastEventID: q.LastEventID})
	return after, err
}

// streamNews writes what is told of live until the client goes, its proof ends or the log is replaced.
func (s *Server) streamNews(ctx context.Context, f *frames, p auth.Principal, live <-chan events.Event, reason func() error, org bool, told func(events.Event) (bool, error)) error {
	mayNot := func(int) string {
		_, reach, why, err := s.reachesNow(ctx, p.Tenant)
		if err == nil && why == "" && org && reach < auth.Tenant {
			return notAnyMore
		}
		return why
	}
	err := s.relay(ctx, f, p, live, mayNot, func(e events.Event) (bool, error) {
		mine, err := told(e)
		if err != nil {
			return true, errors.Join(err, f.hint("try again"))
		}
		if !mine {
			return false, nil
		}
		return false, f.event(e)
	})
	if !errors.Is(err, errLiveEnded) {
		return err
	}
	if fault.Is(reason(), fault.NotFound) {
		if head, err := s.cfg.News.Head(ctx); err == nil {
			return f.place(true, head)
		}
	}
	return errors.Join(ctx.Err(), f.hint("try again"))
}

// place says where the stream is, with that as the id to come back with, and whether events before it are missing.
func (f *frames) place(reset bool, seq uint64) error {
	name := "ready"
	if reset {
		name = "reset"
	}
	fmt.Fprintf(&f.buf, "id: %d\n", seq)
	return f.data(name, struct {
		Seq uint64 `json:"seq"`
	}{seq})
}

// owners remembers of tasks what their events do not say. It is safe for concurrent use.
type owners struct {
	mu    sync.Mutex
	known map[string]about
}

// about is what tells whom an event concerns. It is empty when the task is not there any more.
type about struct {
	owner, kind string
	private     bool
}

// about returns what tells whom an event concerns.
func (o *owners) about(ctx context.Context, tasks Tasks, e events.Event) (about, error) {
	key := e.Tenant + "." + e.Task
	o.mu.Lock()
	found, ok := o.known[key]
	o.mu.Unlock()
	if ok {
		return found, nil
	}
	var queued events.Queued
	if e.Type == events.TypeQueued && json.Unmarshal(e.Data, &queued) == nil {
		found = about{queued.UserID, queued.Kind, queued.Private}
	} else {
		t, err := tasks.Get(ctx, e.Tenant, e.Task)
		if fault.Is(err, fault.NotFound) {
			return about{private: true}, nil // nobody knows whose it was
		}
		if err != nil {
			return about{}, err
		}
		found = about{t.UserID, t.Kind, t.Private}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known == nil || len(o.known) >= maxOwners {
		o.known = map[string]about{}
	}
	o.known[key] = found
	return found, nil
}
