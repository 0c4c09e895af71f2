package main

import (
	"encoding/json"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers/agents/chat"
)

// What a chat starts is its user's: counted against their limits, once for each key, on record with the turn that asked for it, and queued
// by the dispatcher.
func TestStarter_StartsInItsUsersName(t *testing.T) {
	t.Parallel()
	log := tasktest.NewMemory()
	counting, err := limit.NewLocal(limit.LocalConfig{})
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{}
	s := &system{broker: b}
	start, err := s.starter(counting, func() limit.Rates {
		return limit.NewRates(policy.Policy{Rates: []policy.Rate{{Class: limit.ClassQuiz, Tenant: "school", PerMinute: 1, Burst: 1}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	start.service.Log, start.service.Progress = log, log
	turn := task.Task{ID: "turn-1", Tenant: "school", UserID: "ada", Names: []string{"Grace Hopper", "Ada Byron"}, Private: true}
	order := chat.Order{Turn: turn, Key: "chat:turn-1:1", Kind: "quiz", Input: json.RawMessage(`{"subject":"History","objectives":["Tell of Grace Hopper"]}`)}
	first, err := start.Submit(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	again, err := start.Submit(t.Context(), order) // is not counted
	if err != nil || again != first {
		t.Errorf("%s, then %s, %v", first, again, err)
	}
	other := order
	other.Kind = "content"
	if id, err := start.Submit(t.Context(), other); !fault.Is(err, fault.Conflict) {
		t.Errorf("a task of another kind passes for %s: %v", id, err)
	}
	e, err := log.Last(t.Context(), "school", first)
	if err != nil {
		t.Fatal(err)
	}
	q, err := events.DataAs[events.Queued](e)
	if err != nil || q.UserID != "ada" || q.Direct || q.Private || q.Origin == nil || q.Origin.Chat != "turn-1" || len(q.Names) != 1 || q.Names[0] != "Grace Hopper" {
		t.Errorf("%+v, %v", q, err)
	}
	order.Key = "chat:turn-1:2"
	if _, err = start.Submit(t.Context(), order); !fault.Is(err, fault.RateLimited) {
		t.Errorf("beyond the limit: %v", err)
	}
	order.Turn.UserID = "eve"
	if _, err = start.Submit(t.Context(), order); err != nil {
		t.Errorf("another user's: %v", err)
	}
	log.SetDown(true)
	if _, err = start.Submit(t.Context(), order); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a broker: %v", err)
	}
}
