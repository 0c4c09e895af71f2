// Package audit says who did what, and who looked at what: for what is no event of a task, whose own history says that.
//
// Entries are a chain for each tenant. Entry n carries the SHA-256 of entry n-1, so nobody changes, removes, inserts or reorders one
// without breaking every link behind it, not even who owns the database:
//
//	0000… ─► entry 1 ─► entry 2 ─► … ─► entry n: the head, which whoever wants to trust nobody notes down
//	         hash 1     hash 2          hash n = SHA-256(hash n-1 ‖ bytes n)
//
// Seal makes an entry's bytes, Verify walks a chain. A chain comes to be on the broker, where an append is fenced by the place of
// the one before it; a Copier carries it to the archive in Postgres, which can be asked with filters and keeps it for as long as a
// tenant wants. A Trail reads both, so that what was just done is there. Purging the archive takes away a chain's beginning; what is
// left is proved from an Anchor.
//
// Access entries (who looked at a student's data) are many and no chain: they are kept apart.
package audit

import (
	"context"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Entry says who did what and when. What an entry says is kept for years and shown to admins: it holds no secret, and of people
// their ids rather than their names.
type Entry struct {
	N         uint64          `json:"n"`            // its place in the tenant's chain, from 1; set by the recorder
	ID        string          `json:"id,omitempty"` // unique; the recorder makes one where there is none
	At        time.Time       `json:"at"`           // zero: when it was recorded
	Tenant    string          `json:"tenant_id"`    // in whose school it happened
	Actor     string          `json:"actor"`        // a user's id, or a part of the system
	Action    string          `json:"action"`       // such as "policy.changed"
	Target    string          `json:"target,omitempty"`
	Outcome   string          `json:"outcome"` // "done", or why not
	IP        string          `json:"ip,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
	SessionID string          `json:"session_id,omitempty"`
	KeyID     string          `json:"key_id,omitempty"` // of the API key that was used
	Detail    json.RawMessage `json:"detail,omitempty"`
	Prev      string          `json:"prev,omitempty"` // hash of the entry before it, in hexadecimal; set by the recorder
	Hash      string          `json:"hash,omitempty"`
}

// Done is the outcome of what was done. Another outcome says why it was not.
const Done = "done"

// Recorder puts entries on record. It is safe for concurrent use.
type Recorder interface {
	// Append puts an entry on record as the next one of its tenant's chain. Empty fields are taken from the context: see WithFrom.
	// An id that the caller sets should be new: it is not looked for in the chain.
	//
	// Errors: Invalid names the field; TooLarge; Unavailable and Timeout when it is not on record.
	Append(ctx context.Context, e Entry) error
}

// Limits of an entry, in bytes.
const (
	MaxField  = 1024
	MaxDetail = 512 << 10
)

// Check returns an Invalid or TooLarge fault when e cannot be put on record.
func (e Entry) Check() error {
	if e.Tenant == "" {
		return fault.InvalidField("tenant_id", "is missing")
	}
	if e.Action == "" {
		return fault.InvalidField("action", "is missing")
	}
	for name, value := range map[string]string{
		"id": e.ID, "tenant_id": e.Tenant, "actor": e.Actor, "action": e.Action, "target": e.Target, "outcome": e.Outcome, "ip": e.IP,
		"request_id": e.RequestID, "session_id": e.SessionID, "key_id": e.KeyID,
	} {
		if err := checkField(name, value); err != nil {
			return err
		}
	}
	if len(e.Detail) > MaxDetail {
		return fault.New(fault.TooLarge, "the detail of %s has %d bytes, at most %d are allowed", e.Action, len(e.Detail), MaxDetail)
	}
	if len(e.Detail) > 0 && !json.Valid(e.Detail) {
		return fault.InvalidField("detail", "is not JSON")
	}
	return nil
}

func checkField(name, value string) error {
	if len(value) > MaxField {
		return fault.InvalidField(name, "has %d bytes, at most %d are allowed", len(value), MaxField)
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return fault.InvalidField(name, "must be text without control characters")
	}
	return nil
}
