package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	turns "github.com/toolboxai/orchestrator/internal/chat"
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
	}, newRights())
	if err != nil {
		t.Fatal(err)
	}
	start.rights.known.Store(true)
	start.service.Log, start.service.Progress = log, log
	turn := answering(t, log, "turn-1")
	turn.Names = []string{"Grace Hopper", "Ada Byron"}
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

// answering puts a turn of ada's on the log that a worker answers.
func answering(t *testing.T, log *tasktest.Memory, id string) task.Task {
	t.Helper()
	turn := task.Task{}
	for seq, p := range []events.Payload{
		events.Queued{Kind: "chat", Input: json.RawMessage(`{}`), Priority: events.High, Dispatch: 1, UserID: "ada", Private: true},
		events.Started{Attempt: 1, Dispatch: 1, Worker: "w"},
	} {
		inscribe(t, log, id, uint64(seq), p)
	}
	history, err := log.History(t.Context(), "school", id, 0, 10)
	if err == nil {
		turn, err = task.Fold(history)
	}
	if err != nil {
		t.Fatal(err)
	}
	return turn
}

func inscribe(t *testing.T, log *tasktest.Memory, id string, after uint64, p events.Payload) {
	t.Helper()
	e, err := events.New("school", id, "/test", p)
	if err == nil {
		_, err = log.Append(t.Context(), e, after)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Between a message and the call of a tool its user may have lost what they might do then. Nothing is started for them; what did not touch
// them hinders nobody. The control counts no revocation.
func TestStarter_GoesByTheRightsOfTheMoment(t *testing.T) {
	t.Parallel()
	sent := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	before, after, until := sent.Add(-time.Minute), sent.Add(2*time.Second), sent.Add(3*time.Second)
	revoke := func(kind, id string, at time.Time) func(*rights) {
		return func(r *rights) { r.revoked.Add(auth.Revocation{Kind: kind, ID: id, Before: at}) }
	}
	for name, c := range map[string]struct {
		happens func(*rights)
		grounds *turns.Grounds // those of a session when nil
		want    fault.Kind     // zero: it is started
	}{
		"Nothing":             {happens: func(*rights) {}},
		"TheUser":             {happens: revoke(auth.RevokedUser, "ada", after), want: fault.Forbidden},
		"TheUserLongAgo":      {happens: revoke(auth.RevokedUser, "ada", before.Add(-time.Second))},
		"TheUserWhileSending": {happens: revoke(auth.RevokedUser, "ada", before.Add(time.Second)), want: fault.Forbidden},
		"SomebodyElse":        {happens: revoke(auth.RevokedUser, "eve", after)},
		"TheTenant":           {happens: revoke(auth.RevokedTenant, "school", after), want: fault.Forbidden},
		"AnotherTenant":       {happens: revoke(auth.RevokedTenant, "college", after)},
		"TheAdminsHome":       {happens: revoke(auth.RevokedTenant, "home", after), grounds: &turns.Grounds{At: sent, Proved: before, Home: "home"}, want: fault.Forbidden},
		"TheKey":              {happens: revoke(auth.RevokedKey, "k1", after), grounds: &turns.Grounds{At: sent, Proved: before, KeyID: "k1"}, want: fault.Forbidden},
		"AnotherKey":          {happens: revoke(auth.RevokedKey, "k2", after), grounds: &turns.Grounds{At: sent, Proved: before, KeyID: "k1"}},
		"TheKeyEnds":          {happens: func(*rights) {}, grounds: &turns.Grounds{At: sent, Proved: before, KeyID: "k1", Until: &until}, want: fault.Forbidden},
		"OldMessage":          {happens: func(*rights) {}, grounds: &turns.Grounds{At: sent.Add(-time.Hour), Proved: sent.Add(-time.Hour)}, want: fault.Forbidden},
		"NothingKnown":        {happens: func(r *rights) { r.known.Store(false) }, want: fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := chat.Order{Turn: task.Task{UserID: "ada", Tenant: "school"}, Grounds: c.grounds}
			if o.Grounds == nil {
				o.Grounds = &turns.Grounds{At: sent, Proved: before}
			}
			r := newRights()
			r.known.Store(true)
			r.now = func() time.Time { return sent.Add(5 * time.Second) }
			c.happens(r)
			if err := r.check(o); (err != nil) != (c.want != 0) || err != nil && !fault.Is(err, c.want) {
				t.Errorf("%v", err)
			}
			if r.blind = true; r.check(o) != nil {
				t.Error("the control refuses")
			}
		})
	}
}

// A message of before there were grounds goes by when its turn was submitted.
func TestStarter_KnowsMessagesOfTheReleaseBefore(t *testing.T) {
	t.Parallel()
	r, now := newRights(), time.Now()
	r.known.Store(true)
	o := chat.Order{Turn: task.Task{UserID: "ada", Tenant: "school", CreatedAt: now.Add(-time.Minute)}}
	if err := r.check(o); err != nil {
		t.Error(err)
	}
	r.revoked.Add(auth.Revocation{Kind: auth.RevokedUser, ID: "ada", Before: now})
	if err := r.check(o); !fault.Is(err, fault.Forbidden) {
		t.Errorf("%v", err)
	}
}

// A worker that stood still while its turn ended starts nothing when it wakes up.
func TestStarter_StartsNothingForATurnThatIsOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happens func(t *testing.T, log *tasktest.Memory)
		want    bool
	}{
		"Nothing":   {func(*testing.T, *tasktest.Memory) {}, true},
		"Cancelled": {func(t *testing.T, log *tasktest.Memory) { inscribe(t, log, "turn-1", 2, events.Cancelled{By: "ada"}) }, false},
		"Erased":    {func(_ *testing.T, log *tasktest.Memory) { log.Forget("school", "turn-1", 2) }, false},
		"ClaimedAnew": {func(t *testing.T, log *tasktest.Memory) {
			inscribe(t, log, "turn-1", 2, events.Started{Attempt: 2, Dispatch: 1, Worker: "v"})
		}, false},
		"OnItsNextOne": {func(t *testing.T, log *tasktest.Memory) {
			inscribe(t, log, "turn-1", 2, events.Step{Attempt: 1, Name: "reply-1", InputHash: "a"})
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := tasktest.NewMemory()
			start, err := (&system{broker: &broker{}}).starter(nil, nil, newRights())
			if err != nil {
				t.Fatal(err)
			}
			start.rights.known.Store(true)
			start.service.Log, start.service.Progress = log, log
			turn := answering(t, log, "turn-1")
			c.happens(t, log)
			_, err = start.Submit(t.Context(), chat.Order{
				Turn: turn, Key: "chat:turn-1:1", Kind: "quiz", Input: json.RawMessage(`{"subject":"History","objectives":["Tell of Rome"]}`),
			})
			if started := err == nil; started != c.want || err != nil && !fault.Is(err, fault.Conflict) {
				t.Errorf("%v", err)
			}
		})
	}
}
