package tasktest_test

import (
	"testing"

	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

func TestMemory_KeepsTheContracts(t *testing.T) {
	t.Parallel()
	tasktest.RunLog(t, func(*testing.T) task.Log { return tasktest.NewMemory() })
	tasktest.RunQueue(t, func(*testing.T) (task.Log, task.Queue) { m := tasktest.NewMemory(); return m, m })
	tasktest.RunBoard(t, func(*testing.T) (task.Log, task.ProgressBoard) { m := tasktest.NewMemory(); return m, m })
	tasktest.RunBlobs(t, func(*testing.T) task.Blobs { return tasktest.NewBlobs() })
}
