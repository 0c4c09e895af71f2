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
	"github.com/toolboxai/orchestrator/internal/task"
)

// cursor is the place behind a page's last task.
type cursor struct {
	createdAt time.Time // whole microseconds, as in the table
	id        string
}

// A cursor on its way to the client and back: version, digest of the list it belongs to, time in microseconds, id, in
// base64url. Clients must not look inside; a new form gets a new version.
const (
	cursorVersion = 1
	digestSize    = 8
	cursorHead    = 1 + digestSize + 8
	maxCursor     = 200 // characters
)

// encode binds the cursor to the list of f: another tenant's list, or another filter, does not take it.
func (c cursor) encode(f task.Filter) string {
	b := make([]byte, 0, cursorHead+len(c.id))
	b = append(b, cursorVersion)
	b = append(b, digest(f)...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.createdAt.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(b, c.id...))
}

// decodeCursor reads f.Cursor, or returns an Invalid fault for field "cursor".
func decodeCursor(f task.Filter) (cursor, error) {
	if len(f.Cursor) > maxCursor {
		return cursor{}, badCursor("is too long")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(f.Cursor)
	if err != nil || len(b) <= cursorHead {
		return cursor{}, badCursor("is none that a list gave out")
	}
	if b[0] != cursorVersion {
		return cursor{}, badCursor("is of version %d; begin the list anew", b[0])
	}
	if string(b[1:1+digestSize]) != string(digest(f)) {
		return cursor{}, badCursor("belongs to another list: the filter must stay the same from page to page")
	}
	c := cursor{time.UnixMicro(int64(binary.BigEndian.Uint64(b[1+digestSize:]))).UTC(), string(b[cursorHead:])}
	if events.CheckToken("task", c.id) != nil || c.createdAt.Year() < 0 || c.createdAt.Year() > 9999 {
		return cursor{}, badCursor("is none that a list gave out")
	}
	return c, nil
}

func badCursor(format string, args ...any) error {
	return fault.InvalidField("cursor", format, args...)
}

// digest tells lists apart: everything in the filter but the page.
func digest(f task.Filter) []byte {
	f.Cursor, f.Limit = "", 0
	list, err := json.Marshal(f)
	if err != nil { // only a time beyond year 9999 gets here
		list = fmt.Append(nil, f)
	}
	sum := sha256.Sum256(list)
	return sum[:digestSize]
}
