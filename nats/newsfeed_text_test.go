package nats_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func TestNewsfeed_TextIsWholeForWhoeverJoinsWhenever(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := nats.NewLog(broker.JS, nats.LogConfig{})
	nats.Hasty(log)
	feed := runFeed(t, broker.Conn, nats.NewsfeedConfig{})
	until(t, "the feed runs", func() bool { return nats.Running(feed) })
	open := func(ctx context.Context, tenant, id string) (<-chan events.Event, error) {
		return feed.Text(ctx, log, tenant, id)
	}
	for seed := range uint64(25) {
		if err := readBy(t, log, open, seed); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

func TestNewsfeed_ReadersOfTextsMakeNoSubscriptions(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := nats.NewLog(broker.JS, nats.LogConfig{})
	nc := connect(t, broker)
	feed := runFeed(t, nc, nats.NewsfeedConfig{})
	until(t, "the feed runs", func() bool { return nats.Running(feed) })
	before := nc.NumSubscriptions()
	var all []<-chan events.Event
	for i := range 100 {
		ch, err := feed.Text(t.Context(), log, "school", fmt.Sprint("task-", i%10))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ch)
	}
	if n := nc.NumSubscriptions(); n != before {
		t.Errorf("100 readers made %d subscriptions", n-before)
	}
	for i := range 10 {
		report(t, log, fmt.Sprint("task-", i), events.Text{Run: 1, Text: fmt.Sprint("this is ", i)})
	}
	for i, ch := range all {
		if p := nextText(t, ch); p.Text != fmt.Sprint("this is ", i%10) {
			t.Errorf("reader %d got %q", i, p.Text)
		}
	}
}
