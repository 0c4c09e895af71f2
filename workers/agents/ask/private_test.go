package ask_test

import (
	"testing"

	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
)

// A turn of a chat whose calls are used up is asked without tools, as any other request: its words must stay out of caches then, too.
func TestCaller_OfAPrivateTaskWantsNoCache(t *testing.T) {
	t.Parallel()
	if !ask.CallerOf(task.Task{Private: true}).NoCache || !ask.CallerOf(task.Task{NoCache: true}).NoCache || ask.CallerOf(task.Task{}).NoCache {
		t.Error("private tasks, and those that say so, and no others, are kept in no cache")
	}
}
