package events_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
)

// moment is a piece, and the text as it stood when it was written.
type moment struct {
	piece events.Text
	text  string
}

var words = rapid.StringOfN(rapid.SampledFrom([]rune("ab{}\"\\\n<é漢…🌋𐀀\u2028\u0001")), 0, 12, -1)

// pen writes a task's text over several attempts and rounds, in pieces that overlap as a worker's do.
func pen(t *rapid.T) []moment {
	var out []moment
	var text []uint16
	var by []uint64 // the run that wrote each unit
	started, round := uint64(10), 0
	for run := range rapid.IntRange(1, 5).Draw(t, "runs") {
		back := len(text)
		if run > 0 {
			back = boundary(text, rapid.IntRange(0, len(text)).Draw(t, "back"))
			if rapid.Bool().Draw(t, "retried") {
				started, round = started+rapid.Uint64Range(1, 5).Draw(t, "later"), 0
			} else {
				round++
			}
		}
		text, by = slices.Clone(text[:back]), by[:back]
		p := events.Text{Attempt: run + 1, Step: "draft", Run: events.TextRun(started, round), RollbackTo: back, Offset: back}
		if back > 0 {
			p.After = by[back-1]
		}
		for range rapid.IntRange(1, 6).Draw(t, "pieces") {
			text = append(text, utf16.Encode([]rune(words.Draw(t, "words")))...)
			for len(by) < len(text) {
				by = append(by, p.Run)
			}
			p.Text = string(utf16.Decode(text[p.Offset:]))
			out = append(out, moment{p, string(utf16.Decode(text))})
			if rapid.Bool().Draw(t, "next slot") {
				p.Offset = len(text)
			}
		}
	}
	return out
}

// boundary moves n back to the start of a character.
func boundary(text []uint16, n int) int {
	if n > 0 && n < len(text) && text[n] >= 0xDC00 && text[n] < 0xE000 {
		n--
	}
	return n
}

func TestTranscript_ShowsEveryWordOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		written := pen(t)
		var reader events.Transcript
		for i, m := range written {
			reader.Apply(m.piece)
			for range rapid.IntRange(0, 3).Draw(t, "repeats") {
				reader.Apply(written[rapid.IntRange(0, i).Draw(t, "of")].piece)
			}
			if got := reader.String(); got != m.text || reader.Missing() != 0 {
				t.Fatalf("behind piece %d: got %q, want %q", i, got, m.text)
			}
		}
	})
}

func TestTranscript_ShowsWhatWasLostAsAGap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		written := pen(t)
		var reader events.Transcript
		lost := 0
		for i, m := range written {
			if i < len(written)-1 && rapid.Bool().Draw(t, "lost") {
				lost++
				continue
			}
			reader.Apply(m.piece)
		}
		got, want := utf16.Encode([]rune(reader.String())), utf16.Encode([]rune(written[len(written)-1].text))
		if len(got) != len(want) {
			t.Fatalf("got %q, want %q", string(utf16.Decode(got)), string(utf16.Decode(want)))
		}
		differ := 0
		for i := range got {
			if got[i] != want[i] {
				if differ++; got[i] != '…' {
					t.Fatalf("unit %d is %x, want %x or a gap", i, got[i], want[i])
				}
			}
		}
		if differ > reader.Missing() || lost == 0 && reader.Missing() > 0 {
			t.Fatalf("%d units differ, %d are said to be missing, %d pieces were lost", differ, reader.Missing(), lost)
		}
	})
}

// Without the rollback the words of an attempt that came to nothing stay, so the property above is worth something.
func TestTranscript_NeedsTheRollback(t *testing.T) {
	t.Parallel()
	wrong := false
	rapid.Check(t, func(t *rapid.T) {
		written := pen(t)
		var reader events.Transcript
		for _, m := range written {
			m.piece.RollbackTo, m.piece.Run, m.piece.After = 0, 1, 0
			reader.Apply(m.piece)
		}
		wrong = wrong || reader.String() != written[len(written)-1].text
	})
	if !wrong {
		t.Error("readers that know of no rollback show the right text")
	}
}

func TestTextCursor_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	var c events.TextCursor
	for i, step := range []struct {
		piece   events.Text
		missing int
		fresh   string
		ok      bool
	}{
		{events.Text{Run: 5, Text: "abc"}, 0, "abc", true},
		{events.Text{Run: 5, Text: "abc"}, 0, "", false},
		{events.Text{Run: 5, Offset: 1, Text: "bcd"}, 0, "d", true},
		{events.Text{Run: 5, Offset: 9, Text: "j"}, 5, "j", true},
		{events.Text{Run: 4, Offset: 20, Text: "zombie"}, 0, "", false},
		{events.Text{Run: 5, Offset: 10, Truncated: true}, 0, "", true},
		{events.Text{Run: 5, Offset: 10, Truncated: true}, 0, "", false},
		{events.Text{Run: 6, After: 5, RollbackTo: 2, Offset: 2}, 0, "", true},
		{events.Text{Run: 6, After: 5, RollbackTo: 2, Offset: 2}, 0, "", false},
		{events.Text{Run: 8, After: 5, RollbackTo: 4, Offset: 6, Text: "x"}, 4, "x", true},
		{events.Text{Run: 10, After: 9, RollbackTo: 5, Offset: 6, Text: "y"}, 6, "y", true},
		{events.Text{Run: 8, RollbackTo: 4, Offset: 2, Text: "malformed"}, 0, "", false},
	} {
		if step.ok {
			if got := c.Missing(step.piece); got != step.missing {
				t.Errorf("piece %d: %d are missing, want %d", i, got, step.missing)
			}
		}
		if got, ok := c.Next(step.piece); ok != step.ok || got.Text != step.fresh {
			t.Errorf("piece %d: got %+v, %v", i, got, ok)
		}
	}
	if c.Run() != 10 || c.End() != 7 {
		t.Errorf("the cursor stands at %d of run %d", c.End(), c.Run())
	}
}

func TestText_CheckNamesTheField(t *testing.T) {
	t.Parallel()
	for field, p := range map[string]events.Text{
		"run":         {},
		"after":       {Run: 1, After: 1},
		"text":        {Run: 1, Text: strings.Repeat("x", events.MaxPiece+1)},
		"text has":    {Run: 1, Text: "\xff"},
		"rollback_to": {Run: 1, RollbackTo: 2, Offset: 1},
		"offset":      {Run: 1, Offset: events.MaxText, Text: "x"},
	} {
		if err := p.Check(); !errors.Is(err, events.ErrMalformed) || !strings.Contains(err.Error(), field) {
			t.Errorf("%+v: got %v, want an error about %s", p, err, field)
		}
	}
}

func TestCutText_KeepsCharactersWhole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		s          string
		n          int
		head, tail string
	}{{"abc", 1, "a", "bc"}, {"a🌋b", 1, "a", "🌋b"}, {"a🌋b", 2, "a", "🌋b"}, {"a🌋b", 3, "a🌋", "b"}, {"é", 5, "é", ""}, {"", 1, "", ""}, {"x", 0, "", "x"}} {
		if head, tail := events.CutText(c.s, c.n); head != c.head || tail != c.tail {
			t.Errorf("%q at %d: %q and %q", c.s, c.n, head, tail)
		}
	}
	if n := events.TextLen("a🌋é"); n != 4 {
		t.Errorf("a🌋é has %d units, want 4", n)
	}
}

// checkReader shows a reader a piece of unknown origin between two good ones.
func checkReader(t *testing.T, p events.Text) {
	var reader events.Transcript
	for _, piece := range []events.Text{{Run: 1, Text: "abc"}, p, p, {Run: 1, Offset: 3, Text: "def"}} {
		reader.Apply(piece)
	}
	shown := reader.String()
	if !utf8.ValidString(shown) || events.TextLen(shown) > events.MaxText+1 || reader.Missing() > events.MaxText {
		t.Fatalf("%+v: a text of %d units, %d missing", p, events.TextLen(shown), reader.Missing())
	}
}
