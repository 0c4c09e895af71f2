package dispatch_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
)

const (
	benchTasks   = 100_000
	benchTenants = 1000
)

// crowd is events of as many tasks as a full queue holds.
func crowd(b *testing.B, input string) []events.Event {
	b.Helper()
	all := make([]events.Event, benchTasks)
	for i := range all {
		e, err := events.New(fmt.Sprintf("school%d", i*7919%benchTenants), fmt.Sprintf("0192f3a0-0000-7000-8000-%012d", i), "/api", events.Queued{
			Kind: allKinds[i%3], Input: json.RawMessage(input), Priority: events.Lanes()[i%3], Dispatch: 1, UserID: fmt.Sprintf("user%d", i%50_000),
		})
		if err != nil {
			b.Fatal(err)
		}
		e.Seq = uint64(i + 1)
		all[i] = e
	}
	return all
}

func crowdBoard(all []events.Event, cache int64, now time.Time) *dispatch.Board {
	board := dispatch.NewBoard(dispatch.BoardConfig{Cache: cache})
	board.Act(true)
	board.SetWorkers([]task.Worker{{Name: "w", Slots: 64, Kinds: []task.WorkerKind{{Kind: "quiz"}, {Kind: "content"}, {Kind: "terrain"}}}}, now)
	board.SetPolicy(policy.Policy{Limits: []policy.Limit{{Name: "each", Per: []string{policy.PerTenant}, Max: 4}, {Name: "terrain", Kind: "terrain", Max: 16}}}, now)
	for _, e := range all {
		board.Apply(e, now)
	}
	return board
}

// BenchmarkBoard_Memory tells what a task that waits for its turn takes, without its event.
func BenchmarkBoard_Memory(b *testing.B) {
	all := crowd(b, `{}`)
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		board := crowdBoard(all, 1, time.Now())
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/benchTasks, "B/task")
		runtime.KeepAlive(board)
	}
}

// BenchmarkBoard_Life tells what the life of a task costs among 100,000 others of 1,000 tenants: submitted, released, started, completed.
func BenchmarkBoard_Life(b *testing.B) {
	now := time.Now()
	board := crowdBoard(crowd(b, `{"subject":"History","objectives":["one","two"]}`), 1, now)
	seq := uint64(benchTasks)
	encode := func(p events.Payload) []byte {
		data, err := events.Marshal(p)
		if err != nil {
			b.Fatal(err)
		}
		return data
	}
	queued := encode(events.Queued{Kind: "quiz", Input: json.RawMessage(`{"subject":"History","objectives":["one","two"]}`), Priority: events.Normal, Dispatch: 1, UserID: "u"})
	started, completed := encode(events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}), encode(events.Completed{Attempt: 1})
	tell := func(tenant, id string, typ events.Type, data []byte) {
		seq++
		board.Apply(events.Event{ID: "e", Type: typ, Source: "/w", Time: now, Tenant: tenant, Task: id, Data: data, Seq: seq}, now)
	}
	var running []events.Dispatch
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		now = now.Add(time.Millisecond)
		tell(fmt.Sprintf("school%d", n%benchTenants), fmt.Sprintf("new-%d", n), events.TypeQueued, queued)
		for _, r := range board.Next(now, 64) {
			board.Sent(r, now)
			tell(r.Dispatch.Tenant, r.Dispatch.Task, events.TypeStarted, started)
			running = append(running, r.Dispatch)
		}
		if len(running) > 0 {
			tell(running[0].Tenant, running[0].Task, events.TypeCompleted, completed)
			running = running[1:]
		}
	}
	if board.Open() < benchTasks/2 {
		b.Fatal("the board ran dry")
	}
}

// BenchmarkBoard_Rebuild tells what a new policy costs beside 100,000 tasks.
func BenchmarkBoard_Rebuild(b *testing.B) {
	now := time.Now()
	board := crowdBoard(crowd(b, `{}`), 1, now)
	n := 0
	for b.Loop() {
		n++
		board.SetPolicy(policy.Policy{Fairness: policy.Fairness{Outstanding: 10 + n%2}}, now)
	}
}

func BenchmarkBoard_Gate(b *testing.B) {
	now := time.Now()
	board := crowdBoard(crowd(b, `{}`), 1, now)
	board.Next(now, 1000)
	for b.Loop() {
		board.Gate(now)
	}
}

func BenchmarkBoard_Backlog(b *testing.B) {
	now := time.Now()
	board := crowdBoard(crowd(b, `{}`), 1, now)
	board.Next(now, 1000)
	for b.Loop() {
		board.Backlog(now)
	}
}
