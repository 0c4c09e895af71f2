// Package channels is a server of the Pusher Channels protocol, version 7, for those who have no Pusher account: unchanged client and
// server libraries of Pusher work against it with nothing but another host and port.
//
// Several servers are one for their clients. They share a Bus and nothing else. What clients publish and what is triggered is delivered only
// as it comes back over the Bus, so that it has one order everywhere. Membership goes the same way: each server numbers the changes to its
// subscriptions, members and signed-in users and publishes them, and counts them, its own too, when they come back. A subscription is
// answered at that moment, with the members of that moment, and gets all that is published later. A gap in a server's numbers, which its
// beat of each second shows at the latest, is closed by a snapshot; a server that is silent for 4 s is forgotten. One that does not hear itself
// is cut off: it forgets nobody, keeps its clients, and its subscriptions wait.
//
// What the Bus loses of events is lost, as with Pusher. Webhooks are told by the server whose change made the difference, once where
// the Bus has one order for all; over a Bus without one, changes that two servers make to one channel at the same instant can be told twice
// or not at all.
//
// What clients may do is bounded: messages, names, members, channels, client events, and what waits for a client that reads too slowly,
// which is closed with 4200. Locks are held for moments and never while something is written, so that such a client delays nobody.
package channels

import (
	"context"
	"time"
)

// App is an application: who may sign, and what its clients may do.
type App struct {
	ID, Key, Secret string
	ClientEvents    bool // whether clients may send client- events
}

// Event is one message for the subscribers of one channel.
type Event struct {
	Channel string
	Name    string // 1 to 200 characters
	Data    string // passed on as it is; at most 10 KiB
	Except  string // socket id of a connection that does not get it; may be empty
	UserID  string // who sent it; only for client events on presence channels
}

// State is what is known of a channel, over all processes.
type State struct {
	Subscriptions int
	Users         int // distinct users of a presence channel
	Cache         *Cached
}

// Occupied reports whether anybody is subscribed.
func (s State) Occupied() bool { return s.Subscriptions > 0 }

// Cached is the last message of a cache channel.
type Cached struct {
	Name string        `json:"name"`
	Data string        `json:"data"`
	TTL  time.Duration `json:"-"` // how long it is kept yet
}

// Occurrence is something that a webhook tells of.
type Occurrence struct {
	Kind     string // channel_occupied, channel_vacated, member_added, member_removed, client_event, cache_miss, subscription_count
	Channel  string
	UserID   string // of members, and of client events on presence channels
	Event    string // of client events
	Data     string
	SocketID string
	Count    int // of subscription_count
}

// Bus joins the processes that serve one app into one. It is safe for concurrent use.
type Bus interface {
	// Publish gives data to every process that listens, this one included. What one process publishes arrives everywhere in its order. Where all
	// are on one broker, a Publish that returned nil before another one began, anywhere, is received first by everybody; over the nodes of a cluster
	// two that follow each other at once may change places. Unavailable when nobody can say that it was passed on.
	Publish(ctx context.Context, data []byte) error
	// Listen calls receive with what any process publishes, one call at a time, until ctx ends. It calls lost, never at the same time as
	// receive, whenever something may have been missed: after a reconnect, or when this process was too slow.
	Listen(ctx context.Context, receive func(data []byte), lost func()) error
	// Put keeps a value under a key for a while; the last one wins. Get returns it, and NotFound when there is none.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Get(ctx context.Context, key string) ([]byte, error)
}
