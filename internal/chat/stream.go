package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Position is how far a reader of a turn has come: behind which event of the task's history, where in its text, and how many tools it
// heard of. The zero value has read nothing.
type Position struct {
	Seq   uint64
	Run   uint64
	End   int
	Tools int
	Over  bool // it has heard the end
}

const over = "end"

// String returns the position as a reader brings it back.
func (p Position) String() string {
	if p.Over {
		return over
	}
	return fmt.Sprintf("%d.%d.%d.%d", p.Seq, p.Run, p.End, p.Tools)
}

// ParsePosition reads what String wrote; an empty text is the beginning. Invalid: "Last-Event-ID".
func ParsePosition(text string) (p Position, err error) {
	switch text {
	case "":
		return p, nil
	case over:
		return Position{Over: true}, nil
	}
	parts := strings.Split(text, ".")
	bad := fault.InvalidField("Last-Event-ID", "is none that a stream of a chat gave out")
	if len(parts) != 4 {
		return p, bad
	}
	var n [4]uint64
	for i, part := range parts {
		if n[i], err = strconv.ParseUint(part, 10, 63); err != nil {
			return Position{}, bad
		}
	}
	if n[2] > events.MaxText || n[3] > 1<<16 {
		return Position{}, bad
	}
	return Position{Seq: n[0], Run: n[1], End: int(n[2]), Tools: int(n[3])}, nil
}

// Names of what a stream tells.
const (
	TellDelta   = "delta"   // Delta
	TellRestart = "restart" // Restart
	TellTool    = "tool"    // ToolUse
	TellDone    = "done"    // Done
	TellError   = "error"   // Failure
)

type (
	// Delta is a piece of the answer. All of them, in their order, are its text.
	Delta struct {
		Text string `json:"text"`
		// Missing is how many UTF-16 code units in front of the piece were lost; the whole answer comes with done.
		Missing int `json:"missing,omitempty"`
	}
	// Restart says that the text beyond the first Keep UTF-16 code units is void.
	Restart struct {
		Keep int `json:"keep"`
	}
	// Done is the end of a turn that was answered.
	Done struct {
		Message Message `json:"message"`
	}
)

// Told is one thing that a stream tells.
type Told struct {
	At   Position // behind it
	Name string
	Data any
}

// Stream is a turn as a reader follows it. It is not safe for concurrent use.
type Stream struct {
	// Events is what happens to the task: what each of them means, Tell says. Nil when the turn is over: then Rest is all that there is.
	Events <-chan events.Event
	Rest   []Told

	service *Service
	owner   Owner
	message Message
	at      Position
	cursor  events.TextCursor
}

// Follow returns a message's turn behind a position. Events is closed with ctx; who called drains it.
func (s *Service) Follow(ctx context.Context, o Owner, conversation, id string, from Position) (*Stream, error) {
	m, err := s.Message(ctx, o, conversation, id)
	if err != nil {
		return nil, err
	}
	st := &Stream{service: s, owner: o, message: m, at: from, cursor: events.TextCursorAt(from.Run, from.End)}
	if m.State != Open {
		st.Rest = st.rest(m)
		return st, nil
	}
	st.Events, err = s.tasks.Follow(ctx, o.Tenant, m.TaskID, from.Seq)
	return st, err
}

// rest returns what is left to tell of a turn that is over: its text anew, because nobody knows any more how it came about.
func (st *Stream) rest(m Message) (told []Told) {
	if st.at.Over {
		return nil
	}
	add := func(name string, data any) { told = append(told, Told{st.at, name, data}) }
	if m.Answer != nil {
		for _, u := range m.Answer.Tools[min(st.at.Tools, len(m.Answer.Tools)):] {
			st.at.Tools++
			add(TellTool, u)
		}
		if st.at.End > 0 {
			add(TellRestart, Restart{})
		}
		st.at.End = events.TextLen(m.Answer.Text)
		add(TellDelta, Delta{Text: m.Answer.Text})
	}
	return append(told, st.last(m))
}

func (st *Stream) last(m Message) Told {
	st.at = Position{Over: true}
	if m.State == Answered {
		return Told{st.at, TellDone, Done{m}}
	}
	f := Failure{Code: "lost", Message: "there is no answer"}
	if m.Error != nil {
		f = *m.Error
	}
	return Told{st.at, TellError, f}
}

// Tell returns what an event of Events tells, and whether that is the end. What came of the turn is on record then.
func (st *Stream) Tell(ctx context.Context, e events.Event) (told []Told, end bool, err error) {
	if e.Seq > st.at.Seq {
		st.at.Seq = e.Seq
	}
	switch {
	case e.Type == events.TypeText:
		return st.text(e), false, nil
	case e.Type == events.TypeStep:
		return st.tool(e), false, nil
	case e.Type.Terminal():
		m, err := st.service.Message(ctx, st.owner, st.message.Conversation, st.message.ID)
		if err != nil || m.State == Open {
			return nil, false, err // what follows a replay is told
		}
		return []Told{st.last(m)}, true, nil
	}
	return nil, false, nil
}

func (st *Stream) text(e events.Event) (told []Told) {
	p, err := events.DataAs[events.Text](e)
	if err != nil {
		return nil
	}
	missing, had, run := st.cursor.Missing(p), st.cursor.End(), st.cursor.Run()
	piece, fresh := st.cursor.Next(p)
	if !fresh {
		return nil
	}
	st.at.Run, st.at.End = st.cursor.Run(), st.cursor.End()
	if kept := piece.Offset - missing; run != 0 && piece.Run != run && kept < had {
		at := st.at
		at.End = kept
		told = append(told, Told{at, TellRestart, Restart{Keep: kept}})
	}
	if piece.Text != "" {
		told = append(told, Told{st.at, TellDelta, Delta{Text: piece.Text, Missing: missing}})
	}
	return told
}

// ToolStep begins the names of the steps in which tools are called. Their output is a ToolUse, among others.
const ToolStep = "tool-"

func (st *Stream) tool(e events.Event) []Told {
	step, err := events.DataAs[events.Step](e)
	if err != nil || !strings.HasPrefix(step.Name, ToolStep) {
		return nil
	}
	var u ToolUse
	if json.Unmarshal(step.Output, &u) != nil || u.N <= st.at.Tools {
		return nil
	}
	st.at.Tools = u.N
	return []Told{{st.at, TellTool, u}}
}
