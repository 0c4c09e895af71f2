package dispatch

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// job is a call of the broker. What it returns is run by the loop.
type job struct {
	sort jobSort
	do   func(context.Context) func(now time.Time)
}

type jobSort int

const (
	releases jobSort = iota
	chores
)

// start hands a job to those who do them. There is always room: the loop keeps to the bounds.
func (d *Dispatcher) start(sort jobSort, do func(context.Context) func(time.Time)) {
	d.flying[sort]++
	d.jobs <- job{sort, do}
}

// loop turns until ctx ends, and returns when nothing is under way any more.
func (d *Dispatcher) loop(ctx context.Context) {
	var doers sync.WaitGroup
	for range d.cfg.Releases + d.cfg.Chores {
		doers.Go(func() { d.work(ctx) })
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		var what shown
		var result func(time.Time)
		select {
		case what = <-d.shows:
		case result = <-d.results:
		case <-d.wake:
		case <-timer.C:
		case <-ctx.Done():
			continue
		}
		timer.Reset(d.turn(time.Now(), what, result))
	}
	doers.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leading {
		d.setLeading(false, time.Now())
	}
}

// work does jobs until ctx ends.
func (d *Dispatcher) work(ctx context.Context) {
	for {
		var j job
		select {
		case j = <-d.jobs:
		case <-ctx.Done():
			return
		}
		bounded, cancel := context.WithTimeout(ctx, d.cfg.Patience)
		done := j.do(bounded)
		cancel()
		result := func(now time.Time) {
			d.flying[j.sort]--
			done(now)
		}
		select {
		case d.results <- result:
		case <-ctx.Done():
			return
		}
	}
}

// maxDrain bounds how much a turn takes in before it acts.
const maxDrain = 512

// turn takes in what came, does what is to be done, and returns when to look again at the latest.
func (d *Dispatcher) turn(now time.Time, what shown, result func(time.Time)) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.take(what, now)
	if result != nil {
		d.gateStale = true
		result(now)
	}
	for range maxDrain {
		select {
		case what := <-d.shows:
			d.take(what, now)
			continue
		case result := <-d.results:
			d.gateStale = true
			result(now)
			continue
		default:
		}
		break
	}
	d.settle(now)
	d.lead(now)
	d.act(now)
	if d.leading {
		d.tell(now)
	}
	return d.rest(now)
}

// take takes in what the watch shows.
func (d *Dispatcher) take(what shown, now time.Time) {
	d.synced = d.synced || what.synced
	if what.event.ID == "" {
		return
	}
	d.gateStale, d.shownAt = true, now
	d.synced = d.synced || !d.told && !what.event.Time.Before(d.began)
	d.board.Apply(what.event, now)
}

// settle notices when the log has been read.
func (d *Dispatcher) settle(now time.Time) {
	if !d.synced && !d.told && !d.shownAt.IsZero() && now.Sub(d.shownAt) >= d.cfg.Settle {
		d.synced = true
	}
	if d.synced && !d.ready && d.board.Unread() == 0 {
		d.ready = true
		d.cfg.Logger.Info("the log has been read", "open_tasks", d.board.Open(), "took", now.Sub(d.began))
	}
}

// act starts what the board asks for.
func (d *Dispatcher) act(now time.Time) {
	for room := d.cfg.Chores - d.flying[chores]; room > 0 && len(d.again) > 0; room-- {
		d.chore(d.again[0])
		d.again = d.again[1:]
	}
	if room := d.cfg.Chores - d.flying[chores]; room > 0 {
		for _, w := range d.board.Work(now, room) {
			d.chore(w)
		}
	}
	if room := d.cfg.Releases - d.flying[releases]; room > 0 && d.leading && !now.Before(d.hold) {
		for _, r := range d.board.Next(now, room) {
			d.release(r)
		}
	}
}

// rest returns how long nothing is to be done unless something happens.
func (d *Dispatcher) rest(now time.Time) time.Duration {
	next := now.Add(leaseLook)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	sooner(d.board.Wake())
	if d.leading && d.gateStale {
		sooner(d.gateLooked.Add(gateEvery))
	}
	if d.hold.After(now) {
		sooner(d.hold)
	}
	return max(time.Millisecond, next.Sub(now))
}

// Bounds of the pause after the queue took nothing: it doubles from one to the other, with jitter.
const (
	firstHold = 50 * time.Millisecond
	longHold  = 5 * time.Second
)

// pause stops releasing for a while.
func (d *Dispatcher) pause(now time.Time) {
	bound := min(longHold, firstHold<<min(d.refusals, 10))
	d.refusals++
	d.hold = now.Add(bound/2 + rand.N(bound/2))
}
