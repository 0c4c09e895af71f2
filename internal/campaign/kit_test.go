package campaign_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/schedule/scheduletest"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

// platform is a task service and a campaign service over one log and one store, with a worker.
type platform struct {
	t         testing.TB
	log       *tasktest.Memory
	documents *scheduletest.Memory[campaign.Campaign]
	tasks     *task.Service
	service   *campaign.Service
	seeded    []string // dead letters, oldest first

	mu       sync.Mutex
	replayed []time.Time
}

func newPlatform(t testing.TB) *platform {
	t.Helper()
	m := tasktest.NewMemory()
	catalog, err := task.NewCatalog([]task.Kind{{
		Name: "quiz", Aliases: []string{"quiz_generator"}, OutputSchema: json.RawMessage(`{"type":"object"}`), Example: json.RawMessage(`{"subject":"Art"}`),
		InputSchema: json.RawMessage(`{"type":"object","required":["subject"],"properties":{"subject":{"type":"string"},"level":{"type":"integer"}}}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := &platform{t: t, log: m, documents: scheduletest.NewMemory[campaign.Campaign]()}
	p.tasks, err = task.NewService(task.Config{
		Log: m, Queue: m, Progress: m, Archive: tasktest.Archive{Memory: m}, Catalog: catalog, Patience: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.service, err = campaign.NewService(campaign.ServiceConfig{Documents: p.documents, Tasks: p.tasks})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// background is a test whose context does not end with it: bubbles within rapid's checks need one.
type background struct{ testing.TB }

func (background) Context() context.Context { return context.Background() }

// seed makes n dead letters and lets the clock go on, so that a campaign finds them before its start.
func (p *platform) seed(n int, cause events.Cause, text string) {
	p.t.Helper()
	for range n {
		id := fmt.Sprintf("task-%05d", len(p.seeded))
		p.dead(id, `{"subject":"Art","level":3}`, events.Failed{Attempts: 1, Cause: cause, Error: text})
	}
	after(time.Second)
}

func (p *platform) seedInput(id, input string) {
	p.dead(id, input, events.Failed{Attempts: 1, Cause: events.CauseInput, Error: "x"})
	after(time.Second)
}

func (p *platform) dead(id, input string, failed events.Failed) {
	p.seeded = append(p.seeded, id)
	p.append(id, events.Queued{Kind: "quiz", Input: json.RawMessage(input), Priority: events.Normal, Dispatch: 1, UserID: "u1"}, 0)
	p.append(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"}, p.last(id))
	p.append(id, failed, p.last(id))
}

func (p *platform) append(id string, body events.Payload, seq uint64) {
	tasktest.MustAppend(background{p.t}, p.log, tasktest.Event(p.t, "school", id, body), seq)
}

func (p *platform) last(id string) uint64 {
	e, err := p.log.Last(context.Background(), "school", id)
	if err != nil {
		p.t.Fatal(err)
	}
	return e.Seq
}

// work ends what is in the queue; well says how.
func (p *platform) work(well func(id string) bool) {
	waiting, err := p.log.Waiting(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, d := range waiting {
		p.log.Ack(d)
		p.append(d.Task, events.Started{Attempt: 1, Dispatch: d.N, Worker: "w1"}, p.last(d.Task))
		var end events.Payload = events.Completed{Attempt: 1, Result: json.RawMessage(`{}`)}
		if !well(d.Task) {
			end = events.Failed{Attempts: 1, Cause: events.CauseBug, Error: "it broke again"}
		}
		p.append(d.Task, end, p.last(d.Task))
	}
}

// worker works every 200 ms until the returned function is called.
func (p *platform) worker(well func(id string) bool) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(200 * time.Millisecond):
				p.work(well)
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

// start runs a runner and returns what stops it and waits for it.
func (p *platform) start(documents campaign.Documents, tasks campaign.Tasks) (stop func()) {
	p.t.Helper()
	runner, err := campaign.NewRunner(campaign.RunnerConfig{Documents: documents, Tasks: tasks})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Errorf("runner: %v", err)
		}
	}
}

// watched notes when tasks are replayed.
type watched struct {
	*task.Service
	p *platform
}

func (w watched) Replay(ctx context.Context, tenant, id string, req task.ReplayRequest) (task.Task, error) {
	made, err := w.Service.Replay(ctx, tenant, id, req)
	if err == nil {
		w.p.mu.Lock()
		w.p.replayed = append(w.p.replayed, time.Now())
		w.p.mu.Unlock()
	}
	return made, err
}

// times returns when tasks were replayed.
func (p *platform) times() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.replayed)
}

func (p *platform) run() (stop func()) { return p.start(p.documents, watched{p.tasks, p}) }

// replays returns how often each dead letter was replayed, by any campaign.
func (p *platform) replays() map[string]int {
	p.t.Helper()
	counts := map[string]int{}
	for _, id := range p.seeded {
		history, err := p.log.History(context.Background(), "school", id, 0, 0)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, e := range history {
			if q, err := events.DataAs[events.Queued](e); err == nil && q.Replay != nil {
				counts[id]++
			}
		}
	}
	return counts
}

func request(change func(*campaign.Request)) campaign.Request {
	r := campaign.Request{Action: campaign.Replay, Rate: 600, Reason: "the provider is back"}
	if change != nil {
		change(&r)
	}
	return r
}

func (p *platform) begin(change func(*campaign.Request)) campaign.Campaign {
	p.t.Helper()
	c, fresh, err := p.service.Start(context.Background(), "school", "ada", "", request(change))
	if err != nil || !fresh {
		p.t.Fatalf("start: fresh %v: %v", fresh, err)
	}
	return c
}

func (p *platform) get(id string) campaign.Campaign {
	p.t.Helper()
	c, err := p.service.Get(context.Background(), "school", id)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// after lets the bubble's clock run.
func after(d time.Duration) { <-time.After(d) }

func always(string) bool { return true }
func never(string) bool  { return false }
