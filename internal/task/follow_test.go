package task_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

// followed gathers what a reader sees in a second.
func followed(t *testing.T, ch <-chan events.Event) (seen []string) {
	t.Helper()
	over := time.After(time.Second)
	for {
		select {
		case e := <-ch:
			what := string(e.Type)
			if p, err := events.DataAs[events.Text](e); err == nil {
				what = fmt.Sprintf("%d:%s", p.Offset, p.Text)
			}
			seen = append(seen, what)
		case <-over:
			return seen
		}
	}
}

// A step stands behind the words that it has on record, although the two come by different ways; where the words are lost it comes
// all the same.
func TestService_FollowShowsTheWordsOfAStepBeforeTheStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := tasktest.NewMemory()
		s := service(t, m)
		made, _, err := submit(t, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		put := func(after uint64, p events.Payload) uint64 {
			return tasktest.MustAppend(t, m, tasktest.Event(t, made.Tenant, made.ID, p), after).Seq
		}
		say := func(p events.Text) {
			if err := m.Report(t.Context(), tasktest.Event(t, made.Tenant, made.ID, p)); err != nil {
				t.Fatal(err)
			}
		}
		seq := put(made.Seq, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
		say(events.Text{Attempt: 1, Step: "draft", Run: 1, Text: "so far"})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ch, err := s.Follow(ctx, made.Tenant, made.ID, made.Seq)
		if err != nil {
			t.Fatal(err)
		}
		if got := followed(t, ch); len(got) != 2 || !slices.Contains(got, "task.started") || !slices.Contains(got, "0:so far") {
			t.Errorf("at the beginning: %q", got)
		}
		step := events.Step{Attempt: 1, Name: "draft", Output: json.RawMessage(`1`), Text: &events.TextMark{Run: 1, End: 12}}
		seq = put(seq, step)
		time.AfterFunc(100*time.Millisecond, func() { say(events.Text{Attempt: 1, Step: "draft", Run: 1, Text: "so far, late"}) })
		if got, want := followed(t, ch), []string{"6:, late", "task.step"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		step.Text.End = 99
		put(seq, step)
		began := time.Now()
		if e := <-ch; e.Type != events.TypeStep || time.Since(began) > time.Second {
			t.Errorf("a step whose words are lost: got %s after %s", e.Type, time.Since(began))
		}
		cancel()
		for range ch {
		}
	})
}
