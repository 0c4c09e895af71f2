package channels

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// shards is over how many locks the channels are spread.
const shards = 64

// hub holds the channels: who is subscribed here, and how many are on each process.
type hub struct {
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu       sync.Mutex // held for moments, never while something is written or published
	channels map[string]*channel
}

// channel is there as long as somebody, anywhere, is subscribed or about to be.
type channel struct {
	name    string
	kind    kind
	subs    []*subscription // of this process
	parts   []part          // what each process says, this one included: a process counts what it said once it comes back over the Bus
	total   int             // of all parts
	members map[string]*member

	countTold    time.Time // when the subscribers were last told how many they are
	countPending bool
}

// part is how many are subscribed on one process.
type part struct {
	peer  *peer
	subs  int
	users map[string]int // connections of each member; nil but on presence channels
}

// member is a user on a presence channel, over all processes.
type member struct {
	connections int
	info        string // JSON
}

// subscription joins a connection to a channel. It hears of the channel once it is confirmed.
type subscription struct {
	conn      *conn
	channel   string
	user      string // on presence channels
	confirmed atomic.Bool

	// The shard's lock guards the rest.
	at   int    // place in channel.subs
	n    uint64 // number of the change that joined it
	gone bool
	// A cache channel's last message is fetched while new ones arrive: what is newer must not be followed by what is older, and the
	// message that was fetched may still be on its way.
	fresh   bool   // a message came since the subscription was confirmed
	fetched string // id of the message that was fetched
}

func newHub() *hub {
	h := &hub{seed: maphash.MakeSeed()}
	for i := range h.shards {
		h.shards[i].channels = map[string]*channel{}
	}
	return h
}

// locked calls f with the channel under its lock; with nil when it is not there and make is false. A channel that nobody needs afterwards goes.
func (h *hub) locked(name string, create bool, f func(*channel)) {
	sh := &h.shards[maphash.String(h.seed, name)%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	ch := sh.channels[name]
	if ch == nil && create {
		ch = &channel{name: name, kind: kindOf(name)}
		sh.channels[name] = ch
	}
	f(ch)
	if ch != nil && len(ch.subs) == 0 && len(ch.parts) == 0 {
		delete(sh.channels, name)
	}
}

// each calls f for every channel under its lock. f must not change who is subscribed.
func (h *hub) each(f func(*channel)) {
	for i := range h.shards {
		h.shards[i].mu.Lock()
		for _, ch := range h.shards[i].channels {
			f(ch)
		}
		h.shards[i].mu.Unlock()
	}
}

func (ch *channel) add(sub *subscription) {
	sub.at = len(ch.subs)
	ch.subs = append(ch.subs, sub)
}

func (ch *channel) remove(sub *subscription) {
	last := ch.subs[len(ch.subs)-1]
	ch.subs[sub.at], last.at = last, sub.at
	ch.subs[len(ch.subs)-1] = nil
	ch.subs = ch.subs[:len(ch.subs)-1]
}

// tell sends frame to every subscriber of this process.
func (ch *channel) tell(frame []byte) {
	for _, sub := range ch.subs {
		if sub.confirmed.Load() {
			sub.conn.push(frame)
		}
	}
}

// of returns what peer said of ch, nil when it has said nothing.
func (ch *channel) of(p *peer) *part {
	for i := range ch.parts {
		if ch.parts[i].peer == p {
			return &ch.parts[i]
		}
	}
	return nil
}

// apply counts what peer says and tells the subscribers. It returns what webhooks tell of.
func (ch *channel) apply(p *peer, o op) (occurred []Occurrence) {
	pt := ch.of(p)
	if pt == nil {
		ch.parts = append(ch.parts, part{peer: p})
		pt = &ch.parts[len(ch.parts)-1]
	}
	before := ch.total
	by := max(o.By, -pt.subs) // what is wrong stays within its part
	if ch.kind.presence {
		by = max(by, -pt.users[o.User])
	}
	pt.subs += by
	ch.total += by
	if before == 0 && ch.total > 0 {
		occurred = append(occurred, Occurrence{Kind: "channel_occupied", Channel: ch.name})
	}
	if ch.kind.presence {
		occurred = append(occurred, ch.count(pt, o, by)...)
	}
	if pt.subs == 0 {
		ch.parts = slices.DeleteFunc(ch.parts, func(pt part) bool { return pt.peer == p })
	}
	if before > 0 && ch.total == 0 {
		occurred = append(occurred, Occurrence{Kind: "channel_vacated", Channel: ch.name})
	}
	return occurred
}
