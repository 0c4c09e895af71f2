package nats

import (
	"context"
	"errors"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// logState is where the log begins and ends, as its leader has it.
type logState struct {
	answer
	Created time.Time `json:"created"`
	State   struct {
		First uint64 `json:"first_seq"`
		Last  uint64 `json:"last_seq"`
	} `json:"state"`
}

func (f *Newsfeed) state(ctx context.Context) (s logState, err error) {
	err = ask(ctx, f.nc, "$JS.API.STREAM.INFO."+events.StreamEvents, nil, &s)
	return s, err
}

// page returns what the log has below a subject after a sequence, in order, at most limit messages, and whether there may be more. Where
// there is no more, it was all that was acknowledged before the call and all up to the feed's position. ErrHistoryGone when something
// after that sequence had left the log before it was read, or that sequence is not on the log.
func (f *Newsfeed) page(ctx context.Context, subject string, after uint64, limit int) (found []stored, more bool, err error) {
	position := f.at()
	err = readSubject(ctx, f.nc, events.StreamEvents, subject, after, limit, func(m stored) { found = append(found, m) })
	if err != nil && !errors.Is(err, errNoMessage) {
		return nil, false, broken(ctx, "read the log", err)
	}
	s, err := f.state(ctx) // asked behind the read: what had left the log before cannot have been read
	first, last := s.State.First, s.State.Last
	switch {
	case err != nil:
		return nil, false, broken(ctx, "read the log", err)
	case last < position:
		return nil, false, broken(ctx, "read the log", errShrunk)
	case after > 0 && (after+1 < first || after > last):
		return nil, false, fault.New(fault.NotFound, "events after %d, of %d to %d: %w", after, first, last, ErrHistoryGone)
	}
	return found, len(found) == limit, nil
}

// errShrunk is what a new leader looks like that has not caught up yet, or a log that lost its end.
var errShrunk = errors.New("the log ends before what was heard of it")

// patientShrunk is how often in a row it may look like that.
const patientShrunk = 5

// History returns at most limit events of a tenant behind a sequence, oldest first, and where to go on: behind the last of them or, when more
// is false, at the log's end as it was then. What cannot be decoded is passed over. The errors are those of Tenant.
func (f *Newsfeed) History(ctx context.Context, tenant string, after uint64, limit int) (found []events.Event, next uint64, more bool, err error) {
	if err := events.CheckToken("tenant", tenant); err != nil {
		return nil, 0, false, fault.New(fault.Invalid, "read the log: %w", err)
	}
	end, err := f.Head(ctx) // asked before the read: what is between is in the page
	if err != nil {
		return nil, 0, false, err
	}
	page, more, err := f.page(ctx, events.Subject(tenant, "*"), after, min(max(limit, 1), maxHistory))
	if err != nil {
		return nil, 0, false, err
	}
	next = max(after, end)
	for _, m := range page {
		if e, err := decode(m.Header, m.Data, m.Seq); err == nil {
			found = append(found, e)
		}
		if next = max(next, m.Seq); more {
			next = m.Seq
		}
	}
	return found, next, more, nil
}

// maxHistory bounds a page of History.
const maxHistory = 1000

// Head returns the sequence of the log's last event. Unavailable, Timeout.
func (f *Newsfeed) Head(ctx context.Context) (uint64, error) {
	s, err := f.state(ctx)
	return s.State.Last, broken(ctx, "read the log", err)
}

func (f *Newsfeed) at() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.position
}

// catchUp passes on what the log has and the feed missed.
func (f *Newsfeed) catchUp(ctx context.Context) error {
	s, err := f.state(ctx)
	if err != nil {
		return err
	}
	position, err := f.meet(s)
	for err == nil && position < s.State.Last {
		var found []stored
		var more bool
		if found, more, err = f.page(ctx, events.AllEvents, position, newsBatch); errors.Is(err, ErrHistoryGone) {
			f.skip(s.State.Last) // each finds out by itself what it misses
			return nil
		}
		for _, m := range found {
			f.pass(m)
			position = m.Seq
		}
		if err == nil && !more { // what else was there was deleted
			position = max(position, s.State.Last)
			f.move(position)
		}
	}
	return err
}

func (f *Newsfeed) move(to uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.position = max(f.position, to)
}

// meet compares the feed with the log, and returns from where the feed is to read on for all readers.
func (f *Newsfeed) meet(s logState) (position uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	end := s.State.Last
	shrunk := f.running && f.made.Equal(s.Created) && end < f.position
	if !shrunk {
		f.shrunk = 0
	} else if f.shrunk++; f.shrunk < patientShrunk {
		return 0, errShrunk
	}
	switch {
	case !f.running:
		f.running, f.position, f.made = true, end, s.Created
		close(f.ready)
	case shrunk, !f.made.Equal(s.Created):
		f.position, f.made, f.shrunk = end, s.Created, 0
		f.each(func(r *newsReader) { r.end(fault.New(fault.NotFound, "the log was replaced: %w", ErrHistoryGone)) })
	case f.blind, len(f.readers) == 0:
		f.position = max(f.position, end)
	case end > f.position+newsGap:
		f.skipLocked(end)
	}
	return f.position, nil
}

// skip moves on to a place in the log, and leaves it to each reader to read what is before it.
func (f *Newsfeed) skip(to uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.skipLocked(to)
}

func (f *Newsfeed) skipLocked(to uint64) {
	from := f.position
	f.position = max(from, to)
	f.each(func(r *newsReader) { r.leave(from) })
}
