package nats

import (
	"time"

	"github.com/toolboxai/orchestrator/internal/dispatch"
)

// Unfence makes Append ignore what it is to follow. Negative controls break with it what the fence guards.
func Unfence(l *Log) { l.unfenced = true }

// UnfenceAudit makes entries follow anything. Negative controls break with it what the fence guards.
func UnfenceAudit(a *Audit) { a.unfenced = true }

// Hasty lets only few live pieces wait for a slow reader of a text.
func Hasty(l *Log) { l.textPending = 4 }

// Blind keeps readers of a text from the stream. Negative controls break with it what fills gaps.
func Blind(l *Log) { l.textBlind = true }

// Mute ends a subscriber's heartbeats. Negative controls break with it what they guard.
func Mute(s *Subscriber) { s.beats.close() }

// ParsePlace is for the fuzz test.
func ParsePlace(reply string) (streamSeq, consumerSeq, deliveries, pending uint64, err error) {
	p, err := parsePlace(reply)
	return p.streamSeq, p.consumerSeq, p.deliveries, p.pending, err
}

// AuditEvery makes a feed compare its bookkeeping with the broker's more often.
func AuditEvery(f *Feed, every time.Duration) { f.audit = every }

// Frail lets a refused batch fail all its members. Negative controls break with it what the fallback guards.
func Frail(l *Log) { l.commits.frail = true }

// Hold lets appends gather until release is called, which sends them, and returns how many have gathered.
func Hold(l *Log) (gathered func() int, release func()) { return l.commits.hold() }

// HoldQueue is Hold for dispatches.
func HoldQueue(q *Queue) (gathered func() int, release func()) { return q.commits.hold() }

func (c *committer) hold() (gathered func() int, release func()) {
	c.mu.Lock()
	c.under++
	c.mu.Unlock()
	return func() int { c.mu.Lock(); defer c.mu.Unlock(); return len(c.waiting) }, func() { c.ended() }
}

// Careless makes a lease hold on without a renewal. Negative controls break with it what the holder's own clock guards.
func Careless(l *Lease) { l.careless = true }

// OpenGate makes a gate hold nothing back but bursts.
func OpenGate(g *Gate) { g.gate.Store(&dispatch.Gate{}) }

// Put replaces what a gate has heard last.
func (g *Gate) Put(gate dispatch.Gate) { g.gate.Store(&gate) }
