package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/postgres/local"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
)

// scripted returns the environment of a worker that asks the given server.
func scripted(model *llmtest.Server) []string {
	return []string{"LLM_PROVIDER=openai", "OPENAI_API_KEY=" + llmtest.Key, "OPENAI_API_BASE=" + model.Base()}
}

// A worker is killed while the model writes the second step; another one goes on behind the first.
func TestWorker_KilledInMidTaskContinuesBehindItsLastStep(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	reached := make(chan struct{})
	var drafts atomic.Int32
	answers := recordAnswers(t)
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		purpose, text := answers.of(c)
		if purpose == "draft" && drafts.Add(1) == 1 {
			close(reached)
			return llmtest.Reply{Text: text, Hold: release}
		}
		return llmtest.Reply{Text: text}
	})
	s := newSite(t, pgtest.New(t))
	s.api()
	doomed := s.role("worker", scripted(model)...)
	got := s.mustSubmit("")
	<-reached
	doomed.kill()
	close(release)
	s.role("worker", scripted(model)...)

	done := s.await(got.ID, task.Completed, task.Failed)
	history := s.history(got.ID)
	if done.State != task.Completed || done.Attempt != 2 || outcomes(history) != 1 {
		t.Fatalf("got %s in attempt %d: %+v", done.State, done.Attempt, history)
	}
	steps := map[string]int{}
	for _, e := range history {
		if e.Type == events.TypeStep {
			steps[describe(e)[:9]]++
		}
	}
	for name, n := range steps {
		if n != 1 {
			t.Errorf("step %s is on record %d times", name, n)
		}
	}
	if outlines := answers.count("outline"); outlines != 1 {
		t.Errorf("the first step was paid for %d times, want once", outlines)
	}
}

// The broker is killed and started again under load; whatever was acknowledged ends in exactly one way.
func TestBroker_KilledUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t))
	s.api()
	s.role("worker")
	s.role("recorder")
	s.await(s.mustSubmit("").ID, task.Completed)

	stop := make(chan struct{})
	var mu sync.Mutex
	var accepted []string
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status, got, err := s.submit(""); err == nil && status == http.StatusAccepted {
					mu.Lock()
					accepted = append(accepted, got.ID)
					mu.Unlock()
				}
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(accepted)
	}
	for range 3 {
		before := count()
		eventually(t, "submissions go on", func() error {
			if n := count(); n < before+100 {
				return fmt.Errorf("%d of 100", n-before)
			}
			return nil
		})
		s.broker.kill()
		s.startBroker()
	}
	close(stop)
	group.Wait()
	t.Logf("%d submissions acknowledged", len(accepted))
	for _, id := range accepted {
		got := s.await(id, task.Completed, task.Failed)
		if n := outcomes(s.history(id)); n != 1 || got.State != task.Completed {
			t.Errorf("task %s: %s with %d outcomes", id, got.State, n)
		}
	}
}

// outage is how long Postgres is away. TOOLBOXAI_OUTAGE=60s makes it a minute.
func outage(t *testing.T) time.Duration {
	t.Helper()
	if v := os.Getenv("TOOLBOXAI_OUTAGE"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return 5 * time.Second
}

func TestPostgres_AwayUnderLoadHoldsUpNothingButLists(t *testing.T) {
	t.Parallel()
	dir := openDirectory(t)
	database, err := local.Start(t.Context(), local.Config{Dir: dir, Download: true, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Stop(t.Context()) })
	s := newSite(t, database.URL())
	s.api()
	s.role("worker")
	s.role("recorder")
	first := s.mustSubmit("")
	s.await(first.ID, task.Completed)
	listed := func() (page taskPage, err error) {
		err = s.get("/api/v1/tasks?limit=200", &page)
		return page, err
	}
	eventually(t, "the list has the task", func() error {
		page, err := listed()
		if err == nil && (len(page.Tasks) != 1 || page.Stale) {
			err = fmt.Errorf("%d tasks, stale %v", len(page.Tasks), page.Stale)
		}
		return err
	})

	if err := database.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	var ids []string
	slow := time.NewTicker(20 * time.Millisecond)
	defer slow.Stop()
	for down := time.Now(); time.Since(down) < outage(t); {
		<-slow.C
		ids = append(ids, s.mustSubmit("").ID)
	}
	for _, id := range ids {
		s.await(id, task.Completed)
	}
	page, err := listed()
	if err != nil || !page.Stale {
		t.Errorf("while Postgres is away the list says stale %v, %v", page.Stale, err)
	}

	database, err = local.Start(t.Context(), local.Config{Dir: dir, Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	t.Cleanup(func() { _ = database.Stop(t.Context()) })
	eventually(t, "the recorder caught up", func() error {
		seen := map[string]bool{}
		for cursor := ""; ; {
			var page taskPage
			query := url.Values{"state": {"completed"}, "limit": {"200"}}
			setIf(query, "cursor", cursor)
			if err := s.get("/api/v1/tasks?"+query.Encode(), &page); err != nil {
				return err
			}
			for _, got := range page.Tasks {
				seen[got.ID] = true
			}
			if cursor = page.Next; cursor == "" {
				if page.Stale {
					return errors.New("the list is stale")
				}
				break
			}
		}
		if len(seen) != len(ids)+1 {
			return fmt.Errorf("%d of %d tasks", len(seen), len(ids)+1)
		}
		return nil
	})
	t.Logf("away for %s: %d tasks submitted and completed meanwhile, all listed %s after it came back",
		outage(t), len(ids), time.Since(back).Round(10*time.Millisecond))
}

func TestIdempotencyKey_HoldsAcrossARestartOfTheBroker(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t))
	s.api()
	first := s.mustSubmit("lesson-7")
	s.broker.kill()
	s.startBroker()
	eventually(t, "the same key gives the same task", func() error {
		status, again, err := s.submit("lesson-7")
		if err == nil && (status != http.StatusOK || again.ID != first.ID) {
			err = fmt.Errorf("%d, task %s, want 200 and %s", status, again.ID, first.ID)
		}
		return err
	})
	status, answer, err := s.request("POST", "/api/v1/tasks", map[string]string{"Idempotency-Key": "lesson-7"},
		`{"kind":"quiz","input":{"subject":"Art","objectives":["See"]}}`)
	if err != nil || status != http.StatusConflict || answer.Error.Code != "conflict" {
		t.Errorf("another body: %d, %+v, %v; want 409", status, answer, err)
	}
}

func TestDeadLetter_ReplayedByManyClientsRunsOnce(t *testing.T) {
	t.Parallel()
	broken := true
	var mu sync.Mutex
	answers := recordAnswers(t)
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			return llmtest.Reply{Status: http.StatusBadRequest, Raw: `{"error":{"message":"no such model"}}`}
		}
		_, text := answers.of(c)
		return llmtest.Reply{Text: text}
	})
	s := newSite(t, pgtest.New(t), "MAX_AGENT_RETRIES=0")
	s.api()
	s.role("worker", scripted(model)...)
	dead := s.await(s.mustSubmit("").ID, task.Failed)
	if dead.Failure == nil {
		t.Fatalf("a failure without a reason: %+v", dead)
	}
	mu.Lock()
	broken = false
	mu.Unlock()

	var group sync.WaitGroup
	var statuses [20]int
	for i := range statuses {
		group.Go(func() {
			statuses[i], _, _ = s.request("POST", "/api/v1/admin/dead-letters/"+dead.ID+"/replay", nil, `{"reason":"the model is back"}`)
		})
	}
	group.Wait()
	slices.Sort(statuses[:])
	if statuses[0] != http.StatusAccepted || statuses[1] != http.StatusConflict || statuses[19] != http.StatusConflict {
		t.Errorf("answers %v, want one 202 and nineteen 409", statuses)
	}
	done := s.await(dead.ID, task.Completed)
	starts := 0
	for _, e := range s.history(dead.ID) {
		if e.Type == events.TypeStarted {
			starts++
		}
	}
	if done.Dispatch != 2 || starts != 2 {
		t.Errorf("dispatch %d, %d starts; want 2 and 2", done.Dispatch, starts)
	}
}

// A worker that is asked to stop finishes what it holds.
func TestWorker_DrainsOnSIGTERM(t *testing.T) {
	t.Parallel()
	release, reached := make(chan struct{}), make(chan struct{})
	var once sync.Once
	answers := recordAnswers(t)
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		_, text := answers.of(c)
		once.Do(func() { close(reached) })
		return llmtest.Reply{Text: text, Hold: release}
	})
	s := newSite(t, pgtest.New(t))
	s.api()
	w := s.role("worker", scripted(model)...)
	got := s.mustSubmit("")
	<-reached
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the worker says that it drains", func() error {
		if !contains(w.output.String(), "worker drains") {
			return errors.New("not yet")
		}
		return nil
	})
	close(release)
	<-w.ended
	if w.err != nil {
		t.Errorf("the worker ended with %v", w.err)
	}
	if done := s.await(got.ID, task.Completed); done.Attempt != 1 {
		t.Errorf("completed in attempt %d, want 1", done.Attempt)
	}
}

// One that cannot finish in time hands back, and being drained is not held against the task.
func TestWorker_HandsBackWhatItCannotFinish(t *testing.T) {
	t.Parallel()
	release, reached := make(chan struct{}), make(chan struct{})
	var once sync.Once
	answers := recordAnswers(t)
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		_, text := answers.of(c)
		once.Do(func() { close(reached) })
		return llmtest.Reply{Text: text, Hold: release}
	})
	s := newSite(t, pgtest.New(t), "TASK_ACK_WAIT=10m", "DRAIN_TIMEOUT=100ms")
	s.api()
	w := s.role("worker", scripted(model)...)
	got := s.mustSubmit("")
	<-reached
	w.signal(syscall.SIGTERM)
	if now := s.await(got.ID, task.Retrying); now.Failure.Cause != events.CauseDrain {
		t.Errorf("handed back because of %+v", now.Failure)
	}
	close(release)
	s.role("worker", scripted(model)...)
	if done := s.await(got.ID, task.Completed); done.Attempt != 2 {
		t.Errorf("completed in attempt %d, want 2", done.Attempt)
	}
}

// The queue is emptied behind everybody's back; the dispatcher fills it again from the log.
func TestQueue_LostIsRebuiltFromTheLog(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t))
	s.api()
	var ids []string
	for range 5 {
		ids = append(ids, s.mustSubmit("").ID)
	}
	conn, js, err := nats.Connect(nats.ConnectConfig{URL: fmt.Sprintf("nats://127.0.0.1:%d", s.natsPort)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	queue, err := js.Stream(t.Context(), events.StreamTasks)
	if err != nil {
		t.Fatal(err)
	}
	if err := queue.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.role("worker")
	s.role("recorder")
	for _, id := range ids {
		if got := s.await(id, task.Completed); got.Dispatch != 1 || outcomes(s.history(id)) != 1 {
			t.Errorf("task %s: dispatch %d, %d outcomes", id, got.Dispatch, outcomes(s.history(id)))
		}
	}
}

// A worker is stopped in mid-task for longer than its dispatch waits for a sign of life, another one takes over, and the first wakes
// up: it may neither write nor settle what is the other's now.
func TestWorker_StalledAndBackDisturbsNobody(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	answers := recordAnswers(t)
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		_, text := answers.of(c)
		return llmtest.Reply{Text: text, Hold: release}
	})
	s := newSite(t, pgtest.New(t))
	s.api()
	s.role("recorder")
	stalled := s.role("worker", scripted(model)...)
	got := s.mustSubmit("")
	if err := model.Await(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := stalled.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.role("worker", scripted(model)...)
	if err := model.Await(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := stalled.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stalled worker drops its attempt", func() error {
		if !contains(stalled.output.String(), "attempt dropped") {
			return errors.New("not yet")
		}
		return nil
	})
	conn, js, err := nats.Connect(nats.ConnectConfig{URL: fmt.Sprintf("nats://127.0.0.1:%d", s.natsPort)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	queue, err := js.Stream(t.Context(), events.StreamTasks)
	if err != nil {
		t.Fatal(err)
	}
	if n := queue.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d messages in the queue while a worker is at the task, want 1", n)
	}
	close(release)
	if done := s.await(got.ID, task.Completed); done.Attempt != 2 || done.Failures[events.CauseCrash] != 1 {
		t.Errorf("completed in attempt %d with failures %v, want attempt 2 after one crash", done.Attempt, done.Failures)
	}
}

// The first signal drains; the second does not wait for it.
func TestWorker_ASecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	model := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply { return llmtest.Reply{Hold: release} })
	s := newSite(t, pgtest.New(t), "DRAIN_TIMEOUT=10m")
	s.api()
	w := s.role("worker", scripted(model)...)
	s.mustSubmit("")
	if err := model.Await(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the worker drains", func() error {
		if !contains(w.output.String(), "worker drains") {
			return errors.New("not yet")
		}
		return nil
	})
	w.signal(syscall.SIGTERM)
	if code := w.cmd.ProcessState.ExitCode(); code != exitFailed || !contains(w.output.String(), "stopped at once") {
		t.Errorf("exit %d\n%s", code, w.output)
	}
}
