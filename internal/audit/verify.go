package audit

import (
	"fmt"
	"iter"
)

// Claim is what a chain is held against.
type Claim struct {
	Tenant string
	// From is what the chain begins behind: the zero Anchor for a whole one, where the archive was purged to for the rest of one; then
	// an entry of the rest must say that, see Purge. With nil it may begin anywhere, and its first row's Prev is taken on trust.
	From *Anchor
	// Known are anchors that the chain must pass: noted down earlier, or the head of another copy. Without one, rows that are cut off
	// at the end are not missed.
	Known []Anchor
}

// How says in which way a chain is wrong.
type How string

// Ways in which a chain is wrong.
const (
	Changed   How = "changed"
	Missing   How = "missing"
	Inserted  How = "inserted"
	Reordered How = "reordered"
)

// Finding is the first thing that is wrong with a chain.
type Finding struct {
	N   uint64 `json:"n"` // the first entry that is not what it was
	How How    `json:"how"`
	Why string `json:"why"`
}

// String returns the finding as a sentence.
func (f Finding) String() string { return fmt.Sprintf("entry %d is %s: %s", f.N, f.How, f.Why) }

// Report is what Verify found.
type Report struct {
	Tenant  string   `json:"tenant_id"`
	First   uint64   `json:"first"` // the first entry, 0 when there is none
	Entries uint64   `json:"entries"`
	Head    Anchor   `json:"head"` // up to where all is well: to be noted down
	Finding *Finding `json:"finding,omitempty"`
}

// Verify walks a chain in the order in which it is kept, and stops at the first thing that is wrong. It holds two rows at a time.
//
// A row whose bytes, hash or link were changed is told by its number, also when its hash was made anew to fit: the row behind it
// then still has the old one. Whether that row or the one before it was changed is decided by the link behind both; at the end of a
// chain, only by a known anchor, without which it is the earlier one that is named.
//
// Its error is the rows'; a chain that is wrong is no error.
func Verify(rows iter.Seq2[Row, error], claim Claim) (Report, error) {
	next, stop := iter.Pull2(rows)
	defer stop()
	w := &walk{claim: claim, next: next, known: map[uint64]Sum{}}
	for _, a := range claim.Known {
		w.known[a.N] = a.Hash
	}
	r := Report{Tenant: claim.Tenant}
	if claim.From != nil {
		r.Head = *claim.From
	}
	if sum, ok := w.known[r.Head.N]; ok && claim.From != nil && sum != r.Head.Hash {
		r.Finding = &Finding{r.Head.N, Changed, "the chain does not begin behind the anchor that is known"}
		return r, nil
	}
	attested := claim.From == nil || claim.From.N == 0
	w.pull()
	for w.ahead != nil {
		row := *w.ahead
		w.pull()
		if r.First == 0 {
			r.First = row.N
			if claim.From == nil {
				r.Head = Anchor{N: row.N - 1, Hash: row.Prev}
			}
		}
		if r.Finding = w.judge(r.Head, row); r.Finding != nil {
			return r, w.err
		}
		r.Head = row.Anchor()
		r.Entries++
		attested = attested || claim.attests(row)
	}
	if w.err != nil {
		return r, w.err
	}
	if !attested {
		r.Finding = &Finding{claim.From.N, Missing, "no entry says that the chain was purged up to there"}
		return r, nil
	}
	for n := range w.known {
		if n > r.Head.N {
			r.Finding = &Finding{r.Head.N + 1, Missing, "the chain ends before an anchor that is known"}
		}
	}
	return r, nil
}

// attests reports whether a row says that the chain was purged up to where it begins.
func (c Claim) attests(row Row) bool {
	e, err := row.Entry()
	return err == nil && c.From != nil && e.Action == actionPurged && e.Target == c.From.String()
}

// walk is one Verify.
type walk struct {
	claim Claim
	next  func() (Row, error, bool)
	ahead *Row // the row behind the one that is judged, nil at the end
	known map[uint64]Sum
	err   error
}

func (w *walk) pull() {
	w.ahead = nil
	row, err, ok := w.next()
	if err != nil {
		w.err = err
	} else if ok {
		w.ahead = &row
	}
}

// judge returns what is wrong with the row behind at.
func (w *walk) judge(at Anchor, row Row) *Finding {
	want := at.N + 1
	if row.N != want {
		return w.misplaced(at, row)
	}
	flaw := row.flaw(w.claim.Tenant)
	if flaw == "" && row.Prev == at.Hash {
		if sum, ok := w.known[row.N]; ok && sum != row.Hash {
			return &Finding{want, Changed, "its hash is not the one that is known"}
		}
		return nil
	}
	switch {
	case w.ahead != nil && w.ahead.N == want && w.ahead.flaw(w.claim.Tenant) == "":
		return &Finding{want, Inserted, "there is another entry of this number behind it"}
	case flaw != "":
		return &Finding{want, Changed, flaw}
	case w.vouched(row) && w.ours(at):
		return &Finding{at.N, Changed, "the entry behind it has another hash of it"}
	}
	return &Finding{want, Changed, "it does not follow from the entry before it"}
}

// vouched reports whether what follows a row, or an anchor, says that it is as it was; at the end of a chain the earlier of two is
// doubted, unless an anchor says otherwise.
func (w *walk) vouched(row Row) bool {
	if sum, ok := w.known[row.N]; ok {
		return sum == row.Hash
	}
	return w.ahead == nil || w.ahead.N == row.N+1 && w.ahead.Prev == row.Hash
}

// ours reports whether at is a row of this chain that no anchor vouches for.
func (w *walk) ours(at Anchor) bool {
	_, known := w.known[at.N]
	return !known && at.N > 0 && (w.claim.From == nil || at.N > w.claim.From.N)
}

// misplaced names what a row with the wrong number is a sign of. That depends on all that follows.
func (w *walk) misplaced(at Anchor, row Row) *Finding {
	want := at.N + 1
	if row.N == at.N {
		return &Finding{row.N, Inserted, "there are two entries of this number"}
	}
	swapped := w.ahead != nil && w.ahead.N == want && row.N == want+1 && row.Prev == w.ahead.Hash
	found, again, inOrder := false, false, true
	for n := want; w.ahead != nil; n++ {
		found = found || w.ahead.N == want
		again = again || w.ahead.N == row.N
		inOrder = inOrder && w.ahead.N == n
		w.pull()
	}
	switch {
	case row.N == 0:
		return &Finding{want, Inserted, "what is no entry stands in its place"}
	case row.N < want || found && !swapped && (again || inOrder):
		return &Finding{want, Inserted, fmt.Sprintf("entry %d stands in its place", row.N)}
	case found:
		return &Finding{want, Reordered, fmt.Sprintf("entry %d stands before it", row.N)}
	}
	return &Finding{want, Missing, fmt.Sprintf("entry %d stands in its place", row.N)}
}
