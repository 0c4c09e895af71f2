package webhook

import "sync/atomic"

// Stats says what a Sender has done since it was made. Apart from Occurred and Canceled, an event counts once for each URL, unless it was
// dropped before it was in a webhook.
type Stats struct {
	Occurred uint64 // events that came
	Canceled uint64 // events that were not told because one took the other back
	Sent     uint64 // events in webhooks that were answered with 2xx
	Dropped  uint64 // events that there was no room for, that no webhook tells of, or that were left at the end
	Expired  uint64 // events in webhooks that were given up after 5 minutes
	Failures uint64 // posts that were not answered with 2xx
}

type counters struct {
	occurred, canceled, sent, dropped, expired, failures atomic.Uint64
}

// Stats returns the counts so far.
func (s *Sender) Stats() Stats {
	return Stats{
		Occurred: s.stats.occurred.Load(), Canceled: s.stats.canceled.Load(), Sent: s.stats.sent.Load(),
		Dropped: s.stats.dropped.Load(), Expired: s.stats.expired.Load(), Failures: s.stats.failures.Load(),
	}
}
