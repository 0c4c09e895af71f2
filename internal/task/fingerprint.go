package task

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/toolboxai/orchestrator/events"
)

// maxFingerprinted is how much of an error counts, in bytes: what is behind it is detail.
const maxFingerprinted = 4 << 10

// variable matches what differs between two occurrences of the same error: ids, quoted values and numbers.
var variable = regexp.MustCompile(strings.Join([]string{
	`[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}`, // UUID
	`"(?:[^"\\]|\\.)*"`, "`[^`]*`", `\B'[^']*'\B`, // quoted; the last one spares the apostrophe in "can't"
	`\b0[xX][0-9a-fA-F]+\b`,
	`\b[0-9a-fA-F]{12,}\b`,  // hash
	`[-+]?\d+(?:[.,:]\d+)*`, // number, version, time, address
}, "|"))

var space = regexp.MustCompile(`\s+`)

// Fingerprint names an error without what varies from one occurrence to the next, so that dead letters with the same
// trouble can be found and replayed together: 16 hex digits over the cause and the message, in which ids, quoted strings,
// hashes and numbers stand for any other. The empty message has a fingerprint too.
func Fingerprint(cause events.Cause, message string) string {
	if len(message) > maxFingerprinted {
		message = message[:maxFingerprinted]
	}
	message = variable.ReplaceAllString(strings.ToValidUTF8(message, "?"), "#")
	message = strings.ToLower(strings.TrimSpace(space.ReplaceAllString(message, " ")))
	sum := sha256.Sum256([]byte(string(cause) + "\x00" + message))
	return hex.EncodeToString(sum[:8])
}
