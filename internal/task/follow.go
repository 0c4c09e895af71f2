package task

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// textPatience is how long a step waits for the end of its text: the two come by different ways.
const textPatience = 250 * time.Millisecond

// follow splices a task's history and its text into one channel.
func (s *Service) follow(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	history, err := s.Log.Follow(ctx, tenant, id, after)
	if err != nil {
		cancel()
		return nil, err
	}
	text, err := s.Progress.Text(ctx, tenant, id)
	if err != nil {
		s.Logger.DebugContext(ctx, "the text of a task cannot be followed", "task_id", id, "error", err)
	}
	sp := &splice{history: history, text: text, out: make(chan events.Event)}
	go func() {
		defer close(sp.out)
		sp.run(ctx)
		cancel()
		for range history {
		}
		if text != nil {
			for range text {
			}
		}
	}()
	return sp.out, nil
}

type splice struct {
	history, text <-chan events.Event // text is nil when there is none
	out           chan events.Event
	cursor        events.TextCursor // what was handed out
	vain          bool              // a wait for text brought none, and none has come since
}

func (s *splice) run(ctx context.Context) {
	for {
		select {
		case e, open := <-s.history:
			if !open || !s.await(ctx, e) || !s.hand(ctx, e) {
				return
			}
		case e, open := <-s.text:
			if !s.take(ctx, e, open) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// await hands out the text that a step has on record before the step is. It gives up after textPatience, and does not try again until
// text comes. It is false when ctx ends.
func (s *splice) await(ctx context.Context, e events.Event) bool {
	if e.Type != events.TypeStep || s.vain {
		return true
	}
	step, err := events.DataAs[events.Step](e)
	if err != nil || step.Text == nil {
		return true
	}
	late := time.NewTimer(textPatience)
	defer late.Stop()
	for s.text != nil && (s.cursor.Run() < step.Text.Run || s.cursor.Run() == step.Text.Run && s.cursor.End() < step.Text.End) {
		select {
		case e, open := <-s.text:
			if !s.take(ctx, e, open) {
				return false
			}
		case <-late.C:
			s.vain = true
			return true
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// take hands out a piece of text. It is false when ctx ends.
func (s *splice) take(ctx context.Context, e events.Event, open bool) bool {
	if !open {
		s.text = nil
		return true
	}
	if p, err := events.DataAs[events.Text](e); err == nil {
		s.cursor.Next(p)
	}
	s.vain = false
	return s.hand(ctx, e)
}

func (s *splice) hand(ctx context.Context, e events.Event) bool {
	select {
	case s.out <- e:
		return true
	case <-ctx.Done():
		return false
	}
}
