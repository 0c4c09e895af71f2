package task_test

import (
	"context"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

// oracle answers in the place of the dispatcher.
type oracle struct {
	says task.Explanation
	err  error
}

func (o *oracle) Explain(context.Context, string, string) (task.Explanation, error) {
	return o.says, o.err
}

// What is over in a task's history does not say why it still does not run: the kind may be paused, its version gone, the dispatcher
// away.
func TestService_ExplainsWhatIsOverdueByTheDispatcher(t *testing.T) {
	t.Parallel()
	past, ahead := time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	away := fault.After(time.Second, "no dispatcher answers")
	unheard := fault.New(fault.NotFound, "not heard of")
	for name, c := range map[string]struct {
		last events.Payload
		err  error
		want task.Reason
	}{
		"RetryToCome":      {events.Retrying{Attempt: 1, Cause: events.CauseBug, NextAt: ahead}, nil, task.ReasonRetry},
		"RetryDue":         {events.Retrying{Attempt: 1, Cause: events.CauseBug, NextAt: past}, nil, task.ReasonPaused},
		"RetryDueAlone":    {events.Retrying{Attempt: 1, Cause: events.CauseBug, NextAt: past}, away, task.ReasonRetry},
		"RetryDueUnheard":  {events.Retrying{Attempt: 1, Cause: events.CauseBug, NextAt: past}, unheard, task.ReasonRetry},
		"WaitToCome":       {events.Waiting{Attempt: 1, Wait: events.WaitTime, Until: &ahead}, away, task.ReasonSleep},
		"WaitOver":         {events.Waiting{Attempt: 1, Wait: events.WaitTime, Until: &past}, nil, task.ReasonPaused},
		"WaitOverAlone":    {events.Waiting{Attempt: 1, Wait: events.WaitTime, Until: &past}, away, task.ReasonNoDispatcher},
		"WaitWithoutBound": {events.Waiting{Attempt: 1, Wait: events.WaitBudget}, away, task.ReasonBudget},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := tasktest.NewMemory()
			s := service(t, m)
			s.Explainer = &oracle{task.Explanation{Code: task.ReasonPaused}, c.err}
			made, _, err := submit(t, s, nil)
			if err != nil {
				t.Fatal(err)
			}
			e := tasktest.MustAppend(t, m, tasktest.Event(t, made.Tenant, made.ID, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}), made.Seq)
			tasktest.MustAppend(t, m, tasktest.Event(t, made.Tenant, made.ID, c.last), e.Seq)
			if x, err := s.Explain(t.Context(), made.Tenant, made.ID); err != nil || x.Code != c.want {
				t.Errorf("got %+v, want %s: %v", x, c.want, err)
			}
		})
	}
}
