package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
)

// submitters is how many submit at once where syncs can be shared.
const submitters = 256

// durable measures submissions on a broker that writes each message through to disk before it acknowledges it: from many
// callers with group commit, beside one at a time, and beside the same callers without group commit. Then the same on a broker
// that leaves its messages in the page cache, where group commit is off by default: this is why. The stores are directories on
// disk; where TMPDIR is in memory, set it to one that is not.
func (b *bench) durable(ctx context.Context) error {
	alone, crowd, grouped := way{callers: 1}, way{callers: submitters}, way{callers: submitters, grouped: true}
	held := way{callers: submitters, grouped: true, held: true}
	for _, c := range []struct {
		sync           bool
		name, aim      string
		ours, baseline way
	}{
		{true, "(g) durable submissions, 256 callers with group commit : one at a time", "≥ 10", grouped, alone},
		{true, "(g) durable submissions, 256 callers with group commit : without", "", grouped, crowd},
		{true, "(g) the same that the dispatcher holds, with group commit : one at a time", "", held, way{callers: 1, held: true}},
		{false, "(g) submissions in the page cache, 256 callers with group commit : without", "", grouped, crowd},
	} {
		d, err := startDurable(ctx, c.sync)
		if err != nil {
			return err
		}
		err = b.compare(ctx, c.name, "1/s", c.aim, d.submissions(c.ours, b.scale), d.submissions(c.baseline, b.scale))
		if err = errors.Join(err, d.stop()); err != nil {
			return err
		}
	}
	return nil
}

// way is how tasks are submitted.
type way struct {
	callers int
	grouped bool
	held    bool // by the dispatcher: they are not queued yet
}

// Direct implements task.Gate.
func (w way) Direct(string, string, map[string]string) bool { return !w.held }

// durableBroker is a broker of its own, beside the one that the other measurements share.
type durableBroker struct {
	dir    string
	broker *nats.Embedded
	js     jetstream.JetStream
}

func startDurable(ctx context.Context, sync bool) (*durableBroker, error) {
	dir, err := os.MkdirTemp("", "toolboxai-bench-durable-")
	if err != nil {
		return nil, err
	}
	d := &durableBroker{dir: dir}
	if d.broker, err = nats.StartEmbedded(nats.EmbeddedConfig{StoreDir: filepath.Join(dir, "nats"), MonitorPort: -1, SyncAlways: sync}); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	nc, js, err := nats.Connect(nats.ConnectConfig{URL: d.broker.URL(), Name: "bench-durable"})
	if err != nil {
		return nil, errors.Join(err, d.stop())
	}
	d.js = js
	if _, err = nats.Provision(ctx, js, nats.Topology{Kinds: []string{"noop"}}); err != nil {
		nc.Close()
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

func (d *durableBroker) stop() error {
	if d.js != nil {
		d.js.Conn().Close()
	}
	if d.broker != nil {
		d.broker.Shutdown()
	}
	return os.RemoveAll(d.dir)
}

// submissions returns a measurement of how many are acknowledged a second.
func (d *durableBroker) submissions(w way, scale float64) func(context.Context) (float64, error) {
	took := time.Duration(float64(3*time.Second) * min(scale, 1))
	return func(ctx context.Context) (float64, error) {
		s, err := d.service(w)
		if err != nil {
			return 0, err
		}
		ctx, fail := context.WithCancelCause(ctx)
		defer fail(nil)
		var done atomic.Int64
		var group sync.WaitGroup
		began := time.Now()
		for range w.callers {
			group.Go(func() {
				for time.Since(began) < took && ctx.Err() == nil {
					if _, _, err := s.Submit(ctx, task.Submission{Tenant: "bench", UserID: "u", Kind: "noop", Input: input}); err != nil {
						fail(err)
						return
					}
					done.Add(1)
				}
			})
		}
		group.Wait()
		return float64(done.Load()) / time.Since(began).Seconds(), context.Cause(ctx)
	}
}

func (d *durableBroker) service(w way) (*task.Service, error) {
	catalog, err := task.NewCatalog([]task.Kind{kind("noop")})
	if err != nil {
		return nil, err
	}
	queue, err := nats.NewQueue(d.js, nats.QueueConfig{GroupCommit: w.grouped})
	if err != nil {
		return nil, err
	}
	log := nats.NewLog(d.js, nats.LogConfig{GroupCommit: w.grouped})
	return task.NewService(task.Config{
		Log: log, Queue: queue, Progress: log, Archive: tasktest.Archive{Memory: tasktest.NewMemory()}, Catalog: catalog, Gate: w,
	})
}
