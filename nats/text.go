package nats

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
)

const (
	// textPending is how many live pieces wait for a slow reader. What comes on top is dropped and read from the stream later.
	textPending = 256
	// textPages bounds how many pieces one reading takes. A text has one for every half of events.MaxPiece and for every end of a step,
	// and those of earlier attempts lie among them until they are written over.
	textPages = 8
)

// progressSubject returns where a volatile event is stored.
func progressSubject(e events.Event) (string, error) {
	if e.Type != events.TypeText {
		return events.ProgressSubject(e.Tenant, e.Task), nil
	}
	p, err := events.DataAs[events.Text](e)
	if err == nil {
		err = p.Check()
	}
	return events.TextSubject(e.Tenant, e.Task, p.Offset), err
}

// Text implements task.ProgressBoard. Like Follow it costs the broker a plain subscription. A piece behind a gap, messages that the
// connection dropped and a reconnect make it read the stream again.
func (l *Log) Text(ctx context.Context, tenant, id string) (<-chan events.Event, error) {
	r := newTextReader(l, tenant, id)
	sub, err := l.nc.ChanSubscribe(events.Live(events.TaskText(tenant, id)), r.live)
	if err != nil {
		return nil, broken(ctx, "follow the text of task "+id, err)
	}
	return r.begin(ctx, sub), nil
}

// textSource fills textReader.live until it is unsubscribed. A subscription is one.
type textSource interface {
	Dropped() (int, error)
	Unsubscribe() error
}

// textReader is one reader's place in one text.
type textReader struct {
	log        *Log
	tenant, id string
	cursor     events.TextCursor
	dropped    int // by the connection so far
	sub        textSource
	live       chan *natsgo.Msg
	up         chan natsgo.Status
	out        chan events.Event
}

func newTextReader(l *Log, tenant, id string) *textReader {
	return &textReader{log: l, tenant: tenant, id: id, live: make(chan *natsgo.Msg, l.textPending), out: make(chan events.Event)}
}

// begin reads from a source that fills live already.
func (r *textReader) begin(ctx context.Context, from textSource) <-chan events.Event {
	r.sub, r.up = from, r.log.nc.StatusChanged(natsgo.CONNECTED)
	go r.run(ctx)
	return r.out
}

// textPiece is a task.text event.
type textPiece struct {
	event events.Event
	body  events.Text // as the event has it
	text  events.Text // what stands of it
}

func readPiece(header natsgo.Header, data []byte) (textPiece, bool) {
	e, err := decode(header, data, 0)
	if err != nil {
		return textPiece{}, false
	}
	p, err := events.DataAs[events.Text](e)
	return textPiece{e, p, p}, err == nil && p.Check() == nil
}

func (r *textReader) run(ctx context.Context) {
	defer close(r.out)
	defer func() {
		_ = r.sub.Unsubscribe()
		r.log.nc.RemoveStatusListener(r.up)
	}()
	for ok := r.catchUp(ctx); ok; {
		if r.lost() { // no later piece may come to show it
			ok = r.catchUp(ctx)
			continue
		}
		select {
		case msg := <-r.live:
			ok = r.next(ctx, msg)
		case <-r.up:
			ok = r.catchUp(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// next hands out a live piece, behind what was lost before it.
func (r *textReader) next(ctx context.Context, msg *natsgo.Msg) bool {
	p, ok := readPiece(msg.Header, msg.Data)
	if !ok {
		return true
	}
	if r.cursor.Missing(p.text) > 0 && !r.catchUp(ctx) {
		return false
	}
	return r.hand(ctx, p)
}

// lost reports whether the connection dropped messages of this reader since the last call.
func (r *textReader) lost() bool {
	dropped, err := r.sub.Dropped()
	if err != nil || dropped == r.dropped {
		return false
	}
	r.dropped = dropped
	return true
}

// catchUp hands out what the stream has and this reader has not. What cannot be read counts as lost. It is false when ctx ends.
func (r *textReader) catchUp(ctx context.Context) bool {
	pieces, err := r.stored(ctx)
	if err != nil && ctx.Err() == nil {
		r.log.logger.DebugContext(ctx, "the text of a task cannot be read", "task_id", r.id, "error", err)
	}
	for _, p := range standing(pieces) {
		if !r.hand(ctx, p) {
			return false
		}
	}
	return ctx.Err() == nil
}

// stored reads the task's pieces in the stream's order. The stream has one replica, so a direct read sees all of it.
func (r *textReader) stored(ctx context.Context) ([]textPiece, error) {
	if r.log.textBlind {
		return nil, nil
	}
	direct, err := newDirect(r.log.nc, events.StreamProgress, events.TaskText(r.tenant, r.id))
	if err != nil {
		return nil, err
	}
	defer direct.close()
	var pieces []textPiece
	var last uint64
	for page := 0; page < textPages; page++ {
		if err := direct.ask(last, 0); err != nil {
			return pieces, err
		}
		more, err := direct.page(ctx, func(m stored) {
			last = m.Seq
			if p, ok := readPiece(m.Header, m.Data); ok {
				pieces = append(pieces, p)
			}
		})
		if err != nil || !more {
			return pieces, err
		}
	}
	return pieces, fmt.Errorf("the stream has more than %d pieces of it", textPages*directBatch)
}

// standing returns the pieces in the text's order, without what later runs took back: a reader who comes late need not see it come
// and go, and it has gaps where a later run wrote over it.
func standing(pieces []textPiece) []textPiece {
	slices.SortStableFunc(pieces, func(a, b textPiece) int {
		return cmp.Or(cmp.Compare(a.text.Run, b.text.Run), cmp.Compare(a.text.Offset, b.text.Offset))
	})
	limit, old := events.MaxText, false // where the runs behind the piece begin, when there are any
	var kept []textPiece
	for i, p := range slices.Backward(pieces) {
		if i+1 < len(pieces) && pieces[i+1].text.Run != p.text.Run {
			limit, old = min(limit, pieces[i+1].text.RollbackTo), true
		}
		if old && p.text.Offset >= limit {
			continue
		}
		if p.text.End() > limit {
			p.text.Text, _ = events.CutText(p.text.Text, limit-p.text.Offset)
			p.text.Truncated = false
		}
		kept = append(kept, p)
	}
	slices.Reverse(kept)
	return kept
}

// hand gives what is new of p to the reader, unless ctx ends first.
func (r *textReader) hand(ctx context.Context, p textPiece) bool {
	fresh, ok := r.cursor.Next(p.text)
	if !ok {
		return true
	}
	if fresh != p.body {
		data, err := events.Marshal(fresh)
		if err != nil {
			return true
		}
		p.event.Data = data
	}
	select {
	case r.out <- p.event:
		return true
	case <-ctx.Done():
		return false
	}
}
