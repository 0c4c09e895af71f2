package channels

import "encoding/json"

// message is what servers tell each other over the Bus. Each numbers the changes of its own membership from 1, without a gap.
type message struct {
	From   string  `json:"from"` // a server, named anew each time it starts
	Kind   string  `json:"kind"`
	To     string  `json:"to,omitempty"`     // of an ask: whose snapshot
	N      uint64  `json:"n,omitempty"`      // of a delta: its first change; of a snapshot: the last one it holds; of a beat: the last one published
	Ops    []op    `json:"ops,omitempty"`    // of a delta and of a snapshot
	Part   int     `json:"part,omitempty"`   // of a snapshot, from 0
	Parts  int     `json:"parts,omitempty"`  // of a snapshot
	Events []event `json:"events,omitempty"` // to deliver
	User   string  `json:"user,omitempty"`   // to terminate
}

// Kinds of messages.
const (
	kindEvents    = "events"    // deliver these
	kindTerminate = "terminate" // close this user's connections
	kindDelta     = "delta"     // my membership changed
	kindSnapshot  = "snapshot"  // my membership
	kindBeat      = "beat"      // I am alive
	kindRoll      = "roll"      // whoever is there, send a beat
	kindAsk       = "ask"       // send a snapshot
	kindBye       = "bye"       // forget me
)

// op changes a membership by so many connections; in a snapshot it is how many there are. Without a channel it is about a signed-in user.
type op struct {
	Channel string `json:"c,omitempty"`
	User    string `json:"u,omitempty"`
	Info    string `json:"i,omitempty"`
	By      int    `json:"b"`
}

// event is an Event for one or several channels.
type event struct {
	ID       string   `json:"id,omitempty"` // on cache channels
	Channels []string `json:"channels"`
	Name     string   `json:"name"`
	Data     string   `json:"data"`
	Except   string   `json:"except,omitempty"`
	UserID   string   `json:"user,omitempty"`
}

func (m message) encode() []byte {
	data, err := json.Marshal(m)
	if err != nil {
		panic("channels: a message cannot be encoded: " + err.Error()) // it has nothing but strings and numbers
	}
	return data
}
