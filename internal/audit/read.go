package audit

import (
	"context"
	"strings"
	"time"
)

// MaxPage is how many entries a page holds at the most, and DefaultPage how many where nobody says.
const (
	MaxPage     = 200
	DefaultPage = 50
)

// Filter says which entries of a tenant to list, newest first. Empty fields take all.
type Filter struct {
	Tenant string // required
	Actor  string
	Action string // what it begins with, such as "user." or "user.disabled"
	Target string
	From   *time.Time // inclusive
	To     *time.Time // exclusive
	Before uint64     // only entries whose N is less: the Next of the page before
	Limit  int        // 1 to MaxPage; DefaultPage when 0
}

// Page is a page of entries.
type Page struct {
	Entries []Entry
	Next    uint64 // the next page's Before; 0 on the last one
}

// Reader lists entries. It is safe for concurrent use.
type Reader interface {
	// List returns a page. Errors: Invalid names the field; Unavailable, Timeout.
	List(ctx context.Context, f Filter) (Page, error)
}

// Matches reports whether a list with this filter holds e.
func (f Filter) Matches(e Entry) bool {
	return e.Tenant == f.Tenant && (f.Actor == "" || e.Actor == f.Actor) && strings.HasPrefix(e.Action, f.Action) &&
		(f.Target == "" || e.Target == f.Target) && (f.From == nil || !e.At.Before(*f.From)) && (f.To == nil || e.At.Before(*f.To)) &&
		(f.Before == 0 || e.N < f.Before)
}
