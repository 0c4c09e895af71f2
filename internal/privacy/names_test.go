package privacy_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/privacy"
)

// school is a source of names that can be away.
type school struct {
	names []string
	err   error
	asked int
}

func (s *school) Names(context.Context, string) ([]string, error) {
	s.asked++
	return s.names, s.err
}

func TestNames_FindPeopleInInputs(t *testing.T) {
	t.Parallel()
	s := &school{names: []string{"Ada Lovelace", "José  Núñez-Vela", "Rose", "Jo Public", "Ann Lee"}}
	n := privacy.NewNames(s, slog.New(slog.DiscardHandler))
	input := json.RawMessage(`{"subject":"History of ADA   lovelace's engine","objectives":["Tell José Núñez-Vela of the Rose"],"context":{"deep":[{"who":"Jo Publican, Joann Lee"}]}}`)
	if d := cmp.Diff([]string{"ADA   lovelace", "José Núñez-Vela"}, n.NamesIn(t.Context(), "school", input)); d != "" {
		t.Error(d)
	}
	if got := n.NamesIn(t.Context(), "school", json.RawMessage(`{`)); got != nil {
		t.Errorf("garbage names %q", got)
	}
}

func TestNames_GoOnWithWhatTheyKnewWhileTheSourceIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &school{err: errors.New("away")}
		n := privacy.NewNames(s, slog.New(slog.DiscardHandler))
		input := json.RawMessage(`"Ada Lovelace"`)
		for range 3 { // and does not ask each time
			if got := n.NamesIn(t.Context(), "school", input); got != nil || s.asked != 1 {
				t.Fatalf("found %q after asking %d times", got, s.asked)
			}
		}
		s.names, s.err = []string{"Ada Lovelace"}, nil
		<-time.After(11 * time.Second)
		if got := n.NamesIn(t.Context(), "school", input); len(got) != 1 {
			t.Fatalf("found %q", got)
		}
		s.names, s.err = nil, errors.New("away")
		<-time.After(2 * time.Minute)
		if got := n.NamesIn(t.Context(), "school", input); len(got) != 1 || s.asked != 3 {
			t.Errorf("found %q after asking %d times", got, s.asked)
		}
	})
}
