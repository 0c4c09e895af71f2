package ask

import (
	"testing"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// WithoutSafety lets every text pass until the test ends. The test may not be parallel.
func WithoutSafety(t *testing.T) {
	on := safety
	safety = func(string, any, []string) []fault.Detail { return nil }
	t.Cleanup(func() { safety = on })
}

// CallerOf is for whom the calls of a task are made.
var CallerOf = caller
