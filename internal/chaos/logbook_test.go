//go:build chaos && linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/chaos"
)

// logbook is the log as the suite read it, by a client of its own.
type logbook struct {
	events []events.Event
	last   uint64
	tasks  map[string]string // by marker
}

// catchUp reads what was appended since the last time.
func (b *logbook) catchUp(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, events.StreamEvents)
	if err != nil {
		return err
	}
	end := stream.CachedInfo().State.LastSeq
	if end <= b.last {
		return nil
	}
	consumer, err := js.OrderedConsumer(ctx, events.StreamEvents, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: b.last + 1,
	})
	if err != nil {
		return err
	}
	for b.last < end {
		batch, err := consumer.Fetch(int(min(end-b.last, 500)), jetstream.FetchMaxWait(2*time.Second))
		if err != nil {
			return err
		}
		got := 0
		for msg := range batch.Messages() {
			if err := b.add(msg); err != nil {
				return err
			}
			got++
		}
		if got == 0 {
			return errors.Join(batch.Error(), fmt.Errorf("the log ends at %d and was read to %d", end, b.last))
		}
	}
	return nil
}

func (b *logbook) add(msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	e, err := events.Decode(msg.Headers().Get, msg.Data())
	if err != nil {
		return err
	}
	e.Seq = meta.Sequence.Stream
	if e.Type == events.TypeQueued {
		if b.tasks == nil {
			b.tasks = map[string]string{}
		}
		if mark := strings.ToLower(marker.FindString(string(e.Data))); mark != "" {
			b.tasks[mark] = e.Task
		}
	}
	if e.Type != events.TypeFailed && e.Type != events.TypeStep && e.Type != events.TypeQueued {
		e.Data = nil // the checker does not look at it
	}
	b.events, b.last = append(b.events, e), e.Seq
	return nil
}

// of returns the events of the given tasks.
func (b *logbook) of(tasks map[string]bool) []events.Event {
	var out []events.Event
	for _, e := range b.events {
		if tasks[e.Task] {
			out = append(out, e)
		}
	}
	return out
}

// collect returns the run of a load, as it is seen from outside now.
func (s *site) collect(l *load, since time.Time, plan chaos.Plan, listed map[string]string) chaos.Run {
	orders, accepted, _ := l.ledger.read()
	marks, ids := map[string]string{}, map[string]bool{}
	for _, o := range orders {
		if id, ok := s.log.tasks[o.mark]; ok {
			marks[o.mark], ids[id] = id, true
		}
	}
	for _, a := range accepted {
		ids[a.Task] = true
	}
	run := chaos.Run{
		Accepted: accepted, Log: s.log.of(ids), Calls: s.model.of(marks), Told: map[string]int{}, Listed: listed, Plan: plan,
	}
	for _, f := range s.faults() {
		if !f.From.Before(since) {
			run.Faults = append(run.Faults, f)
		}
	}
	for id := range ids {
		for _, m := range s.pusher.Messages("private-task-" + id) {
			if m.Event == "task.completed" || m.Event == "task.failed" || m.Event == "task.cancelled" {
				run.Told[id]++
			}
		}
	}
	return run
}

// lists reads the state of the given tasks from the lists of their tenants.
func (s *site) lists(ctx context.Context, c client, ids map[string]bool) (map[string]string, error) {
	states := map[string]string{}
	for _, tenant := range tenants() {
		for cursor := ""; ; {
			var page struct {
				Tasks []struct {
					ID    string `json:"task_id"`
					State string `json:"state"`
				} `json:"tasks"`
				Next string `json:"next"`
			}
			path := "/api/v1/tasks?limit=200"
			if cursor != "" {
				path += "&cursor=" + cursor
			}
			if err := c.request(ctx, tenant, "lister", "GET", path, "", nil, &page); err != nil {
				return nil, err
			}
			for _, t := range page.Tasks {
				if ids[t.ID] {
					states[t.ID] = t.State
				}
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	return states, nil
}
