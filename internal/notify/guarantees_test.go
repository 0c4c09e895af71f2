package notify_test

import (
	"encoding/json"
	"fmt"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/notify"
)

// check holds what was sent against the package's guarantees and returns what breaks them:
//
//   - a channel's messages from the log come for the first time in the order of the log, none is missing, none is foreign
//   - no progress and no text of a task comes behind its end, until a replay, and text goes to the task's channel alone
//   - no request held more than MaxBatch messages
//
// It knows nothing of how the Notifier works: only the log, Route and what arrived.
func (w *world) check() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	problems := w.problems
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	type due struct {
		task     string
		seq      int
		terminal bool
		created  bool
	}
	expected := map[string][]due{}        // by channel
	place := map[string]map[string]int{}  // by channel: data → index in expected
	facts := map[string]notify.Snapshot{} // by task
	for _, e := range w.log {
		if q, err := events.DataAs[events.Queued](e); err == nil {
			facts[e.Task] = notify.Snapshot{Kind: q.Kind, UserID: q.UserID}
		}
		for _, m := range notify.Route(e, facts[e.Task]) {
			if place[m.Channel] == nil {
				place[m.Channel] = map[string]int{}
			}
			i := len(expected[m.Channel])
			place[m.Channel][string(m.Data)] = i
			if m.Fallback != nil {
				place[m.Channel][string(m.Fallback)] = i
			}
			expected[m.Channel] = append(expected[m.Channel], due{e.Task, int(e.Seq), e.Type.Terminal(), e.Type == events.TypeQueued})
		}
	}

	for channel, msgs := range w.sent {
		next := 0                // the first expected message that has not come yet
		over := map[string]int{} // task → index of its end
		for _, m := range msgs {
			i, fromLog := place[channel][string(m.Data)]
			if !fromLog {
				var p struct {
					TaskID string `json:"task_id"`
				}
				if err := json.Unmarshal(m.Data, &p); err != nil || m.Event != "task.progress" && (m.Event != "task.text" || channel != notify.TaskChannel(p.TaskID)) {
					bad("%s: foreign message %s %s", channel, m.Event, m.Data)
				} else if _, ended := over[p.TaskID]; ended {
					bad("%s: progress of task %s behind its end", channel, p.TaskID)
				}
				continue
			}
			d := expected[channel][i]
			switch {
			case i > next:
				bad("%s: event %d came before event %d", channel, d.seq, expected[channel][next].seq)
				next = i + 1
			case i == next:
				next++
			}
			if end, ended := over[d.task]; d.terminal {
				over[d.task] = i
			} else if d.created && ended && i > end {
				delete(over, d.task)
			}
		}
	}
	for channel, all := range expected {
		seen := map[int]bool{}
		for _, m := range w.sent[channel] {
			if i, ok := place[channel][string(m.Data)]; ok {
				seen[i] = true
			}
		}
		for i, d := range all {
			if !seen[i] {
				bad("%s: event %d never came (terminal: %v)", channel, d.seq, d.terminal)
			}
		}
	}
	return problems
}
