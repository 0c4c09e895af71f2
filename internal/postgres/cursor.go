package postgres

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// cursor is the place behind a page's last entry.
type cursor struct {
	key int64 // what the list is ordered by
	id  string
}

// A cursor on its way to the client and back: version, digest of the list it belongs to, key, id, in base64url. Clients must
// not look inside; a new form gets a new version.
const (
	cursorVersion = 1
	digestSize    = 8
	cursorHead    = 1 + digestSize + 8
	maxCursor     = 200 // characters
)

// timeCursor is a cursor of a list by time. Times count in whole microseconds, as in the tables.
func timeCursor(at time.Time, id string) cursor { return cursor{at.UnixMicro(), id} }

func (c cursor) time() time.Time { return time.UnixMicro(c.key).UTC() }

// encode binds the cursor to a list, which is a filter without its page: another tenant's list, or another filter, does not
// take it.
func (c cursor) encode(list any) string {
	b := make([]byte, 0, cursorHead+len(c.id))
	b = append(b, cursorVersion)
	b = append(b, digest(list)...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.key))
	return base64.RawURLEncoding.EncodeToString(append(b, c.id...))
}

// decodeCursor reads a cursor of the list, or returns an Invalid fault for field "cursor".
func decodeCursor(text string, list any) (cursor, error) {
	if len(text) > maxCursor {
		return cursor{}, badCursor("is too long")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) <= cursorHead {
		return cursor{}, badCursor("is none that a list gave out")
	}
	if b[0] != cursorVersion {
		return cursor{}, badCursor("is of version %d; begin the list anew", b[0])
	}
	if string(b[1:1+digestSize]) != string(digest(list)) {
		return cursor{}, badCursor("belongs to another list: the filter must stay the same from page to page")
	}
	c := cursor{int64(binary.BigEndian.Uint64(b[1+digestSize:])), string(b[cursorHead:])}
	if year := c.time().Year(); events.CheckToken("task", c.id) != nil || year < 0 || year > 9999 {
		return cursor{}, badCursor("is none that a list gave out")
	}
	return c, nil
}

func badCursor(format string, args ...any) error {
	return fault.InvalidField("cursor", format, args...)
}

// digest tells lists apart.
func digest(list any) []byte {
	doc, err := json.Marshal(list)
	if err != nil { // only a time beyond year 9999 gets here
		doc = fmt.Append(nil, list)
	}
	sum := sha256.Sum256(doc)
	return sum[:digestSize]
}
