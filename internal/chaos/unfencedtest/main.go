// Command unfencedtest is a worker that appends whatever it has to say, no matter what others have said meanwhile. The chaos suite
// runs it to see its checker find what the fence of the log prevents. Nothing else may run it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := work(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

// log is a task.Log without its fence.
type log struct{ task.Log }

// Append appends e behind whatever is last.
func (l log) Append(ctx context.Context, e events.Event, after uint64) (uint64, error) {
	for {
		seq, err := l.Log.Append(ctx, e, after)
		stale := task.Stale(err)
		if stale == nil {
			return seq, err
		}
		after = stale.Last.Seq
	}
}

func work(ctx context.Context) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	conn, js, err := nats.Connect(nats.ConnectConfig{URL: os.Getenv("NATS_URL"), Name: "unfenced", Logger: logger})
	if err != nil {
		return err
	}
	defer conn.Close()
	client, err := llm.Select(ctx, llm.Config{
		Provider: "openai", OpenAI: llm.Endpoint{Key: os.Getenv("OPENAI_API_KEY"), Base: os.Getenv("OPENAI_API_BASE")},
	})
	if err != nil {
		return err
	}
	all, err := agents.All(client)
	if err != nil {
		return err
	}
	real := nats.NewLog(js, nats.LogConfig{Logger: logger})
	runner, err := workers.NewRunner(workers.RunnerConfig{
		Worker: "unfenced-" + uuid.NewString()[:8], Agents: all, Log: log{real}, Board: real, Logger: logger,
		CancelCheck: time.Hour, // nor does it look whether somebody else has taken over
	})
	if err != nil {
		return err
	}
	subscriber, err := nats.NewSubscriber(js, nats.SubscriberConfig{Slots: 2, Logger: logger})
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: time.Second}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	router.AddConsumerHandler("work-quiz", "quiz", subscriber, runner.Handle)
	ran := make(chan error, 1)
	go func() { ran <- router.Run(context.WithoutCancel(ctx)) }()
	<-router.Running()
	logger.Info("worker pulls", "kinds", json.RawMessage(`["quiz"]`))
	<-ctx.Done()
	return errors.Join(router.Close(), subscriber.Close(), <-ran)
}
