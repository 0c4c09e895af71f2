package httpapi

import (
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	presencePrefix  = "presence-"
	encryptedPrefix = "private-encrypted-"
	userPrefix      = "#server-to-user-"

	maxChannel  = 164 // characters of a channel's name
	maxUserID   = 200 // characters of a user's id
	maxSocketID = 64
)

// checkChannel returns Invalid, which names field, for what is no name of a channel that clients subscribe to.
func checkChannel(field, name string) error {
	if name == "" || len(name) > maxChannel || strings.ContainsFunc(name, notInChannel) {
		return fault.InvalidField(field, "%.200q is no channel: 1 to %d of the characters A-Z a-z 0-9 _ - = @ , . ;", name, maxChannel)
	}
	return nil
}

// checkTarget is checkChannel for channels to trigger on: those that reach one user are among them.
func checkTarget(field, name string) error {
	if user, ok := strings.CutPrefix(name, userPrefix); ok {
		return checkUser(field, user)
	}
	return checkChannel(field, name)
}

func checkUser(field, id string) error {
	if id == "" || utf8.RuneCountInString(id) > maxUserID || !plain(id) {
		return fault.InvalidField(field, "must hold a user id of 1 to %d characters without control characters", maxUserID)
	}
	return nil
}

func notInChannel(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !isDigit(c) && !strings.ContainsRune("_-=@,.;", c)
}

func isDigit(c rune) bool { return c >= '0' && c <= '9' }

func isSocketID(s string) bool {
	before, after, ok := strings.Cut(s, ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return ok && len(s) <= maxSocketID && digits(before) && digits(after)
}

// isCache reports whether the last event of a channel is kept.
func isCache(channel string) bool {
	for _, prefix := range []string{encryptedPrefix, "private-", presencePrefix, ""} {
		if rest, ok := strings.CutPrefix(channel, prefix); ok {
			return strings.HasPrefix(rest, "cache-")
		}
	}
	return false
}
