package nats_test

import (
	"testing"

	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func TestLog_KeepsTheContracts(t *testing.T) {
	t.Parallel()
	log := func(t *testing.T) *nats.Log { return nats.NewLog(natstest.Start(t).JS, nats.LogConfig{}) }
	tasktest.RunLog(t, func(t *testing.T) task.Log { return log(t) })
	tasktest.RunBoard(t, func(t *testing.T) (task.Log, task.ProgressBoard) { l := log(t); return l, l })
	tasktest.RunQueue(t, func(t *testing.T) (task.Log, task.Queue) {
		broker := natstest.Start(t)
		queue, err := nats.NewQueue(broker.JS, nats.QueueConfig{})
		if err != nil {
			t.Fatal(err)
		}
		return nats.NewLog(broker.JS, nats.LogConfig{}), queue
	})
}
