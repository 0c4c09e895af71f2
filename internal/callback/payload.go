package callback

import (
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// MaxBody bounds a message, in bytes.
const MaxBody = 20_000

// message is the body of a request: the form that Standard Webhooks recommends.
type message struct {
	Type      events.Type `json:"type"`
	Timestamp string      `json:"timestamp"` // of the event, RFC 3339
	Data      any         `json:"data"`
}

// taskData never grows a field that holds content, names or errors.
type taskData struct {
	TaskID string            `json:"task_id"`
	Kind   string            `json:"kind"`
	State  string            `json:"state"`
	Seq    uint64            `json:"seq"`
	Tenant string            `json:"tenant_id"`
	Labels map[string]string `json:"labels,omitempty"`
	URL    string            `json:"url"` // of the task in the API
}

type testData struct {
	Tenant   string `json:"tenant_id"`
	Endpoint string `json:"endpoint_id"`
}

// stateAfter returns the state of a task after an event of a type of Lifecycle.
func stateAfter(t events.Type) string {
	switch t {
	case events.TypeQueued:
		return "queued"
	case events.TypeStarted:
		return "running"
	case events.TypeRetrying:
		return "retrying"
	case events.TypeWaiting:
		return "waiting"
	case events.TypeCompleted:
		return "completed"
	case events.TypeCancelled:
		return "cancelled"
	}
	return "failed" // discarding closes a dead letter and does not change what came of the task
}

// bodyOf returns the message about an event. Labels that would make it too large are left out.
func bodyOf(e events.Event, f facts, base string) ([]byte, error) {
	data := taskData{
		TaskID: e.Task, Kind: f.Kind, State: stateAfter(e.Type), Seq: e.Seq, Tenant: e.Tenant, Labels: f.Labels,
		URL: base + "/api/v1/tasks/" + e.Task,
	}
	body, err := encode(e.Type, e.Time, data)
	if err == nil && len(body) > MaxBody {
		data.Labels = nil
		body, err = encode(e.Type, e.Time, data)
	}
	return body, err
}

func encode(t events.Type, at time.Time, data any) ([]byte, error) {
	body, err := events.Marshal(message{Type: t, Timestamp: at.UTC().Format(time.RFC3339Nano), Data: data})
	if err != nil {
		return nil, fmt.Errorf("encode the message of %s: %w", t, err)
	}
	return body, nil
}
