package nats_test

import (
	"context"
	"fmt"
	"os"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
)

// Two workers claim one task, and the log lets one of them have it.
func ExampleLog_Append() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	broker, err := nats.StartEmbedded(nats.EmbeddedConfig{StoreDir: dir, Port: -1, MonitorPort: -1})
	if err != nil {
		panic(err)
	}
	defer broker.Shutdown()
	nc, js, err := nats.Connect(nats.ConnectConfig{Embedded: broker})
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	ctx := context.Background()
	if _, err := nats.Provision(ctx, js, nats.Topology{Kinds: []string{"quiz"}}); err != nil {
		panic(err)
	}
	log := nats.NewLog(js, nats.LogConfig{})
	say := func(source string, p events.Payload, after uint64) (uint64, error) {
		e, err := events.New("school", "task-1", source, p)
		if err != nil {
			return 0, err
		}
		return log.Append(ctx, e, after)
	}
	queued, err := say("/api", events.Queued{Kind: "quiz", Input: []byte(`{}`), Priority: events.Normal, Dispatch: 1}, 0)
	fmt.Println("queued:", err)
	_, err = say("/workers/a", events.Started{Attempt: 1, Dispatch: 1, Worker: "a"}, queued)
	fmt.Println("claim by a:", err)
	_, err = say("/workers/b", events.Started{Attempt: 1, Dispatch: 1, Worker: "b"}, queued)
	fmt.Println("claim by b:", task.Stale(err))
	// Output:
	// queued: <nil>
	// claim by a: <nil>
	// claim by b: the history moved on: its last event is task.started by /workers/a
}
