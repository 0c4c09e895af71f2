package workers_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
)

// An agent is a kind and a function. What runs inside Step is on record once it returned, and is not done again when the
// worker dies behind it.
func ExampleNew() {
	type input struct {
		Subject string `json:"subject"`
	}
	type haiku struct {
		Lines []string `json:"lines"`
	}
	agent := workers.New(task.Kind{
		Name:         "haiku",
		Title:        "Haiku",
		Description:  "Three lines about a subject.",
		InputSchema:  json.RawMessage(`{"type":"object","required":["subject"],"properties":{"subject":{"type":"string"}}}`),
		OutputSchema: json.RawMessage(`{"type":"object","required":["lines"],"properties":{"lines":{"type":"array","minItems":3,"maxItems":3}}}`),
		Example:      json.RawMessage(`{"subject":"rain"}`),
	}, func(ctx context.Context, run *workers.Run, in input) (haiku, error) {
		run.Progress(ctx, 10, "Looking out of the window")
		return workers.Step(ctx, run, "draft", in, func(context.Context) (haiku, error) {
			return haiku{Lines: []string{"Grey " + in.Subject + " on slate,", "a bell counts the empty bus,", "one red boot walks on."}}, nil
		})
	})

	log := tasktest.NewMemory()
	runner, err := workers.NewRunner(workers.RunnerConfig{Worker: "laptop", Agents: []workers.Agent{agent}, Log: log, Board: log})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	queued, err := events.New("school", "task-1", "/example", events.Queued{
		Kind: "haiku", Input: json.RawMessage(`{"subject":"rain"}`), Priority: events.Normal, Dispatch: 1, UserID: "teacher",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if queued.Seq, err = log.Append(ctx, queued, 0); err != nil {
		fmt.Println(err)
		return
	}
	dispatch := message.NewMessage(queued.ID, message.Payload(queued.Data))
	for name, value := range queued.Attributes() {
		dispatch.Metadata.Set(name, value)
	}
	dispatch.Metadata.Set(events.HeaderSeq, fmt.Sprint(queued.Seq))
	dispatch.Metadata.Set(events.HeaderQueueSubject, "tasks.haiku.normal.school.task-1.1")
	if err := runner.Handle(dispatch); err != nil {
		fmt.Println(err)
		return
	}
	history, err := log.History(ctx, "school", "task-1", 0, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range history {
		fmt.Println(e.Seq, e.Type)
	}
	done, err := task.Fold(history)
	fmt.Println(done.State, string(done.Result), err)
	// Output:
	// 1 task.queued
	// 2 task.started
	// 3 task.step
	// 4 task.completed
	// completed {"lines":["Grey rain on slate,","a bell counts the empty bus,","one red boot walks on."]} <nil>
}
