package channels

import (
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxMembers  = 100     // of a presence channel
	maxUserInfo = 1 << 10 // bytes of JSON
)

// user is who an app's server says a client is.
type user struct {
	id   string
	info string // JSON
}

// id is a user's id. Servers of apps write numbers too.
type id string

func (i *id) UnmarshalJSON(text []byte) error {
	switch jsontext.Value(text).Kind() {
	case '"':
		return json.Unmarshal(text, (*string)(i))
	case '0':
		*i = id(text)
		return nil
	}
	return errors.New("a user's id must be a string")
}

// parseMember reads channel_data.
func parseMember(channelData string) (user, error) {
	var data struct {
		ID   id             `json:"user_id"`
		Info jsontext.Value `json:"user_info"`
	}
	if err := json.Unmarshal([]byte(channelData), &data); err != nil {
		return user{}, errors.New("channel_data is not a JSON object with a user_id")
	}
	return newUser(string(data.ID), data.Info)
}

func newUser(id string, info jsontext.Value) (user, error) {
	if !validUser(id) {
		return user{}, errors.New("the user's id must have 1 to " + strconv.Itoa(maxUserID) + " characters")
	}
	if len(info) == 0 {
		return user{id: id, info: "null"}, nil
	}
	if err := info.Compact(); err != nil {
		return user{}, err
	}
	if len(info) > maxUserInfo {
		return user{}, errors.New("user_info is larger than 1 kB")
	}
	return user{id: id, info: string(info)}, nil
}

// count counts the connections of a member. The subscribers hear of the first and the last one.
func (ch *channel) count(pt *part, o op, by int) []Occurrence {
	if pt.users == nil {
		pt.users = map[string]int{}
	}
	if pt.users[o.User] += by; pt.users[o.User] == 0 {
		delete(pt.users, o.User)
	}
	if ch.members == nil {
		ch.members = map[string]*member{}
	}
	m := ch.members[o.User]
	if m == nil {
		if by <= 0 {
			return nil
		}
		if o.Info == "" {
			o.Info = "null"
		}
		ch.members[o.User] = &member{connections: by, info: o.Info}
		ch.tell(encode("pusher_internal:member_added", ch.name, object("user_id", quote(o.User), "user_info", o.Info), ""))
		return []Occurrence{{Kind: "member_added", Channel: ch.name, UserID: o.User}}
	}
	if m.connections += by; m.connections > 0 {
		return nil
	}
	delete(ch.members, o.User)
	ch.tell(encode("pusher_internal:member_removed", ch.name, object("user_id", quote(o.User)), ""))
	return []Occurrence{{Kind: "member_removed", Channel: ch.name, UserID: o.User}}
}

// roll returns the presence data of a new subscription.
func (ch *channel) roll() string {
	ids := slices.Sorted(maps.Keys(ch.members))
	list, hash := []byte{'['}, make([]string, 0, 2*len(ids))
	for i, id := range ids {
		if i > 0 {
			list = append(list, ',')
		}
		list = appendQuoted(list, id)
		hash = append(hash, id, ch.members[id].info)
	}
	return object("presence", object("ids", string(append(list, ']')), "hash", object(hash...), "count", strconv.Itoa(len(ids))))
}
