package notify

import (
	"context"
	"hash/fnv"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// shard is the right to send to the channels that hash to it: whoever put a value in holds it. Those who wait get their
// turn in the order in which they came.
type shard chan struct{}

// acquire waits for the right, at most for the given time when it is above 0, and reports whether it was got.
func (s shard) acquire(ctx context.Context, atMost time.Duration) bool {
	var late <-chan time.Time
	if atMost > 0 {
		timer := time.NewTimer(atMost)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case s <- struct{}{}:
		return true
	case <-late:
	case <-ctx.Done():
	}
	return false
}

func (s shard) release() { <-s }

func hash(channel string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(channel))
	return int(h.Sum32() >> 1) // not negative where int has 32 bits
}

// sendQueues sends every shard's queue, all shards at once, and returns when all is accepted or why ctx ended.
func (n *Notifier) sendQueues(ctx context.Context, queues [][]Message) error {
	var g errgroup.Group
	for i, queue := range queues {
		if len(queue) == 0 {
			continue
		}
		g.Go(func() error {
			if !n.shards[i].acquire(ctx, 0) {
				return context.Cause(ctx)
			}
			defer n.shards[i].release()
			for msgs := range slices.Chunk(queue, MaxBatch) {
				if err := n.deliver(ctx, msgs, n.sendUntilAccepted); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// A sendFunc sends messages in one request and returns nil, a refusal, or why it gave up.
type sendFunc func(ctx context.Context, msgs []Message) error

// deliver sends msgs in order and sets aside those that are refused for good, which it finds by halving. It fails only when
// send gives up; then some of msgs may have been sent.
func (n *Notifier) deliver(ctx context.Context, msgs []Message, send sendFunc) error {
	err := send(ctx, msgs)
	if !refused(err) {
		return err
	}
	if len(msgs) > 1 {
		half := len(msgs) / 2
		if err := n.deliver(ctx, msgs[:half], send); err != nil {
			return err
		}
		return n.deliver(ctx, msgs[half:], send)
	}
	m := msgs[0]
	attrs := []any{slog.String("channel", m.Channel), slog.String("event", m.Event), slog.Int("bytes", len(m.Data)), slog.Any("error", err)}
	if m.Fallback == nil {
		n.stats.refused.Add(1)
		n.log.Warn("a message was refused and is dropped", attrs...)
		return nil
	}
	n.log.Warn("the end of a task was refused and is sent as a reference", attrs...)
	m.Data = m.Fallback
	switch err := send(ctx, []Message{m}); {
	case err == nil:
		n.stats.reduced.Add(1)
	case refused(err):
		n.stats.lost.Add(1)
		n.log.Error("the end of a task was refused even as a reference and is lost", attrs...)
	default:
		return err
	}
	return nil
}

// sendUntilAccepted sends msgs again and again until they are accepted or refused. Otherwise it returns why ctx ended.
func (n *Notifier) sendUntilAccepted(ctx context.Context, msgs []Message) error {
	for failures := 1; ; failures++ {
		err := n.sendOnce(ctx, msgs)
		if err == nil || refused(err) {
			return err
		}
		if err := n.retryIn(ctx, failures, err, "messages could not be sent", slog.Int("messages", len(msgs))); err != nil {
			return err
		}
	}
}

func (n *Notifier) sendOnce(ctx context.Context, msgs []Message) error {
	err := n.cfg.Sender.Send(ctx, msgs)
	if err == nil {
		n.stats.sent.Add(uint64(len(msgs)))
	}
	return err
}

// refused reports whether err says that a message will never be accepted.
func refused(err error) bool { return fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge) }
