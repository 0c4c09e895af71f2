package channels

import (
	"slices"
	"sync"
)

// people are the signed-in users: their connections to this process, and on how many connections they are everywhere.
type people struct {
	mu       sync.Mutex
	local    map[string]map[*conn]struct{}
	online   map[string][]presence         // by user; none for who is not online
	watchers map[string]map[*conn]struct{} // by the user who is watched
}

// presence is on how many connections a user is signed in to one process.
type presence struct {
	peer        *peer
	connections int
}

func newPeople() *people {
	return &people{local: map[string]map[*conn]struct{}{}, online: map[string][]presence{}, watchers: map[string]map[*conn]struct{}{}}
}

// enter adds a connection of a user and has it hear of those whom it watches, first who of them is online. note is called under the lock.
func (p *people) enter(c *conn, user string, watchlist []string, note func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	put(p.local, user, c)
	var online, offline []string
	for _, id := range watchlist {
		put(p.watchers, id, c)
		if len(p.online[id]) > 0 {
			online = append(online, id)
		} else {
			offline = append(offline, id)
		}
	}
	note()
	c.tellWatchlist(online, offline)
}

// exit undoes enter.
func (p *people) exit(c *conn, user string, watchlist []string, note func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	drop(p.local, user, c)
	for _, id := range watchlist {
		drop(p.watchers, id, c)
	}
	note()
}

func put(m map[string]map[*conn]struct{}, key string, c *conn) {
	if m[key] == nil {
		m[key] = map[*conn]struct{}{}
	}
	m[key][c] = struct{}{}
}

func drop(m map[string]map[*conn]struct{}, key string, c *conn) {
	if delete(m[key], c); len(m[key]) == 0 {
		delete(m, key)
	}
}

// apply counts what a server says of a user. Those who watch the user hear of the first and the last connection.
func (p *people) apply(from *peer, o op) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := len(p.online[o.User]) > 0
	list := p.online[o.User]
	i := slices.IndexFunc(list, func(x presence) bool { return x.peer == from })
	if i < 0 {
		i, list = len(list), append(list, presence{peer: from})
	}
	if list[i].connections += o.By; list[i].connections <= 0 {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) > 0 {
		p.online[o.User] = list
	} else {
		delete(p.online, o.User)
	}
	if after := len(list) > 0; before != after {
		name := "offline"
		if after {
			name = "online"
		}
		frame := watchlistFrame(watchlistEvent(name, []string{o.User}))
		for c := range p.watchers[o.User] {
			c.push(frame)
		}
	}
}

// membership adds what counts of what a server said.
func (p *people) membership(of *peer, have map[memberKey]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for user, list := range p.online {
		for _, x := range list {
			if x.peer == of {
				have[memberKey{"", user}] = x.connections
			}
		}
	}
}

// send sends frame to the user's connections to this process, but for one.
func (p *people) send(user, except string, frame func() []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.local[user] {
		if c.id != except {
			c.push(frame())
		}
	}
}

// terminate closes the user's connections to this process.
func (p *people) terminate(user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.local[user] {
		c.close(codeUnauthorized, "The app terminated the connections of the user")
	}
}
