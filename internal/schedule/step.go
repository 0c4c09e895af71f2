package schedule

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// step decides on what is due of one schedule, as its document stands now, and saves each decision before it takes the next.
func (t *Ticker) step(ctx context.Context, key string) note {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	n := note{key: key, step: true}
	doc, rev, err := t.Documents.Get(ctx, key)
	for range perStep {
		if err != nil {
			break
		}
		var c *Calendar
		if c, err = t.calendar(doc); err != nil {
			n.rev = rev // wake stays zero: left alone until it is changed
			return n
		}
		n.rev, n.wake = rev, doc.wake(c, t.now(), t.Poll)
		var d decision
		if d, err = t.decide(ctx, doc, c); err != nil || d.empty() {
			break
		}
		doc, rev, err = t.save(ctx, doc, rev, d)
		if err == nil {
			n.rev, n.wake = rev, doc.wake(c, t.now(), t.Poll)
		}
	}
	switch {
	case fault.Is(err, fault.NotFound):
		n.gone = true
	case err != nil:
		n.err = err
	}
	return n
}

// save applies d to the document and writes it, anew when somebody else wrote it meanwhile.
func (t *Ticker) save(ctx context.Context, doc Schedule, rev uint64, d decision) (Schedule, uint64, error) {
	for range maxRaces {
		c, err := t.calendar(doc)
		if err != nil {
			return doc, rev, err
		}
		doc.apply(d, t.now())
		doc.showNext(c)
		written, err := t.Documents.Put(ctx, doc.documentKey(), doc, rev)
		if err == nil {
			return doc, written, nil
		}
		if !fault.Is(err, fault.Conflict) {
			return doc, rev, err
		}
		if doc, rev, err = t.Documents.Get(ctx, doc.documentKey()); err != nil {
			return doc, rev, err
		}
	}
	return doc, rev, fault.New(fault.Unavailable, "schedule %s changes too fast", doc.ID)
}
