package callback_test

import (
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/callback"
)

// A tenant's endpoints hear nothing of a private task, neither from a planner that saw it begin nor from one that asks the log. The
// control is the same task without the mark.
func TestPlanner_TellsNoEndpointOfPrivateTasks(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	k := newKit(t, r)
	id, _ := k.endpoint(r.url("/all"))
	for _, c := range []struct {
		task    string
		private bool
	}{{"chat-1", true}, {"quiz-1", false}} {
		q := queued("")
		q.Private = c.private
		begun := k.event(tenant, c.task, q)
		end := []events.Event{k.event(tenant, c.task, events.Started{Attempt: 1, Dispatch: 1}), k.event(tenant, c.task, events.Completed{Attempt: 1, Result: []byte(`{}`)})}
		anew, err := callback.NewPlanner(callback.PlannerConfig{Feed: noFeed{}, Lookup: k.history, Queue: k.store, Allow: k.allow, Now: k.clock.Now})
		must(t, err)
		must(t, anew.Plan(t.Context(), end...)) // which knows the task from the log
		must(t, k.planner.Plan(t.Context(), append([]events.Event{begun}, end...)...))
		n := 0
		for _, d := range k.log(callback.DeliveryFilter{EndpointID: id}) {
			if d.TaskID == c.task {
				n++
			}
		}
		if want := map[bool]int{true: 0, false: 3}[c.private]; n != want {
			t.Errorf("%s: %d deliveries, want %d", c.task, n, want)
		}
	}
}
