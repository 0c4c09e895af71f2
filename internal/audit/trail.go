package audit

import (
	"cmp"
	"context"
	"slices"
)

// Archive is where entries can be asked for. It is safe for concurrent use.
type Archive interface {
	Reader
	// Place returns how far the stream has been copied.
	Place(ctx context.Context) (Place, error)
}

// Stream is where entries are appended. It is safe for concurrent use.
type Stream interface {
	// Since returns a tenant's entries behind a place, oldest first, at most MaxFresh of them.
	Since(ctx context.Context, tenant string, place Place) ([]Entry, error)
}

// MaxFresh is how many entries a Trail takes from the stream. While the archive is further behind, the newest ones are missing.
const MaxFresh = 1000

// Trail lists what the archive has, and what the stream has that is not in the archive yet: an entry is there once Append has
// returned.
type Trail struct {
	Archive Archive
	Stream  Stream
}

var _ Reader = (*Trail)(nil)

// List implements Reader.
func (t *Trail) List(ctx context.Context, f Filter) (Page, error) {
	place, err := t.Archive.Place(ctx)
	if err != nil {
		return Page{}, err
	}
	fresh, err := t.Stream.Since(ctx, f.Tenant, place)
	if err != nil {
		return Page{}, err
	}
	page, err := t.Archive.List(ctx, f)
	if err != nil {
		return Page{}, err
	}
	found := page.Entries
	for _, e := range fresh {
		there := slices.ContainsFunc(page.Entries, func(have Entry) bool { return have.N == e.N })
		if f.Matches(e) && !there { // it may have been copied meanwhile
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b Entry) int { return cmp.Compare(b.N, a.N) })
	if limit := cmp.Or(f.Limit, DefaultPage); len(found) > limit {
		found = found[:limit]
		page.Next = found[limit-1].N
	}
	page.Entries = found
	return page, nil
}
