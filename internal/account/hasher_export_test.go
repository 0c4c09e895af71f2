package account

// Reencode returns what comes of reading a stored hash and writing it again, and whether it can be read.
func Reencode(hash string) (string, bool) {
	salt, key, cost, err := parseHash(hash)
	if err != nil {
		return "", false
	}
	return encodeHash(salt, key, cost), true
}

// Deriving puts fn in the place of argon2.
func (h *Hasher) Deriving(fn func(password, salt []byte, c Cost) []byte) { h.derive = fn }

// TooEasy reports whether a password is easy to guess.
func TooEasy(password string, u User) bool { return tooEasy(password, u) }
