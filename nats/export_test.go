package nats

import "time"

// Unfence makes Append ignore what it is to follow. Negative controls break with it what the fence guards.
func Unfence(l *Log) { l.unfenced = true }

// Mute ends a subscriber's heartbeats. Negative controls break with it what they guard.
func Mute(s *Subscriber) { s.beats.close() }

// ParsePlace is for the fuzz test.
func ParsePlace(reply string) (streamSeq, consumerSeq, deliveries, pending uint64, err error) {
	p, err := parsePlace(reply)
	return p.streamSeq, p.consumerSeq, p.deliveries, p.pending, err
}

// Audit makes a feed compare its bookkeeping with the broker's more often.
func Audit(f *Feed, every time.Duration) { f.audit = every }
