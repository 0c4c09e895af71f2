package channels

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const maxWatchlist = 100

// signIn handles pusher:signin.
func (c *conn) signIn(m inbound) {
	var ask struct {
		Auth     string `json:"auth"`
		UserData string `json:"user_data"`
	}
	if err := m.decode(&ask); err != nil {
		c.push(encodeError(codeUnauthorized, "pusher:signin needs auth and user_data as strings"))
		return
	}
	if err := c.s.verify(ask.Auth, userText(c.id, ask.UserData)); err != nil {
		c.push(encodeError(codeUnauthorized, err.Error()))
		return
	}
	signedIn, watchlist, err := parseUser(ask.UserData)
	if err != nil {
		c.push(encodeError(codeUnauthorized, err.Error()))
		return
	}
	before := c.signedIn()
	if before.id != "" && before.id != signedIn.id {
		c.push(encodeError(codeUnauthorized, "The connection is signed in as another user"))
		return
	}
	c.push(encode("pusher:signin_success", "", object("user_data", quote(ask.UserData)), ""))
	if before.id != "" {
		return
	}
	if len(watchlist) > maxWatchlist {
		watchlist = watchlist[:maxWatchlist]
		c.push(encodeError(codeWatchlistTooLong, "Watchlist limit exceeded. Only the first "+strconv.Itoa(maxWatchlist)+" user ids are accepted: "+strings.Join(watchlist, ", ")))
	}
	c.mu.Lock()
	c.user, c.watchlist = signedIn, watchlist
	c.mu.Unlock()
	c.s.people.enter(c, signedIn.id, watchlist, func() { c.s.gossip.note(op{User: signedIn.id, By: 1}, nil) })
}

// signOut undoes signIn.
func (c *conn) signOut() {
	if c.user.id != "" {
		c.s.people.exit(c, c.user.id, c.watchlist, func() { c.s.gossip.note(op{User: c.user.id, By: -1}, nil) })
	}
}

// signedIn returns the user, with an empty id when nobody is signed in.
func (c *conn) signedIn() user {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user
}

// parseUser reads user_data.
func parseUser(userData string) (u user, watchlist []string, err error) {
	var data struct {
		ID        id             `json:"id"`
		Info      jsontext.Value `json:"user_info"`
		Watchlist []id           `json:"watchlist"`
	}
	if err := json.Unmarshal([]byte(userData), &data); err != nil {
		return user{}, nil, authError("user_data is not a JSON object with an id as a string")
	}
	if u, err = newUser(string(data.ID), data.Info); err != nil {
		return user{}, nil, err
	}
	seen := map[id]bool{}
	for _, other := range data.Watchlist {
		if !seen[other] && validUser(string(other)) {
			seen[other] = true
			watchlist = append(watchlist, string(other))
		}
	}
	return u, watchlist, nil
}
