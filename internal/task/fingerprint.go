package task

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/toolboxai/orchestrator/events"
)

// maxFingerprinted is how much of an error counts, in bytes: what is behind it is detail.
const maxFingerprinted = 4 << 10

// Fingerprint names the trouble behind an error, so that dead letters with the same one can be found and replayed together: 16
// hex digits over the cause and the Pattern of the message. The empty message has a fingerprint too.
func Fingerprint(cause events.Cause, message string) string {
	sum := sha256.Sum256([]byte(string(cause) + "\x00" + Pattern(message)))
	return hex.EncodeToString(sum[:8])
}

// Pattern returns an error message without what varies from one occurrence to the next. In the place of a value stands what
// it is: <url>, <text> (anything quoted), <uuid>, <time>, <email>, <addr>, <path>, <duration>, <hex>, <id>, <n>. It is in lower
// case, on one line, and only the first 4 KiB of the message count.
func Pattern(message string) string {
	if len(message) > maxFingerprinted {
		message = message[:maxFingerprinted]
	}
	s := newScanner(strings.Join(strings.Fields(strings.ToLower(strings.ToValidUTF8(message, "?"))), " "))
	var b strings.Builder
	for s.at < len(s.text) {
		n, value := s.next()
		if value == "" {
			value = s.text[s.at : s.at+n]
		}
		b.WriteString(value)
		s.at += n
	}
	return b.String()
}
