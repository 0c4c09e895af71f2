package dispatch

import (
	"reflect"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// SetPolicy takes in a policy, which holds from now on. What is in the queue or runs is not called back.
func (b *Board) SetPolicy(p policy.Policy, now time.Time) {
	old := b.policy
	b.policy = p
	if !reflect.DeepEqual(old.Fairness, p.Fairness) || !reflect.DeepEqual(old.Limits, p.Limits) || !reflect.DeepEqual(old.Paused, p.Paused) {
		b.rebuild(at(now), func() {
			for _, t := range b.tenants {
				t.share, t.weight = p.Fairness.Share(t.name)
			}
			for _, k := range b.kinds {
				k.pausing, k.paused = p.PausedKind(k.name)
			}
		})
	}
	if !reflect.DeepEqual(old.Budgets, p.Budgets) || !reflect.DeepEqual(old.TopUps, p.TopUps) {
		b.budgetsAt = at(now)
		b.relieve()
	}
}

// relieve lets every task that waits for a budget try again.
func (b *Board) relieve() {
	for _, t := range b.tenants {
		for _, e := range t.tasks {
			if e.at == waits && e.wait.Wait == events.WaitBudget {
				e.relieved = true
				e.wake = b.wakeTime(e)
				b.setTimer(e)
			}
		}
	}
}
