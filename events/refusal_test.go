package events_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
)

func refusals(n, bytes int, char string) []events.Refusal {
	list := make([]events.Refusal, n)
	for i := range list {
		list[i] = events.Refusal{Attempt: i/2 + 1, Step: strings.Repeat(char, bytes), Round: i%2 + 1, Text: strings.Repeat(char, bytes)}
		for range 50 {
			list[i].Reasons = append(list[i].Reasons, events.Reason{Field: strings.Repeat(char, 500), Reason: strings.Repeat(char, 500)})
		}
	}
	return list
}

func TestKeepRefusals_KeepsTheNewestWholeAndClipsTheRest(t *testing.T) {
	t.Parallel()
	kept := events.KeepRefusals(refusals(20, 10<<10, "x"))
	if len(kept) != events.MaxRefusals {
		t.Fatalf("%d are kept", len(kept))
	}
	for i, r := range kept {
		want := events.MaxRefusedOlder
		if i >= len(kept)-2 {
			want = 10 << 10
		}
		if len(r.Text) != want || r.Bytes != 10<<10 || len(r.Reasons) != 10 || r.More != 40 {
			t.Errorf("refusal %d: %d bytes of %d, %d reasons and %d more", i, len(r.Text), r.Bytes, len(r.Reasons), r.More)
		}
	}
	if last := kept[len(kept)-1]; last.Attempt != 10 || last.Round != 2 {
		t.Errorf("the last one is of attempt %d, round %d", last.Attempt, last.Round)
	}
}

// TestKeepRefusals_FitsAnEvent gives them the characters that take the most room in JSON.
func TestKeepRefusals_FitsAnEvent(t *testing.T) {
	t.Parallel()
	for _, char := range []string{"\x01", "\x00", "\xff", "<", "\"", "🌋"} {
		list := refusals(20, 60<<10, char)
		e, err := events.New(tenant, taskID, "/workers/w", events.Failed{Attempts: 9, Cause: events.CauseInvalidOutput, Refused: events.KeepRefusals(list)})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Check(); err != nil {
			t.Errorf("%q: %v", char, err)
		}
		if whole, err := events.Marshal(events.Failed{Refused: list}); err != nil || len(whole) <= events.MaxData {
			t.Errorf("%q: the control is no larger than an event may be: %d bytes, %v", char, len(whole), err)
		}
	}
}

func TestKeepRefusals_ChangesNothingTheSecondTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := make([]events.Refusal, rapid.IntRange(0, 12).Draw(t, "n"))
		for i := range list {
			text := strings.Repeat(rapid.String().Draw(t, "text"), rapid.IntRange(1, 2000).Draw(t, "times"))
			list[i] = events.Refusal{Step: fmt.Sprint(i), Text: text, Reasons: make([]events.Reason, rapid.IntRange(0, 15).Draw(t, "reasons"))}
		}
		once := events.KeepRefusals(list)
		if diff := cmp.Diff(once, events.KeepRefusals(once)); diff != "" {
			t.Fatal(diff)
		}
		for _, r := range once {
			if !utf8.ValidString(r.Text) || len(r.Text) > events.MaxRefusedText || r.Bytes < len(r.Text) {
				t.Fatalf("%d of %d bytes", len(r.Text), r.Bytes)
			}
		}
	})
}
