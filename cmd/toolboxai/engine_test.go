package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/auth/authtest"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// bearer returns the header of somebody of a tenant.
func bearer(t *testing.T, secret, tenant string) map[string]string {
	t.Helper()
	token, err := authtest.Issue(secret, auth.Principal{UserID: "u-" + tenant, Tenant: tenant, Role: auth.Teacher}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"Authorization": "Bearer " + token}
}

// One school submits 200 tasks at once; while they are worked on, another one submits one, and the first one more. The other's is next
// as soon as a slot is free. The first one's, which came at the same time, shows what would become of it otherwise.
func TestEngine_OneTenantsBurstHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	const slots, ready = 4, 16 // what is put into the queue for a worker that is still to come
	for name, c := range map[string]struct {
		known bool // how long the kind takes, and who serves it
		most  int
	}{
		"KnownKind": {true, slots + 2},
		"NewKind":   {false, ready + slots + 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret := strings.Repeat("s", 40)
			answers := recordAnswers(t)
			model := llmtest.NewOpenAI(t, lasting(answers, 150*time.Millisecond)) // two calls a task
			s := newSite(t, pgtest.New(t), "SKIP_AUTH=false", "JWT_SECRET_KEY="+secret, "ENCRYPTION_KEY="+secret)
			s.api()
			w := s.witness()
			s.role("worker", append(scripted(model), fmt.Sprintf("MAX_CONCURRENT_GENERATIONS=%d", slots))...)
			crowd, other := bearer(t, secret, "crowd"), bearer(t, secret, "other")
			if c.known {
				w.first(s.submitAs(other, quizBody).ID, events.TypeCompleted)
				s.serves("quiz", slots)
			}
			s.batch(crowd, 200, quizBody, "")
			w.reaches(events.TypeCompleted, 2*slots)
			late := s.submitAs(crowd, quizBody)
			single := s.submitAs(other, quizBody)

			began := w.first(single.ID, events.TypeStarted)
			queued := w.first(single.ID, events.TypeQueued)
			before := 0
			for _, e := range w.all() {
				if e.Type == events.TypeStarted && e.Seq > queued.Seq && e.Seq < began.Seq {
					before++
				}
			}
			t.Logf("the other tenant's task began %s after its submission, behind %d of the crowd's", began.Time.Sub(queued.Time).Round(time.Millisecond), before)
			if before > c.most {
				t.Errorf("%d tasks of the crowd began between the other one's submission and its beginning, at most %d may", before, c.most)
			}
			if w.count(events.TypeStarted, late.ID) != 0 {
				t.Error("the crowd's last task has begun too: nothing was to wait for")
			}
		})
	}
}

// A limit is set, and raised, while the platform runs.
func TestEngine_LimitsAreChangedLive(t *testing.T) {
	t.Parallel()
	answers := recordAnswers(t)
	model := llmtest.NewOpenAI(t, lasting(answers, 50*time.Millisecond))
	s := newSite(t, pgtest.New(t))
	s.api()
	w := s.witness()
	s.role("worker", append(scripted(model), "MAX_CONCURRENT_GENERATIONS=10")...)
	limit := func(most int) {
		s.changePolicy(func(p *policy.Policy) {
			p.Limits = []policy.Limit{{Name: "class-size", Kind: "quiz", Per: []string{policy.PerTenant}, Max: most}}
		})
	}
	limit(2)
	// What is to begin in a second waits with the dispatcher, whatever the API knew of the limit when it came.
	ids := s.batch(nil, 60, quizBody, `"delay_seconds":1,`)
	w.reaches(events.TypeCompleted, 6)
	if x := s.explained(ids[len(ids)-1], task.ReasonLimit); x.Limit != "class-size" || !strings.Contains(x.Message, "limit class-size of 2 is reached") {
		t.Errorf("explained as %+v", x)
	}
	if most := mostAtOnce(w.all()); most != 2 {
		t.Errorf("%d ran at once, want 2", most)
	}
	limit(5)
	eventually(t, "five run at once", func() error {
		if most := mostAtOnce(w.all()); most < 5 {
			return fmt.Errorf("%d do", most)
		}
		return nil
	})
	w.reaches(events.TypeCompleted, len(ids))
	if most := mostAtOnce(w.all()); most != 5 {
		t.Errorf("%d ran at once, want 5", most)
	}
}

// A kind is paused and resumed, by an admin of the tenant that operates the platform and from the command line.
func TestEngine_PausedKindsWait(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t))
	s.api()
	w := s.witness()
	s.role("worker")
	s.await(s.mustSubmit("").ID, task.Completed)

	s.expect(exitOK, []string{"no task of kind quiz begins"}, "agents", "pause", "quiz", "--reason", "a bad prompt")
	waiting := s.submitWith(`"delay_seconds":1,`)
	s.explained(waiting.ID, task.ReasonPaused) // the pause has come to the dispatcher: that takes a moment
	queued := s.mustSubmit("")
	for _, id := range []string{queued.ID, waiting.ID} {
		if x := s.explained(id, task.ReasonPaused); !strings.Contains(x.Message, "kind quiz is paused by teacher") || !strings.Contains(x.Message, "a bad prompt") {
			t.Errorf("explained as %+v", x)
		}
		s.expect(exitOK, []string{"queued: kind quiz is paused"}, "tasks", "explain", id)
	}
	eventually(t, "the backlog shows what is held", func() error {
		var all kindMetrics
		if err := s.get("/api/v1/agents/metrics", &all); err != nil {
			return err
		}
		for _, k := range all.Kinds {
			if k.Kind == "quiz" && (k.Held != 2 || k.Load != 0) { // more workers would not begin it
				return fmt.Errorf("%d held with load %v", k.Held, k.Load)
			}
		}
		return nil
	})
	for _, id := range []string{queued.ID, waiting.ID} {
		if n := w.count(events.TypeStarted, id); n != 0 {
			t.Errorf("it began %d times while its kind was paused", n)
		}
	}
	late := s.lateness()
	resumed := time.Now()
	s.post(nil, "/admin/agents/quiz/resume", "", nil)
	if took := w.first(waiting.ID, events.TypeStarted).Time.Sub(resumed); took > 2*time.Second+late() {
		t.Errorf("it began %s after the resume", took)
	}
	s.await(waiting.ID, task.Completed)
	s.await(queued.ID, task.Completed)
}

// Each reason why a task is where it is, in the words that a person reads.
func TestEngine_ExplainsWhereATaskIs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		if c.N == 0 {
			return llmtest.Reply{Status: http.StatusServiceUnavailable, Raw: `{"error":{"message":"overloaded"}}`, Header: http.Header{"Retry-After": {"30"}}}
		}
		return llmtest.Reply{Hold: release}
	})
	s := newSite(t, pgtest.New(t))
	s.api()
	s.role("worker", append(scripted(model), "WORKER_KINDS=quiz", "MAX_CONCURRENT_GENERATIONS=2")...)
	say := func(id, state string, parts ...string) {
		t.Helper()
		out := s.expect(exitOK, append(parts, state+": "), "tasks", "explain", id)
		t.Log(strings.TrimSpace(out))
	}

	retried := s.mustSubmit("")
	s.explained(retried.ID, task.ReasonRetry)
	say(retried.ID, "retrying", "attempt 1 failed (provider: ", "the next one is at 20")

	var running []string
	for range 2 {
		running = append(running, s.mustSubmit("").ID)
	}
	for _, id := range running {
		x := s.explained(id, task.ReasonRunning)
		say(id, "running", "held by worker "+x.Worker+" since ", "attempt 1")
	}
	ids := s.batch(nil, 3, quizBody, `"delay_seconds":2,`) // by way of the dispatcher, whatever the API knew of free slots
	var ahead []int
	eventually(t, "the three wait one behind the other", func() error {
		ahead = nil
		for _, id := range ids {
			x := s.explained(id, task.ReasonBehind)
			ahead = append(ahead, x.Ahead)
		}
		if slices.Sort(ahead); !slices.Equal(ahead, []int{0, 1, 2}) {
			return fmt.Errorf("behind %v", ahead)
		}
		return nil
	})
	say(ids[0], "queued", "")

	later := s.submitWith(`"run_at":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `",`)
	s.explained(later.ID, task.ReasonNotBefore)
	say(later.ID, "queued", "it may not begin before 20")

	var terrain struct {
		Example json.RawMessage `json:"example"`
	}
	s.do("GET", nil, "/agents/terrain", "", &terrain)
	unserved := s.submitAs(nil, fmt.Sprintf(`{"kind":"terrain","input":%s}`, terrain.Example))
	s.explained(unserved.ID, task.ReasonNoWorker)
	say(unserved.ID, "queued", "no worker serves kind terrain")
}

// Times that a submitter sets hold, and who withdraws a task is heard at once.
func TestEngine_KeepsTimesAndStopsWhatIsCancelled(t *testing.T) {
	t.Parallel()
	answers := recordAnswers(t)
	hang := make(chan struct{})
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		if strings.Contains(c.Prompt, "Art") {
			return llmtest.Reply{Hold: hang}
		}
		_, text := answers.of(c)
		return llmtest.Reply{Text: text}
	})
	t.Cleanup(func() { close(hang) })
	s := newSite(t, pgtest.New(t))
	s.api()
	s.role("recorder")
	w := s.witness()
	s.role("worker", append(scripted(model), "WORKER_KINDS=quiz")...)
	const hanging = `{"kind":"quiz","input":{"subject":"Art","objectives":["See"],"num_questions":2}}`
	var terrain struct {
		Example json.RawMessage `json:"example"`
	}
	s.do("GET", nil, "/agents/terrain", "", &terrain)
	unserved := fmt.Sprintf(`"kind":"terrain","input":%s}`, terrain.Example)

	late := s.lateness()
	at := time.Now().Add(1500 * time.Millisecond).UTC()
	later := s.submitWith(`"run_at":"` + at.Format(time.RFC3339Nano) + `",`)
	delayed := s.submitWith(`"delay_seconds":2,`) // counted from the whole second
	expired := s.submitAs(nil, `{"queue_ttl_seconds":1,`+unserved)
	overdue := s.submitAs(nil, `{"deadline":"`+time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)+`",`+strings.TrimPrefix(hanging, "{"))

	due := map[string]time.Time{later.ID: at, delayed.ID: delayed.CreatedAt.Truncate(time.Second).Add(2 * time.Second)}
	for id := range due {
		s.await(id, task.Completed)
	}
	slack := late()
	for id, from := range due {
		if began := w.first(id, events.TypeStarted).Time; began.Before(from) || began.After(from.Add(2*time.Second+slack)) {
			t.Errorf("task %s began at %s, not at %s", id, began, from)
		}
	}
	if got := s.await(expired.ID, task.Failed, task.Completed); got.Failure == nil || got.Failure.Cause != events.CauseExpired {
		t.Errorf("not begun in time: %s, %+v; want failed because of %s", got.State, got.Failure, events.CauseExpired)
	}
	if got := s.await(overdue.ID, task.Failed, task.Completed); got.Failure == nil || got.Failure.Cause != events.CauseDeadline {
		t.Errorf("not finished in time: %s, %+v; want failed because of %s", got.State, got.Failure, events.CauseDeadline)
	}

	calls := len(model.Calls())
	running := s.submitAs(nil, hanging)
	if err := model.Await(t.Context(), calls+1); err != nil {
		t.Fatal(err)
	}
	late = s.lateness()
	s.do("DELETE", nil, "/tasks/"+running.ID+"?reason=enough", "", nil)
	answered := time.Now()
	bounded, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := model.AwaitIdle(bounded); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(answered); took > time.Second+late() {
		t.Errorf("the call to the model ended %s after the cancellation was answered", took)
	}
	if got := s.await(running.ID, task.Cancelled, task.Failed); got.State != task.Cancelled || got.Cancel.Reason != "enough" {
		t.Errorf("it is %s: %+v", got.State, got.Cancel)
	}

	s.batch(nil, 3, "{"+unserved, `"labels":{"class":"7b"},`)
	kept := s.submitAs(nil, `{"labels":{"class":"8a"},`+unserved)
	eventually(t, "three are cancelled by their label", func() error { // as soon as the list has them
		out, code := s.command("tasks", "cancel", "--label", "class=7b", "--dry-run")
		if code != exitOK || !strings.HasPrefix(out, "3 tasks would be cancelled") {
			return errors.New(out)
		}
		return nil
	})
	s.expect(exitOK, []string{"3 cancelled, 0 ended meanwhile, 0 could not be decided on"}, "tasks", "cancel", "--label", "class=7b", "--reason", "moved")
	if got := s.await(kept.ID, task.Queued, task.Cancelled); got.State != task.Queued {
		t.Error("a task with another label was cancelled too")
	}
	if n := w.count(events.TypeCancelled, ""); n != 4 {
		t.Errorf("%d cancellations on the log, want 4", n)
	}
}
