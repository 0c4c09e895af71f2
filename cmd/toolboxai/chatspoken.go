package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	turns "github.com/toolboxai/orchestrator/internal/chat"
)

// spoken is an answer as it is shown. What stands on a screen cannot be taken back: where a part is void, the answer is shown again, so that
// the last of it is whole.
type spoken struct {
	*talk
	text   string // what is shown and good
	open   bool   // a line stands without its end
	failed error  // why there is no answer
}

// hear shows an event of the stream. The end is errLast.
func (s *spoken) hear(f frame) error {
	if s.JSON {
		if err := s.print(f); err != nil {
			return err
		}
	}
	switch f.event {
	case turns.TellDelta:
		return telling(f, func(d turns.Delta) error { return s.add(d.Text) })
	case turns.TellRestart:
		return telling(f, func(r turns.Restart) error { return s.again(cutUnits(s.text, r.Keep)) })
	case turns.TellTool:
		return telling(f, func(u turns.ToolUse) error { s.note(usedTool(u)); return nil })
	case turns.TellDone:
		return telling(f, func(d turns.Done) error {
			if d.Message.Answer != nil && d.Message.Answer.Text != s.text {
				return errors.Join(s.again(d.Message.Answer.Text), errLast)
			}
			return errLast
		})
	case turns.TellError:
		return telling(f, func(e turns.Failure) error {
			s.failed = fmt.Errorf("there is no answer: %s (%s)", shown(e.Message), shown(e.Code))
			return errLast
		})
	}
	return nil // of a newer server
}

// telling decodes what an event says.
func telling[T any](f frame, fn func(T) error) error {
	var v T
	if err := json.Unmarshal(f.data, &v); err != nil {
		return fmt.Errorf("an event that cannot be read: %w", err)
	}
	return fn(v)
}

// print writes an event as the API has it in streams of lines.
func (s *spoken) print(f frame) error {
	line, err := json.Marshal(struct {
		Event string          `json:"event"`
		ID    string          `json:"id"`
		Data  json.RawMessage `json:"data"`
	}{f.event, f.id, f.data})
	if err != nil {
		return fmt.Errorf("an event that cannot be read: %w", err)
	}
	_, err = fmt.Fprintf(s.out, "%s\n", line)
	return err
}

func (s *spoken) add(piece string) error {
	if len(s.text)+len(piece) > maxAnswer {
		return fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	s.text += piece
	return s.show(piece)
}

// again shows text in the place of what was shown.
func (s *spoken) again(text string) error {
	if text == s.text {
		return nil
	}
	if s.text != "" {
		s.end()
		s.note("what stands above is void; the answer again:")
	}
	s.text = text
	return s.show(text)
}

func (s *spoken) show(text string) error {
	if s.JSON || text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = shown(lines[i])
	}
	s.open = !strings.HasSuffix(text, "\n")
	_, err := fmt.Fprint(s.out, strings.Join(lines, "\n"))
	return err
}

// note says something beside the answer.
func (s *spoken) note(text string) {
	if s.JSON {
		return
	}
	if s.together {
		s.end()
	}
	fmt.Fprintln(s.notes, text)
}

// end ends the line that is open.
func (s *spoken) end() {
	if s.open {
		s.open = false
		fmt.Fprintln(s.out)
	}
}

// usedTool says in a line what the assistant did.
func usedTool(u turns.ToolUse) string {
	text := "tool " + u.Name
	for _, part := range []string{u.Kind, u.TaskID} {
		if part != "" {
			text += " " + part
		}
	}
	if !u.OK {
		text += " failed: " + firstLine(u.Error)
	}
	return shown(text)
}

// cutUnits returns the first n UTF-16 code units of text.
func cutUnits(text string, n int) string {
	units := utf16.Encode([]rune(text))
	return string(utf16.Decode(units[:max(0, min(n, len(units)))]))
}
