package callback

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// Plan plans a batch as the feed would hand it out.
func (p *Planner) Plan(ctx context.Context, batch ...events.Event) error { return p.plan(ctx, batch) }

// Round claims once, tries what it got, and returns how many tries there were.
func (r *Runner) Round(ctx context.Context) (int, error) {
	jobs, claim, err := r.claim(ctx, r.cfg.Senders)
	var all sync.WaitGroup
	for _, job := range jobs {
		all.Go(func() { r.deliver(ctx, job, claim) })
	}
	all.Wait()
	return len(jobs), err
}

// SweepOnce does one sweep.
func (r *Runner) SweepOnce(ctx context.Context) error { return r.sweep(ctx) }

// Close ends what Round keeps open.
func (r *Runner) Close() { r.sender.close() }

// Uncheck takes away the check in dial: the negative control of the tests on addresses.
func (r *Runner) Uncheck() { r.sender.dialer.unchecked = true }

// DialWith replaces how an address is dialled that passed the checks. The dialer has the last check in it.
func (r *Runner) DialWith(dial func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error)) {
	r.sender.dialer.dial = dial
}

// ReachOf says what kind of address a text is.
func ReachOf(text string) string { return string(reachOf(netip.MustParseAddr(text))) }

// Backoff is backoff with a random number of which the part is given.
func Backoff(tries int, asked time.Duration, part float64) time.Duration {
	return backoff(tries, asked, func(n time.Duration) time.Duration { return time.Duration(float64(n) * part) })
}

// RetryAfter is retryAfter.
func RetryAfter(text string, now time.Time) time.Duration { return retryAfter(text, now) }
