package workers

import (
	"context"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/events"
)

const (
	penPause = 50 * time.Millisecond  // between two rounds of pieces
	penFlush = 100 * time.Millisecond // how long a step's end waits for its last pieces to be on their way
	// penSlot is how long, in units, a piece grows until the next one begins behind it. Until then each piece repeats the one before,
	// and replaces it in the stream: a lost one is made good by the next, and what is stored stays near what was written.
	penSlot = events.MaxPiece / 2
	penHeld = 64 << 10 // units of text that wait for the broker
)

// pen streams the text of one attempt. A goroutine of its own talks to the board, since that may wait for a connection.
type pen struct {
	run     *Run
	fresh   bool // the task's first attempt: no reader has anything of it
	started uint64

	wake chan struct{}      // there is something to say
	now  chan chan struct{} // say all there is, and close the channel
	quit chan struct{}
	done chan struct{}

	mu     sync.Mutex
	next   events.Text // what the next piece has, but for its text: Offset is where held begins
	round  int
	mark   events.TextMark // what was on record when the step began
	inStep bool
	held   []byte
	end    int    // offset behind held
	said   int    // offset up to which the board has it
	tell   bool   // there is a piece to say though it may have no text
	part   []byte // the beginning of a character
	off    bool   // too many rounds
}

// newPen returns the pen of r's attempt and starts it. The caller holds r.mu.
func newPen(ctx context.Context, r *Run) *pen {
	p := &pen{
		run: r, started: r.started, fresh: r.task.Attempt == 1 && r.task.Dispatch == 1,
		wake: make(chan struct{}, 1), now: make(chan chan struct{}), quit: make(chan struct{}), done: make(chan struct{}),
		next: events.Text{Attempt: r.task.Attempt},
	}
	go p.talk(context.WithoutCancel(ctx))
	return p
}

// open begins the text of a step at mark. What stands beyond it was written for nothing.
func (p *pen) open(step string, mark events.TextMark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next.Step, p.mark, p.inStep, p.part = step, mark, true, nil
	switch {
	case p.next.Run == 0:
		p.begin()
		p.tell = !p.fresh
	case p.end != mark.End:
		p.again()
	default: // what could not be said yet is lost: its pieces would bear the wrong name
		p.next.Offset, p.said, p.held = p.end, p.end, nil
	}
	p.rouse()
}

func (p *pen) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part = nil
	if p.end > p.mark.End {
		p.again()
		p.rouse()
	}
}

// again begins a run that takes back what the one before wrote behind the mark.
func (p *pen) again() {
	if p.off = p.off || p.round == events.MaxRounds; p.off {
		return
	}
	p.round++
	p.begin()
	p.tell = true
}

func (p *pen) begin() {
	p.next.Run, p.next.After = events.TextRun(p.started, p.round), p.mark.Run
	p.next.RollbackTo, p.next.Offset, p.next.Truncated = p.mark.End, p.mark.End, false
	p.end, p.said, p.held, p.part = p.mark.End, p.mark.End, nil, nil
}

// endStep says what is left to say and returns how far the text is on record once the step is.
func (p *pen) endStep() *events.TextMark {
	p.mu.Lock()
	inStep, end, run := p.inStep && !p.off, p.end, p.next.Run
	p.inStep = false
	p.mu.Unlock()
	if !inStep {
		return nil
	}
	p.flush()
	if end == p.mark.End {
		return nil
	}
	return &events.TextMark{Run: run, End: end}
}

func (p *pen) write(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s = p.whole(s)
	if s == "" || p.off || p.next.Truncated {
		return
	}
	length := events.TextLen(s)
	if room := events.MaxText - p.end; length > room {
		s, _ = events.CutText(s, room)
		length, p.next.Truncated, p.tell = events.TextLen(s), true, true
	}
	p.held = append(p.held, s...)
	p.end += length
	if excess := p.end - p.next.Offset - penHeld; excess > 0 {
		p.drop(excess + penHeld/8) // room for a while
	}
	p.rouse()
}

// whole returns the whole characters of s with what was left before it, and keeps the beginning of one at its end.
func (p *pen) whole(s string) string {
	s = string(p.part) + s
	p.part = nil
	for i := len(s) - 1; i >= max(0, len(s)-utf8.UTFMax+1); i-- {
		if utf8.RuneStart(s[i]) {
			if !utf8.FullRuneInString(s[i:]) {
				s, p.part = s[:i], []byte(s[i:])
			}
			break
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// drop forgets at least the first n units that are held.
func (p *pen) drop(n int) {
	head, tail := events.CutText(string(p.held), n+1) // no less than n, where a character lies across
	p.next.Offset += events.TextLen(head)
	p.held = append(p.held[:0], tail...)
}

func (p *pen) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// flush has all said that there is, and waits for it, but not for long.
func (p *pen) flush() {
	late := time.NewTimer(penFlush)
	defer late.Stop()
	said := make(chan struct{})
	select {
	case p.now <- said:
	case <-late.C:
		return
	}
	select {
	case <-said:
	case <-late.C:
	}
}

// talk says what there is: at once, and then again after a pause.
func (p *pen) talk(ctx context.Context) {
	defer close(p.done)
	for {
		var said chan struct{}
		select {
		case <-p.wake:
		case said = <-p.now:
		case <-p.quit:
			return
		}
		p.say(ctx)
		if said != nil {
			close(said)
			continue
		}
		pause := time.NewTimer(penPause)
		select {
		case <-pause.C:
		case said = <-p.now:
			p.say(ctx)
			close(said)
		case <-p.quit:
		}
		pause.Stop()
	}
}

// say passes on what there is when it begins. What the board does not take is tried again after the pause.
func (p *pen) say(ctx context.Context) {
	p.mu.Lock()
	until := p.end
	p.mu.Unlock()
	for piece, ok := p.piece(until); ok; piece, ok = p.piece(until) {
		if !p.run.tell(ctx, piece) {
			p.rouse()
			return
		}
		p.told(piece)
	}
}

// piece returns the next piece, unless the board has the text up to the given offset.
func (p *pen) piece(until int) (events.Text, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Run == 0 || !p.tell && p.said >= min(until, p.end) {
		return events.Text{}, false
	}
	piece := p.next
	piece.Text, _ = events.CutText(string(p.held[:min(len(p.held), events.MaxPiece*utf8.UTFMax)]), events.MaxPiece)
	piece.Truncated = piece.Truncated && piece.End() == p.end
	return piece, true
}

func (p *pen) told(piece events.Text) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Run != piece.Run || p.next.Offset != piece.Offset {
		return // it was taken back, or dropped, meanwhile
	}
	p.tell, p.said = false, piece.End()
	if piece.End()-piece.Offset >= penSlot {
		p.next.Offset = piece.End()
		p.held = append(p.held[:0], p.held[len(piece.Text):]...)
	}
}
