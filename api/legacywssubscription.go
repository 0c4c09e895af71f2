package api

import (
	"context"
	"errors"
	"slices"

	"github.com/coder/websocket"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

const scopeUser = "user"

// subscription is one target that a socket tells of. It has a reader of the News, which is in this process: the broker knows nothing of it.
type subscription struct {
	socketTarget
	task   task.Task // where it is to one
	ctx    context.Context
	cancel context.CancelCauseFunc // a fault is told to the client
	done   chan struct{}           // closed once nothing of it will be sent any more
}

// errUnsubscribed ends a subscription that the client wants no more.
var errUnsubscribed = errors.New("unsubscribed")

// subscribe begins to tell the client of m's target. Only the reader of the connection calls it.
func (c *socket) subscribe(m socketRequest) error {
	p, reach, why, err := c.s.reachesNow(c.open, c.p.Tenant)
	if why != "" {
		c.end(ended(websocket.StatusPolicyViolation, fault.Unauthorized, why))
	}
	if why != "" || err != nil {
		return err
	}
	if err := c.room(m.socketTarget); err != nil {
		return err
	}
	sub := &subscription{socketTarget: m.socketTarget, done: make(chan struct{})}
	if m.Scope == scopeOrg && reach < auth.Tenant {
		return fault.New(fault.Forbidden, "scope org is for teachers and admins: ask for scope user")
	}
	if m.TaskID != "" {
		if sub.task, err = c.s.readableTo(c.open, p, reach, m.TaskID); err != nil {
			return err
		}
		if !c.kinds.has(sub.task.Kind) {
			return fault.InvalidField("task_id", "is of kind %s: this WebSocket tells of %s", sub.task.Kind, c.kinds)
		}
	}
	return c.begin(sub, m.After)
}

// room returns nil when there may be one more subscription, to target.
func (c *socket) room(target socketTarget) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, has := c.subs[target]; has {
		return fault.New(fault.Conflict, "this connection has that subscription")
	}
	if len(c.subs) >= socketSubs {
		return fault.New(fault.Conflict, "this connection has %d subscriptions, as many as one may have", socketSubs)
	}
	return nil
}

// begin opens sub's reader behind a place in the log, which is now where after is nil, and confirms it before the first event.
func (c *socket) begin(sub *subscription, after *uint64) error {
	if after == nil {
		head, err := c.s.cfg.News.Head(c.open)
		if err != nil {
			return err
		}
		after = &head
	}
	sub.ctx, sub.cancel = context.WithCancelCause(c.open)
	var live <-chan events.Event
	var reason func() error
	var err error
	if sub.TaskID != "" { // with what is written as it is written
		live, err = c.s.cfg.Tasks.Follow(sub.ctx, c.p.Tenant, sub.TaskID, *after)
		reason = func() error { return fault.New(fault.Unavailable, "the task cannot be followed any more") }
	} else {
		live, reason, err = c.s.cfg.News.Tenant(sub.ctx, c.p.Tenant, *after)
	}
	if err != nil {
		sub.cancel(errUnsubscribed)
		return newsFault(err)
	}
	c.mu.Lock()
	c.subs[sub.socketTarget] = sub
	c.mu.Unlock()
	c.push(c.open, socketAnswer{Type: typeSubscribed, socketTarget: sub.socketTarget, Seq: after})
	c.pumps.Go(func() { c.pump(sub, live, reason) })
	return nil
}

// newsFault returns what the client is told of what is wrong with its place in the log.
func newsFault(err error) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "the log does not hold all events after that place any more: read how things stand, and subscribe without after")
	}
	return err
}

// pump sends what is told of live until sub ends, and the client why, unless it knows.
func (c *socket) pump(sub *subscription, live <-chan events.Event, reason func() error) {
	defer close(sub.done)
	c.relay(sub, live)
	closed := sub.ctx.Err() == nil
	letGo(func() { sub.cancel(errUnsubscribed) }, live)
	c.mu.Lock()
	delete(c.subs, sub.socketTarget)
	c.mu.Unlock()
	why := context.Cause(sub.ctx)
	if closed {
		if why = newsFault(reason()); !fault.Is(why, fault.NotFound) {
			c.end(ended(websocket.StatusTryAgainLater, fault.Unavailable, "the news ended: connect again, and go on behind the last event"))
			return
		}
	}
	var known *fault.Error
	if errors.As(why, &known) && c.open.Err() == nil {
		c.push(c.open, errorAnswer(sub.socketTarget, known))
	}
}

// relay returns when live is closed or sub's context ends.
func (c *socket) relay(sub *subscription, live <-chan events.Event) {
	for {
		select {
		case e, open := <-live:
			if !open {
				return
			}
			told, err := c.tells(sub, e)
			if err != nil {
				c.end(ended(websocket.StatusTryAgainLater, fault.Unavailable, "nobody can say whose tasks these are: connect again, and go on behind the last event"))
				return
			}
			if event := eventAnswer(e); told && !c.push(sub.ctx, socketAnswer{Type: typeEvent, socketTarget: sub.socketTarget, Event: &event}) {
				return
			}
		case <-sub.ctx.Done():
			return
		}
	}
}

// tells reports whether e is what sub is to.
func (c *socket) tells(sub *subscription, e events.Event) (bool, error) {
	if sub.TaskID != "" {
		return e.Task == sub.TaskID, nil
	}
	found, err := c.s.owners.about(sub.ctx, c.s.cfg.Tasks, e)
	return err == nil && c.kinds.has(found.kind) && (sub.Scope == scopeOrg && !found.private || found.owner == c.p.UserID), err
}

// unsubscribe ends a subscription. None of its events follows the confirmation.
func (c *socket) unsubscribe(target socketTarget) error {
	c.mu.Lock()
	sub := c.subs[target]
	c.mu.Unlock()
	if sub == nil {
		return fault.New(fault.NotFound, "this connection has no such subscription")
	}
	sub.cancel(errUnsubscribed)
	<-sub.done
	c.push(c.open, socketAnswer{Type: typeUnsubscribed, socketTarget: target})
	return nil
}

// check ends what the client may not read any more. What the directory decides it asks only where shared says so. That nobody can say leaves
// it as it was.
func (c *socket) check(shared bool) {
	p, reach, why, err := c.s.reachesNow(c.open, c.p.Tenant)
	if why != "" {
		c.end(ended(websocket.StatusPolicyViolation, fault.Unauthorized, why))
	}
	if why != "" || err != nil || reach >= auth.Tenant {
		return
	}
	c.mu.Lock()
	var foreign []*subscription
	for _, sub := range c.subs {
		switch {
		case sub.Scope == scopeOrg:
			sub.cancel(fault.New(fault.Forbidden, notAnyMore))
		case sub.TaskID != "" && sub.task.UserID != p.UserID:
			foreign = append(foreign, sub)
		}
	}
	c.mu.Unlock()
	if shared && len(foreign) > 0 {
		c.checkShared(p, reach, foreign)
	}
}

// checkShared ends those of foreign that are shown no more. It asks once for all that are shared, and by itself only for what is not among these.
func (c *socket) checkShared(p auth.Principal, reach auth.Reach, foreign []*subscription) {
	readable, err := c.s.cfg.Sharing.SharedTasks(c.open, p)
	if err != nil {
		return
	}
	for _, sub := range foreign {
		if reach >= auth.Shared && slices.Contains(readable, sub.TaskID) {
			continue
		}
		if may, err := c.s.reads(c.open, p, reach, sub.task); err == nil && !may {
			sub.cancel(fault.New(fault.Forbidden, notAnyMore))
		}
	}
}
