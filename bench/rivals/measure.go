package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// clockwork is the handler of every task: it says when a task begins, and takes as long as it is told.
type clockwork struct {
	takes  atomic.Int64 // nanoseconds
	mu     sync.Mutex
	wanted string
	began  chan time.Time
}

func (c *clockwork) work(id string) {
	at := time.Now()
	c.mu.Lock()
	if id == c.wanted {
		c.wanted = ""
		c.began <- at
	}
	c.mu.Unlock()
	if d := time.Duration(c.takes.Load()); d > 0 {
		time.Sleep(d)
	}
}

// run measures one contender in this process.
func run(ctx context.Context, c contender, url string, serverPID, tasks int) (figures, error) {
	clock := &clockwork{began: make(chan time.Time, 1)}
	s, err := c.open(ctx, url, clock.work)
	if err != nil {
		return figures{}, err
	}
	var f figures
	done := 0
	if _, err := lives(ctx, s, "warm", tasks/10, &done); err != nil {
		return f, err
	}
	before, beforeServer := ownCPU(), treeCPU(serverPID)
	if f.NoopPerSecond, err = lives(ctx, s, "noop", tasks, &done); err != nil {
		return f, err
	}
	f.CPUMicros = float64((ownCPU() - before).Microseconds()) / float64(tasks)
	f.ServerMicros = float64((treeCPU(serverPID) - beforeServer).Microseconds()) / float64(tasks)
	if f.StartP50MS, f.StartP99MS, err = starts(ctx, s, clock, &done); err != nil {
		return f, err
	}
	clock.takes.Store(int64(workTime))
	if f.WorkPerSecond, err = lives(ctx, s, "work", min(tasks, 3000), &done); err != nil {
		return f, err
	}
	f.RSSMiB, f.ServerRSSMiB = ownRSS(), treeRSS(serverPID)
	return f, s.close()
}

// lives submits n tasks and returns how many were done a second.
func lives(ctx context.Context, s subject, prefix string, n int, done *int) (float64, error) {
	began := time.Now()
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range callers {
		group.Go(func() error {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := s.submit(ctx, prefix+strconv.FormatInt(i, 10)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("submit: %w", err)
	}
	*done += n
	if err := s.settled(context.WithoutCancel(ctx), *done); err != nil {
		return 0, fmt.Errorf("settle: %w", err)
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// starts measures how long an idle system takes to begin a task, 200 times.
func starts(ctx context.Context, s subject, clock *clockwork, done *int) (p50, p99 float64, err error) {
	const samples = 200
	var took []float64
	for i := range samples {
		id := "start" + strconv.Itoa(i)
		clock.mu.Lock()
		clock.wanted = id
		clock.mu.Unlock()
		began := time.Now()
		if err := s.submit(ctx, id); err != nil {
			return 0, 0, err
		}
		select {
		case at := <-clock.began:
			took = append(took, float64(at.Sub(began).Microseconds())/1000)
		case <-time.After(30 * time.Second):
			return 0, 0, fmt.Errorf("a task did not begin within 30 s")
		}
		*done++
		if err := s.settled(ctx, *done); err != nil {
			return 0, 0, err
		}
		time.Sleep(5 * time.Millisecond) // idle again
	}
	slices.Sort(took)
	return took[samples/2], took[samples*99/100], nil
}
