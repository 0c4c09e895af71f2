package notify

import (
	"sync/atomic"
	"time"
)

// Stats says what a Notifier has done since it was made.
type Stats struct {
	Sent      uint64        // messages that the sender accepted
	Retried   uint64        // requests and lookups that failed and were made again
	Reduced   uint64        // messages that went out as a bare reference because the sender refused them
	Refused   uint64        // messages that the sender refused for good, none of them the end of a task
	Lost      uint64        // ends of tasks that the sender refused for good even as a reference: alert on any
	Coalesced uint64        // progress reports that a newer one replaced
	Stale     uint64        // log events that were passed over because they were older than Config.MaxAge
	Dropped   uint64        // progress reports and pieces of text that were given up: too many, too large, their task over or not known
	Gaps      uint64        // pieces of text that were left out from the middle of what waited
	Lag       time.Duration // age of the oldest log event that is not sent yet; 0 while the notifier waits for events
}

type counters struct {
	sent, retried, reduced, refused, lost, stale, coalesced, dropped, gaps atomic.Uint64
	oldest                                                                 atomic.Int64 // Unix ns of the first event of the batch in work, or 0
}

func (c *counters) read() Stats {
	s := Stats{
		Sent: c.sent.Load(), Retried: c.retried.Load(), Reduced: c.reduced.Load(), Refused: c.refused.Load(),
		Lost: c.lost.Load(), Stale: c.stale.Load(), Coalesced: c.coalesced.Load(), Dropped: c.dropped.Load(), Gaps: c.gaps.Load(),
	}
	if oldest := c.oldest.Load(); oldest != 0 {
		s.Lag = max(0, time.Since(time.Unix(0, oldest)))
	}
	return s
}
