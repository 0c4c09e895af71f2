package audit

import "iter"

// Compare holds a tenant's archive against the stream that it is a copy of, both in order, and returns the first entry in which they
// differ, nil when there is none. The archive's first rows may be purged up to from; the stream's may have aged out. What the
// archive lacks from the place archived on is still on its way.
func Compare(archive, stream iter.Seq2[Row, error], from Anchor, archived uint64) (*Finding, error) {
	next, stop := iter.Pull2(archive)
	defer stop()
	kept, err, more := next()
	for row, failed := range stream {
		if failed != nil {
			return nil, failed
		}
		for err == nil && more && kept.N < row.N {
			kept, err, more = next()
		}
		switch {
		case err != nil:
			return nil, err
		case row.N < from.N:
		case row.N == from.N:
			if row.Hash != from.Hash {
				return &Finding{row.N, Changed, "the archive was purged up to another entry than the stream has"}, nil
			}
		case more && kept.N == row.N:
			if kept.Hash != row.Hash {
				return &Finding{row.N, Changed, "the archive and the stream have different entries"}, nil
			}
		case row.Place <= archived:
			return &Finding{row.N, Missing, "the archive lacks what the stream has"}, nil
		}
	}
	return nil, err
}
