package workers

import (
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/internal/task"
)

// Versioned is an Agent that can still work the way that its earlier versions did. A task keeps to the version that its life
// began with: it is on record with its first attempt, and Run.Version tells the agent. A replay begins with the current one.
type Versioned interface {
	Agent
	// Versions returns all versions that the agent can work as, at least one, the current one first. They do not change.
	Versions() []string
}

// versionPause is when a dispatch comes again that needs a version which this worker does not have.
const versionPause = 5 * time.Second

// versions returns the versions of the agent of a kind, nil when it has none.
func (r *Runner) versions(kind string) []string {
	if v, ok := r.agents[kind].(Versioned); ok {
		return v.Versions()
	}
	return nil
}

// version returns the version to work on t with, and whether this worker has it.
func (r *Runner) version(t task.Task) (string, bool) {
	versions := r.versions(t.Kind)
	switch {
	case t.Version != "":
		return t.Version, slices.Contains(versions, t.Version)
	case len(versions) > 0:
		return versions[0], true
	}
	return "", true
}
