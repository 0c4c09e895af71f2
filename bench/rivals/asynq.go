package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

type asynqSubject struct {
	client *asynq.Client
	server *asynq.Server
	done   *atomic.Int64
	look   *asynq.Inspector
}

func openAsynq(_ context.Context, address string, work func(id string)) (subject, error) {
	redis := asynq.RedisClientOpt{Addr: address, PoolSize: 2 * concurrency}
	s := &asynqSubject{client: asynq.NewClient(redis), done: new(atomic.Int64), look: asynq.NewInspector(redis)}
	s.server = asynq.NewServer(redis, asynq.Config{Concurrency: concurrency, LogLevel: asynq.FatalLevel, TaskCheckInterval: 5 * time.Millisecond})
	return s, s.server.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		work(string(t.Payload()))
		s.done.Add(1)
		return nil
	}))
}

func (s *asynqSubject) submit(ctx context.Context, id string) error {
	_, err := s.client.EnqueueContext(ctx, asynq.NewTask("job", []byte(id)))
	return err
}

func (s *asynqSubject) settled(_ context.Context, n int) error {
	for {
		if s.done.Load() >= int64(n) {
			info, err := s.look.GetQueueInfo("default")
			if err != nil || info.Active+info.Pending == 0 {
				return err
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (s *asynqSubject) close() error {
	s.server.Shutdown()
	s.look.Close()
	return s.client.Close()
}
