package channels

import (
	"strconv"
	"time"
)

// tellCount tells the subscribers of ch how many they are, over all processes; those of a large channel only now and then. It returns what
// webhooks tell of, nil when it told nobody.
func (s *Server) tellCount(ch *channel, now time.Time) *Occurrence {
	if ch.total > countAtOnce && now.Sub(ch.countTold) < countEvery {
		ch.countPending = true
		s.view.counts[ch.name] = true
		return nil
	}
	ch.countPending, ch.countTold = false, now
	ch.tell(countFrame(ch))
	return &Occurrence{Kind: "subscription_count", Channel: ch.name, Count: ch.total}
}

func countFrame(ch *channel) []byte {
	return encode("pusher_internal:subscription_count", ch.name, object("subscription_count", strconv.Itoa(ch.total)), "")
}
