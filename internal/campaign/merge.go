package campaign

import (
	"encoding/json"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// merge applies a JSON merge patch (RFC 7386), an object, to an input: what the patch names takes the place of what is there, null
// removes it, and objects are merged. Invalid when either cannot be read.
func merge(input, patch json.RawMessage) (json.RawMessage, error) {
	target, err := task.ParseJSON("input", input)
	if err != nil {
		return nil, err
	}
	change, err := task.ParseJSON("edit", patch)
	if err != nil {
		return nil, err
	}
	object, ok := change.(map[string]any)
	if !ok {
		return nil, fault.InvalidField("edit", "must be a JSON object: a merge patch")
	}
	return events.Marshal(merged(target, object))
}

func merged(target any, patch map[string]any) map[string]any {
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, value := range patch {
		switch v := value.(type) {
		case nil:
			delete(object, name)
		case map[string]any:
			object[name] = merged(object[name], v)
		default:
			object[name] = value
		}
	}
	return object
}
