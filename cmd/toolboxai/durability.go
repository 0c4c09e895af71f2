package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
)

// durabilityPause is how long a broker that did not answer is left alone before it is asked again how durable its log is.
const durabilityPause = 3 * time.Second

// durability returns what an acknowledgement means on this broker, as soon as the broker tells. Its only error is ctx's.
func (s *system) durability(ctx context.Context) (nats.Level, string, error) {
	how := nats.DurabilityConfig{SyncAlways: s.broker.syncAlways, MonitorURL: s.cfg.NATSMonitor}
	for said := false; ; said = true {
		level, sentence, err := nats.Durability(ctx, s.broker.js, how)
		if err == nil {
			return level, sentence, nil
		}
		if !said && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "the broker's durability is not known yet", "error", err)
		}
		select {
		case <-ctx.Done():
			return 0, "", ctx.Err()
		case <-time.After(durabilityPause):
		}
	}
}

// declare states what an acknowledgement means here and lets the API take work in, or returns an error where the configuration asks for
// more than that. It ends with ctx.
func (s *system) declare(ctx context.Context, known *atomic.Bool) error {
	level, sentence, err := s.durability(ctx)
	if err != nil {
		return nil //nolint:nilerr // being stopped is how it ends
	}
	if level < s.cfg.leastDurability() {
		return &usageError{fmt.Errorf("an acknowledgement means only %s here: %s; mend that (RUNBOOK.md, \"What an acknowledgement means\"), or accept it with ACCEPT_DURABILITY=%s",
			level, sentence, level)}
	}
	if level >= nats.LevelFsync || s.cfg.development() {
		s.logger.InfoContext(ctx, "what an acknowledgement means", "level", level.String(), "durability", sentence)
	} else {
		s.logger.WarnContext(ctx, "ACKNOWLEDGED WORK MAY BE LOST", "level", level.String(), "durability", sentence)
	}
	s.broker.groupCommit(level)
	known.Store(true)
	<-ctx.Done()
	return nil
}

// shareSyncs lets writes that come together share a sync where the broker syncs each. It ends with ctx.
func (s *system) shareSyncs(ctx context.Context) error {
	if level, _, err := s.durability(ctx); err == nil {
		s.broker.groupCommit(level)
	}
	<-ctx.Done()
	return nil
}

func (b *broker) groupCommit(level nats.Level) {
	b.log.GroupCommit(level == nats.LevelFsync)
	b.queue.GroupCommit(level == nats.LevelFsync)
}

// intake is the queue as the API sees it: it takes nothing in before it is known what an acknowledgement means, and no more than the
// dispatcher can hold: what waits its turn there is not in the queue yet, and fills it never.
type intake struct {
	task.Queue
	known atomic.Bool
	full  func() bool // nil: never
}

// fullPause is when a client that was refused may try again.
const fullPause = 5 * time.Second

// Admit implements task.Queue.
func (q *intake) Admit(ctx context.Context) error {
	if !q.known.Load() {
		return fault.After(time.Second, "the broker has not said yet how durable its log is")
	}
	if q.full != nil && q.full() {
		return fault.After(fullPause, "as many tasks are open as may be (TASK_QUEUE_LIMIT)")
	}
	return q.Queue.Admit(ctx)
}
