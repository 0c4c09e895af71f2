package events

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of what is streamed. Lengths and offsets are in UTF-16 code units.
const (
	MaxText   = 256 << 10 // of one task; what a model writes beyond it stands in the result alone
	MaxPiece  = 1 << 10   // of one piece: at most 3 KiB of UTF-8, and 6 KiB of JSON
	MaxRounds = 1<<10 - 1 // times that one attempt takes back what it wrote
)

// Text is the body of task.text: a piece of what a model writes while a task runs, in its own words. An agent's answers are mostly
// JSON, and a reader sees them as they grow.
//
// The pieces of a task make one text, which goes on over its attempts: a step that is on record is not written again, and what an
// attempt wrote beyond the last such step is withdrawn by the next one. Offsets count UTF-16 code units, as the length of a string
// does in JavaScript, Java and C#; no piece ends in the middle of a character.
//
// A run is what was written without taking anything back: each attempt is one, or several. It begins at RollbackTo, behind what the run
// After and those before that have left. So a reader who holds a text t does this with a piece, and shows every word once:
//
//   - of an earlier run than the last piece: ignore it;
//   - of a later run: cut t to RollbackTo, or to nothing when the last piece was of a run before After, which was missed then;
//   - cut from the piece what t has already, which is len(t) - Offset units, and append the rest. Where Offset lies beyond the end of t,
//     something was lost in between: it can be read from the stream PROGRESS, or stands in the result.
//
// Pieces may overlap. TextCursor does the arithmetic, Transcript is such a reader.
type Text struct {
	Attempt    int    `json:"attempt"`
	Step       string `json:"step"`
	Run        uint64 `json:"run"`             // a later one is greater; see TextRun
	After      uint64 `json:"after,omitempty"` // the run that wrote the unit in front of RollbackTo; 0 when there is none
	RollbackTo int    `json:"rollback_to"`     // where the run began
	Offset     int    `json:"offset"`          // of the piece's first unit
	Text       string `json:"text"`            // may be empty: then the piece tells of a rollback
	Truncated  bool   `json:"truncated,omitempty"`
}

// TextMark says how far a task's text is on record.
type TextMark struct {
	Run uint64 `json:"run"` // that wrote the last unit
	End int    `json:"end"` // offset behind it
}

// TextRun returns the number of a run of an attempt, from the sequence of its task.started event and how often it has taken back what it
// wrote, at most MaxRounds times.
func TextRun(started uint64, round int) uint64 { return started*(MaxRounds+1) + uint64(round) }

// EventType implements Payload.
func (Text) EventType() Type { return TypeText }

// Check holds t against the bounds. Every error wraps ErrMalformed and names the field.
func (t Text) Check() error {
	length := TextLen(t.Text)
	switch {
	case t.Run == 0:
		return fmt.Errorf("%w: run is 0", ErrMalformed)
	case t.After >= t.Run:
		return fmt.Errorf("%w: after is %d, must be less than run, which is %d", ErrMalformed, t.After, t.Run)
	case length > MaxPiece || !utf8.ValidString(t.Text):
		return fmt.Errorf("%w: text has %d UTF-16 units, at most %d of valid text are allowed", ErrMalformed, length, MaxPiece)
	case t.RollbackTo < 0 || t.RollbackTo > t.Offset:
		return fmt.Errorf("%w: rollback_to is %d, must be 0 to offset, which is %d", ErrMalformed, t.RollbackTo, t.Offset)
	case t.Offset+length > MaxText:
		return fmt.Errorf("%w: offset is %d and the text has %d units, at most %d together are allowed", ErrMalformed, t.Offset, length, MaxText)
	}
	return nil
}

// End returns the offset behind t's last unit.
func (t Text) End() int { return t.Offset + TextLen(t.Text) }

// TextLen returns the length of s in UTF-16 code units.
func TextLen(s string) int {
	n := 0
	for _, r := range s {
		n += unitsOf(r)
	}
	return n
}

// CutText cuts s behind its first n UTF-16 code units, or in front of the character that lies across them.
func CutText(s string, n int) (head, tail string) {
	for i, r := range s {
		if n -= unitsOf(r); n < 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

func unitsOf(r rune) int { return max(utf16.RuneLen(r), 1) }

// TextCursor is how far a reader of one task's text has come. The zero value has read nothing. It is not safe for concurrent use.
type TextCursor struct {
	run       uint64
	end       int
	truncated bool
}

// TextCursorAt returns the cursor of a reader whose latest piece was of a run and ended at end.
func TextCursorAt(run uint64, end int) TextCursor { return TextCursor{run: run, end: end} }

// Run returns the run of the latest piece, 0 when there was none.
func (c *TextCursor) Run() uint64 { return c.run }

// End returns the offset behind what was read.
func (c *TextCursor) End() int { return c.end }

// Missing returns how many units were lost between what was read and p.
func (c *TextCursor) Missing(p Text) int {
	if p.Run < c.run {
		return 0
	}
	return max(0, p.Offset-c.keeps(p))
}

// keeps returns how much of what was read stays in front of p.
func (c *TextCursor) keeps(p Text) int {
	switch {
	case p.Run == c.run:
		return c.end
	case c.run < p.After:
		return 0
	}
	return min(c.end, p.RollbackTo)
}

// Next moves the cursor behind p and returns what of p is new, with its own Offset. It is false, and the cursor stays, when p tells
// nothing new or breaks its bounds. The first piece of a run is new also when it has no text.
func (c *TextCursor) Next(p Text) (Text, bool) {
	if p.Check() != nil || p.Run < c.run {
		return Text{}, false
	}
	again := p.Run == c.run
	next := TextCursor{run: p.Run, end: c.keeps(p), truncated: again && c.truncated}
	if known := next.end - p.Offset; known > 0 {
		_, p.Text = CutText(p.Text, known)
		p.Offset = next.end
	}
	if again && p.End() <= next.end && p.Truncated == next.truncated {
		return Text{}, false
	}
	next.end, next.truncated = p.End(), next.truncated || p.Truncated
	*c = next
	return p, true
}

// Transcript is what a reader of one task's text shows. The zero value is empty. It is not safe for concurrent use.
type Transcript struct {
	cursor TextCursor
	units  []uint16
	holes  []span
}

type span struct{ from, to int }

// Apply adds a piece. Pieces may be repeated, overlap and be lost.
func (t *Transcript) Apply(p Text) {
	keeps := t.cursor.keeps(p)
	p, ok := t.cursor.Next(p)
	if !ok {
		return
	}
	t.cut(keeps)
	if lost := (span{len(t.units), p.Offset}); lost.from < lost.to {
		t.holes = append(t.holes, lost)
		for range lost.to - lost.from {
			t.units = append(t.units, '…')
		}
	}
	t.units = append(t.units, utf16.Encode([]rune(p.Text))...)
}

func (t *Transcript) cut(end int) {
	t.units = t.units[:end]
	for len(t.holes) > 0 && t.holes[len(t.holes)-1].to > end {
		last := &t.holes[len(t.holes)-1]
		if last.from < end {
			last.to = end
			return
		}
		t.holes = t.holes[:len(t.holes)-1]
	}
}

// Missing returns how many units were lost of the text up to its end.
func (t *Transcript) Missing() int {
	n := 0
	for _, h := range t.holes {
		n += h.to - h.from
	}
	return n
}

// String returns the text, with a … for each unit that was lost.
func (t *Transcript) String() string { return string(utf16.Decode(t.units)) }
