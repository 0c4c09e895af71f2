package campaign

import (
	"context"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// batch is how many tasks of a page are acted on before the next page is read. Their ids stand in the document.
const batch = 100

// work is one campaign in the hands of one runner.
type work struct {
	*Runner
	doc      Campaign
	rev      uint64
	dirty    bool // doc differs from what is saved
	saved    time.Time
	followed time.Time
	next     time.Time // of the next act
}

// run goes on until the campaign has ended (nil), ctx ends or something fails.
func (w *work) run(ctx context.Context) error {
	for !w.doc.State.Ended() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.turn(ctx); err != nil {
			return err
		}
		if w.dirty && (w.doc.State.Ended() || time.Since(w.saved) >= saveEvery) {
			if err := w.save(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn does the one thing that is to be done now, or waits for it.
func (w *work) turn(ctx context.Context) error {
	c := &w.doc
	if c.State == Planned {
		at := now()
		c.StartedAt, c.State = &at, Running
		if c.Canary > 0 {
			c.State = Canary
		}
		return w.save(ctx)
	}
	if len(c.Place.Open) > 0 && time.Since(w.followed) >= followEvery {
		if err := w.follow(ctx); err != nil || c.State.Ended() {
			return err
		}
	}
	enough := c.Counts.Replayed >= c.Max || c.Place.Listed && c.Place.Next >= len(c.Place.Batch)
	canaries := c.State == Canary && (len(c.Canaries) >= c.Canary || enough)
	switch {
	case canaries && len(c.Place.Open) == 0:
		c.State, w.dirty = Running, true
		return nil
	case enough && len(c.Place.Open) == 0:
		w.finish(Done, "")
		return nil
	case canaries, enough, len(c.Place.Open) >= MaxOpen:
		return w.wait(ctx, w.followed.Add(followEvery))
	case c.Place.Next >= len(c.Place.Batch):
		return w.list(ctx)
	case time.Now().Before(w.next):
		return w.wait(ctx, w.next)
	}
	w.next = time.Now().Add(time.Minute / time.Duration(c.Rate))
	return w.act(ctx)
}

// wait waits until the given time, or until there is something to save.
func (w *work) wait(ctx context.Context, until time.Time) error {
	if save := w.saved.Add(saveEvery); w.dirty && save.Before(until) {
		until = save
	}
	select {
	case <-time.After(time.Until(until)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// list reads the next page and saves its ids before any of them is acted on.
func (w *work) list(ctx context.Context) error {
	c := &w.doc
	f := c.tasks()
	f.Cursor, f.Limit = c.Place.Cursor, min(batch, c.Max-c.Counts.Replayed)
	page, err := w.Tasks.List(ctx, f)
	if err != nil {
		return err
	}
	c.Place.Batch, c.Place.Next, c.Place.Cursor, c.Place.Listed = nil, 0, page.Next, page.Next == ""
	for _, t := range page.Tasks {
		c.Place.Batch = append(c.Place.Batch, t.ID)
	}
	w.count(func(*Counts) {})
	return w.save(ctx)
}

// count changes the counts and brings those that follow from others up to date.
func (w *work) count(change func(*Counts)) {
	c := &w.doc
	change(&c.Counts)
	known := c.Counts.handled() + len(c.Place.Batch) - c.Place.Next
	if c.Place.Listed {
		c.Counts.Matched = known
	}
	c.Counts.Matched = max(c.Counts.Matched, known)
	c.Counts.Remaining = c.Counts.Matched - c.Counts.handled()
	w.dirty = true
}

// finish ends the campaign and forgets where it was.
func (w *work) finish(state State, why string) {
	w.doc.end(state, why)
	w.forget()
	w.dirty = true
}

func (w *work) forget() {
	w.doc.Counts.Unfollowed += len(w.doc.Place.Open)
	w.doc.Place = Place{Saves: w.doc.Place.Saves}
}

// save writes the document. errTaken when another runner wrote it meanwhile. A campaign that a person ended stays so, with what was
// done until now.
func (w *work) save(ctx context.Context) error {
	before := w.doc.Place.Saves
	for range maxRaces {
		w.doc.Place.Saves = before + 1
		rev, err := w.Documents.Put(ctx, w.doc.documentKey(), w.doc, w.rev)
		if err == nil {
			w.rev, w.dirty, w.saved = rev, false, time.Now()
			return nil
		}
		w.doc.Place.Saves = before
		if !fault.Is(err, fault.Conflict) {
			return err
		}
		theirs, rev, err := w.Documents.Get(ctx, w.doc.documentKey())
		if err != nil {
			return err
		}
		if theirs.Place.Saves != before {
			return errTaken
		}
		if theirs.State.Ended() && !w.doc.State.Ended() {
			w.doc.State, w.doc.Why, w.doc.EndedAt = theirs.State, theirs.Why, theirs.EndedAt
			w.forget()
		}
		w.rev = rev
	}
	return fault.New(fault.Unavailable, "the document changes too fast")
}

// follow looks at how the replayed tasks ended.
func (w *work) follow(ctx context.Context) error {
	c := &w.doc
	w.followed = time.Now()
	ended := map[string]bool{}
	for chunk := range slices.Chunk(c.Place.Open, task.MaxPage) {
		ids := make([]string, len(chunk))
		replays := map[string]Following{}
		for i, f := range chunk {
			ids[i], replays[f.ID] = f.ID, f
		}
		page, err := w.Tasks.List(ctx, task.Filter{Tenant: c.Tenant, IDs: ids, Limit: task.MaxPage})
		if err != nil {
			return err
		}
		for _, t := range page.Tasks {
			f, ours := replays[t.ID]
			if !ours || t.Seq <= f.Seq {
				continue // the list has not heard of the replay yet
			}
			again := t.Replay == nil || t.Replay.Campaign != c.ID // somebody replayed what had failed
			if t.State.Terminal() || again {
				ended[t.ID] = true
				w.ended(t, t.State == task.Completed && !again)
			}
		}
	}
	kept := c.Place.Open[:0:0]
	for _, f := range c.Place.Open {
		switch {
		case ended[f.ID]:
		case time.Since(f.At) > FollowFor:
			w.count(func(n *Counts) { n.Unfollowed++ })
			w.spoil("task " + f.ID + " had not ended after " + FollowFor.String())
		default:
			kept = append(kept, f)
		}
	}
	c.Place.Open = kept
	if c.State.Ended() {
		w.forget()
	}
	return nil
}

// ended counts a replayed task.
func (w *work) ended(t task.Task, well bool) {
	if well {
		w.count(func(n *Counts) { n.Succeeded++ })
		return
	}
	w.count(func(n *Counts) { n.Failed++ })
	why := "task " + t.ID + " is " + string(t.State)
	if t.Failure != nil {
		why = "task " + t.ID + " failed again: " + string(t.Failure.Cause) + ": " + bounded(t.Failure.Error)
	}
	w.doc.LastError = why
	w.spoil(why)
}

// spoil fails the campaign when it is at its canaries.
func (w *work) spoil(why string) {
	if w.doc.State == Canary {
		w.doc.end(Failed, "canary: "+why)
		w.dirty = true
	}
}
