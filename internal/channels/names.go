package channels

import "strings"

const (
	maxChannelName = 164
	maxUserID      = 128
	userPrefix     = "#server-to-user-"
)

// kind is what the prefix of a channel's name says of it.
type kind struct {
	private   bool // one must be authorized to join; so are presence channels
	presence  bool
	encrypted bool
	cache     bool
}

// prefixes are tried in this order: the longer first, where one begins with another.
var prefixes = []struct {
	prefix string
	kind   kind
}{
	{"private-encrypted-cache-", kind{private: true, encrypted: true, cache: true}},
	{"private-encrypted-", kind{private: true, encrypted: true}},
	{"private-cache-", kind{private: true, cache: true}},
	{"private-", kind{private: true}},
	{"presence-cache-", kind{private: true, presence: true, cache: true}},
	{"presence-", kind{private: true, presence: true}},
	{"cache-", kind{cache: true}},
}

func kindOf(channel string) kind {
	for _, p := range prefixes {
		if strings.HasPrefix(channel, p.prefix) {
			return p.kind
		}
	}
	return kind{}
}

// validName reports whether name has 1 to 164 of the characters that channel names may have.
func validName(name string) bool {
	if name == "" || len(name) > maxChannelName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("_-=@,.;", c) < 0 {
			return false
		}
	}
	return true
}

// userOf returns whose channel name is, when it is the channel of one signed-in user.
func userOf(name string) (id string, ok bool) {
	id, ok = strings.CutPrefix(name, userPrefix)
	return id, ok && validUser(id)
}

func validUser(id string) bool { return id != "" && len(id) <= maxUserID }

// validSocket reports whether id has the form of a socket id: two numbers and a dot.
func validSocket(id string) bool {
	a, b, ok := strings.Cut(id, ".")
	return ok && len(id) <= 64 && digits(a) && digits(b)
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
