package nats

import "github.com/toolboxai/orchestrator/internal/callback"

// The feed of the durable consumer Callbacks is what a callback.Planner plans from, and the log where it looks up what tasks are.
var (
	_ callback.Feed   = (*Feed)(nil)
	_ callback.Lookup = (*Log)(nil)
)
