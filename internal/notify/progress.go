package notify

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

const (
	// flushEvery lies between the end of one flush and the start of the next, so no task is told of more than four times
	// a second.
	flushEvery = 250 * time.Millisecond
	// flushTasks bounds one flush. What does not fit waits, where a newer report can still replace it.
	flushTasks = 256
)

// listen keeps the progress subscription up until ctx ends.
func (n *Notifier) listen(ctx context.Context) {
	for failures := 1; ; failures++ {
		began := time.Now()
		err := n.cfg.Progress.Progress(ctx, n.report)
		if time.Since(began) > n.cfg.RetryMax {
			failures = 1
		}
		if n.retryIn(ctx, failures, err, "the progress subscription broke") != nil {
			return
		}
	}
}

// report keeps a volatile event until the next flush.
func (n *Notifier) report(e events.Event) {
	if e.Type == events.TypeText {
		n.texts.put(e)
		return
	}
	n.pending.put(e)
}

// flushAll flushes until ctx ends. After a failure it backs off: reports only grow fresher while they wait.
func (n *Notifier) flushAll(ctx context.Context) {
	for failures := 0; sleep(ctx, flushEvery) == nil; {
		err := n.flush(ctx)
		if err == nil {
			failures = 0
			continue
		}
		failures++
		if n.retryIn(ctx, failures, err, "progress could not be sent") != nil {
			return
		}
	}
}

// report is one message of a progress report, or of a piece of text.
type report struct {
	msg   Message
	event events.Event
}

// flush sends the reports and the text that wait longest, once. Those that could not be sent wait again. It returns the last failure.
func (n *Notifier) flush(ctx context.Context) error {
	taken := append(n.pending.take(flushTasks), n.texts.take(flushTasks)...)
	queues := make([][]report, len(n.shards))
	var failure error
	for i, e := range taken {
		facts, ok, err := n.progressFacts(ctx, e)
		if err != nil {
			failure = err
			n.putBack(taken[i:])
			break
		}
		if !ok || !n.open(e) {
			n.stats.dropped.Add(1)
			continue
		}
		for _, m := range Route(e, facts) {
			s := n.shardOf(m.Channel)
			queues[s] = append(queues[s], report{m, e})
		}
	}

	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		unsent = make(map[taskKey]events.Event)
		texts  []events.Event
	)
	for i, queue := range queues {
		if len(queue) == 0 {
			continue
		}
		wg.Go(func() {
			rest, err := n.sendReports(ctx, n.shards[i], queue)
			mu.Lock()
			defer mu.Unlock()
			for _, r := range rest {
				if r.event.Type == events.TypeText {
					texts = append(texts, r.event) // a task's pieces are all in one queue
				} else {
					unsent[keyOf(r.event)] = r.event
				}
			}
			if err != nil {
				failure = err
			}
		})
	}
	wg.Wait()
	n.putBack(slices.AppendSeq(texts, maps.Values(unsent)))
	return failure
}

func (n *Notifier) putBack(reports []events.Event) {
	var texts []events.Event
	for _, e := range reports {
		if e.Type == events.TypeText {
			texts = append(texts, e)
		} else {
			n.pending.putBack(e)
		}
	}
	n.texts.putBack(texts)
}

// sendReports sends a shard's reports and returns those that were not sent. Between two requests it gives way to the log.
// A shard that is busy for long is no failure: its reports wait and grow fresher.
func (n *Notifier) sendReports(ctx context.Context, s shard, queue []report) (unsent []report, err error) {
	for len(queue) > 0 {
		chunk := queue[:min(len(queue), MaxBatch)]
		if !s.acquire(ctx, flushEvery) {
			return queue, nil
		}
		// Only now, holding the shard, is it certain that no end of a task has been sent to these channels before.
		msgs := make([]Message, 0, len(chunk))
		for _, r := range chunk {
			if n.open(r.event) {
				msgs = append(msgs, r.msg)
			}
		}
		if len(msgs) > 0 {
			err = n.deliver(ctx, msgs, n.sendOnce)
		}
		s.release()
		if err != nil {
			return queue, err
		}
		queue = queue[len(chunk):]
	}
	return nil, nil
}

// progressFacts returns what is known of a report's task. After a restart the log tells it, and whether the task is over
// by now. It is false for a task that the log does not know.
func (n *Notifier) progressFacts(ctx context.Context, e events.Event) (Snapshot, bool, error) {
	if known, ok := n.tasks.facts(keyOf(e)); ok {
		return known, true, nil
	}
	facts, err := n.first(ctx, e)
	var last events.Event
	if err == nil {
		last, err = n.cfg.Lookup.Last(ctx, e.Tenant, e.Task)
	}
	if unknowable(err) {
		return Snapshot{}, false, nil
	}
	if err != nil {
		return Snapshot{}, false, err
	}
	n.tasks.adopt(keyOf(e), standing{facts: facts, over: last.Type.Terminal(), endSeq: last.Seq})
	return facts, true, nil
}
