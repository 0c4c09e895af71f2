package notify_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/notify"
)

// What a private task says is told to whoever may read it and to its user; the control is the same task without the mark.
func TestRoute_TellsOfPrivateTasksNobodyElse(t *testing.T) {
	t.Parallel()
	for _, p := range talkative() {
		elsewhere := func(private bool) (n int) {
			if q, ok := p.(events.Queued); ok {
				q.Private = private
				p = q
			}
			for _, m := range notify.Route(event(t, "school", "task", p), notify.Snapshot{Kind: "chat", UserID: "teacher", Private: private}) {
				if m.Channel != notify.TaskChannel("task") && !strings.HasPrefix(m.Channel, "private-user-") {
					n++
				}
			}
			return n
		}
		if n := elsewhere(true); n != 0 {
			t.Errorf("%s: %d other channels are told", p.EventType(), n)
		}
		if n := elsewhere(false); n == 0 && p.EventType() != events.TypeText {
			t.Errorf("%s: no other channel is told of what is not private: the test does not see what it is there for", p.EventType())
		}
	}
}

// A notifier that begins anew asks the log whether a task is private. Where its beginning is gone, nobody but its own channel hears what was said.
func TestNotifier_HoldsPrivateTasksBackAfterARestart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		begin *events.Queued // nil: erased
		org   int            // messages on the tenant's channel that hold what was said
		any   int            // messages on it
	}{
		{"private", &events.Queued{Kind: "chat", Priority: events.Normal, Dispatch: 1, UserID: "teacher", Private: true}, 0, 0},
		{"erased", nil, 0, 2},
		{"control", &events.Queued{Kind: "quiz", Priority: events.Normal, Dispatch: 1, UserID: "teacher"}, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				if c.begin != nil {
					w.append(t, "school", "task", *c.begin)
					w.acked = 1
				}
				w.append(t, "school", "task", events.Started{Attempt: 1, Dispatch: 1})
				w.append(t, "school", "task", completed())
				stop := start(t, newNotifier(t, w.config()))
				pass(t, time.Second)
				w.tell(t, "school", "task", 50) // late: it is over
				pass(t, time.Second)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				said := 0
				for _, m := range w.on("private-org-school") {
					said += bytes.Count(m.Data, []byte("Volcanoes")) + bytes.Count(m.Fallback, []byte("Volcanoes"))
				}
				if n := len(w.on("private-org-school")); said != c.org || n < c.any || c.any == 0 && n > 0 {
					t.Errorf("%d of %d messages to the tenant hold what was said", said, n)
				}
				if c.begin != nil && c.begin.Private {
					for _, channel := range []string{notify.ChannelDashboard, notify.ChannelContent, notify.ChannelAgents} {
						if got := w.on(channel); len(got) > 0 {
							t.Errorf("%s was told %v", channel, got)
						}
					}
				}
				if len(w.on(notify.TaskChannel("task"))) == 0 {
					t.Error("its own channel was not told")
				}
			})
		})
	}
}
