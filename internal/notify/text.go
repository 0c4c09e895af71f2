package notify

import (
	"slices"
	"strings"
	"sync"

	"github.com/toolboxai/orchestrator/events"
)

// maxPieces is how many pieces of one task's text wait, each of up to events.MaxPiece units. Of what comes on top the middle is left out:
// readers see from the offsets that it is missing.
const maxPieces = 4

// piece is a task.text event; its body may have grown since.
type piece struct {
	event events.Event
	text  events.Text
}

// encoded returns the event with the body that p has now.
func (p piece) encoded() (events.Event, error) {
	data, err := events.Marshal(p.text)
	p.event.Data = data
	return p.event, err
}

// texts holds what is to be told of each task's text until it is sent, joined to pieces as long as may be. It is bounded in tasks and in
// pieces of a task. A task keeps its place in the queue however much is written. Safe for concurrent use.
type texts struct {
	mu      sync.Mutex
	cursors *lru[taskKey, events.TextCursor] // what came; a piece repeats the ones before
	waiting *lru[taskKey, []piece]
	stats   *counters
}

func newTexts(max int, stats *counters) *texts {
	return &texts{cursors: newLRU[taskKey, events.TextCursor](max), waiting: newLRU[taskKey, []piece](max), stats: stats}
}

// put adds what e tells that is new.
func (t *texts) put(e events.Event) {
	body, err := events.DataAs[events.Text](e)
	if err != nil || len(e.Data) > MaxData {
		t.stats.dropped.Add(1)
		return
	}
	e.Data = nil
	k := keyOf(e)
	t.mu.Lock()
	defer t.mu.Unlock()
	cursor, known := t.cursors.get(k)
	fresh, ok := cursor.Next(body)
	if !ok {
		return
	}
	if !known { // the strings of an event may be parts of a whole message
		k = taskKey{strings.Clone(k.tenant), strings.Clone(k.task)}
	}
	t.cursors.put(k, cursor)
	fresh.Text = strings.Clone(fresh.Text)
	t.add(k, []piece{{e, fresh}})
}

// putBack returns pieces that could not be sent, in order. What came meanwhile follows them.
func (t *texts) putBack(unsent []events.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(unsent) > 0 {
		k := keyOf(unsent[0])
		var own []piece
		unsent = slices.DeleteFunc(unsent, func(e events.Event) bool {
			if keyOf(e) != k {
				return false
			}
			if body, err := events.DataAs[events.Text](e); err == nil {
				own = append(own, piece{e, body})
			}
			return true
		})
		newer, _ := t.waiting.get(k)
		if len(newer) > 0 {
			t.waiting.put(k, nil)
		}
		t.add(k, append(own, newer...))
	}
}

func (t *texts) add(k taskKey, more []piece) {
	waiting, _ := t.waiting.get(k)
	for _, p := range more {
		waiting = join(waiting, p)
		if len(waiting) > maxPieces {
			waiting = slices.Delete(waiting, maxPieces/2, maxPieces/2+1)
			t.stats.gaps.Add(1)
		}
	}
	if _, evicted := t.waiting.put(k, waiting); evicted {
		t.stats.dropped.Add(1)
	}
}

// join puts p behind pieces, without what p takes back, and in as few pieces as hold it.
func join(pieces []piece, p piece) []piece {
	for len(pieces) > 0 {
		last := &pieces[len(pieces)-1]
		if last.text.Run == p.text.Run || last.text.End() <= p.text.RollbackTo {
			break
		}
		if last.text.Offset < p.text.RollbackTo {
			last.text.Text, _ = events.CutText(last.text.Text, p.text.RollbackTo-last.text.Offset)
			last.text.Truncated = false
			break
		}
		pieces = pieces[:len(pieces)-1]
	}
	if len(pieces) == 0 {
		return append(pieces, p)
	}
	last := &pieces[len(pieces)-1]
	if last.text.Run != p.text.Run || last.text.Step != p.text.Step || last.text.End() != p.text.Offset {
		return append(pieces, p)
	}
	head, tail := events.CutText(p.text.Text, events.MaxPiece-events.TextLen(last.text.Text))
	last.text.Text += head
	last.event = p.event
	if tail == "" {
		last.text.Truncated = p.text.Truncated
		return pieces
	}
	p.text.Offset, p.text.Text = p.text.Offset+events.TextLen(head), tail
	return append(pieces, p)
}

// take removes and returns the pieces of at most n tasks, those first that wait longest, each task's in order.
func (t *texts) take(n int) []events.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []events.Event
	for range n {
		pieces, ok := t.waiting.pop()
		if !ok {
			break
		}
		for _, p := range pieces {
			if e, err := p.encoded(); err == nil {
				out = append(out, e)
			}
		}
	}
	return out
}
