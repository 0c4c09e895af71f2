package chaos_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/chaos"
)

// at returns a moment of the recorded run.
func at(seconds int) time.Time { return time.Date(2026, 3, 1, 12, 0, seconds, 0, time.UTC) }

// record appends an event to a run's log.
func record(t *testing.T, r *chaos.Run, second int, task string, p events.Payload) {
	t.Helper()
	e, err := events.New("north", task, "/test", p)
	if err != nil {
		t.Fatal(err)
	}
	e.Time, e.Seq = at(second), uint64(len(r.Log)+1)
	r.Log = append(r.Log, e)
}

func step(attempt int, name string) events.Step {
	return events.Step{Attempt: attempt, Name: name, InputHash: "h"}
}

// recorded is a run of two tasks in which everything went well. The worker of task b was killed in between, so that a step of it was
// paid for twice, and Pusher was told of its end twice.
func recorded(t *testing.T) chaos.Run {
	t.Helper()
	r := chaos.Run{
		Accepted: []chaos.Acceptance{
			{Tenant: "north", Key: "k-a", Task: "a", At: at(0)}, {Tenant: "north", Key: "k-b", Task: "b", At: at(0)},
			{Tenant: "north", Key: "k-a", Task: "a", At: at(3)},
		},
		Calls: []chaos.Call{
			{Task: "a", Step: "outline", Worker: "worker-1", At: at(1), Whole: true},
			{Task: "a", Step: "draft_1", Worker: "worker-1", At: at(2)},
			{Task: "a", Step: "draft_1", Worker: "worker-1", At: at(3), Whole: true},
			{Task: "b", Step: "outline", Worker: "worker-2", At: at(2), Whole: true},
			{Task: "b", Step: "outline", Worker: "worker-1", At: at(6), Whole: true},
		},
		Faults:   []chaos.Fault{{What: "kill", Target: "worker-2", From: at(3), To: at(4)}},
		Told:     map[string]int{"a": 1, "b": 2},
		Listed:   map[string]string{"a": "completed", "b": "completed"},
		Followed: []chaos.Following{{Task: "a", Seqs: []uint64{1, 3, 5, 6, 7}}},
	}
	record(t, &r, 0, "a", events.Queued{Kind: "quiz", Dispatch: 1})
	record(t, &r, 0, "b", events.Queued{Kind: "quiz", Dispatch: 1})
	record(t, &r, 1, "a", events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
	record(t, &r, 1, "b", events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
	record(t, &r, 2, "a", step(1, "outline"))
	record(t, &r, 4, "a", step(1, "draft_1"))
	record(t, &r, 4, "a", events.Completed{Attempt: 1})
	record(t, &r, 5, "b", events.Started{Attempt: 2, Dispatch: 1, Worker: "w"})
	record(t, &r, 7, "b", step(2, "outline"))
	record(t, &r, 8, "b", events.Completed{Attempt: 2})
	return r
}

func TestCheck_FindsNothingInARunThatWentWell(t *testing.T) {
	t.Parallel()
	if found := chaos.Check(recorded(t)); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

// drop removes the events of the type from a task's history, and renumbers nothing.
func drop(r *chaos.Run, task string, typ events.Type) {
	r.Log = slices.DeleteFunc(r.Log, func(e events.Event) bool { return e.Task == task && e.Type == typ })
}

// The negative controls: each breaks one thing in the recorded run and must be found under the invariant that it breaks.
func TestCheck_FindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(*testing.T, *chaos.Run)
		want  chaos.Invariant
		task  string
		says  string
	}{
		{"ALostSubmission", func(_ *testing.T, r *chaos.Run) {
			r.Accepted = append(r.Accepted, chaos.Acceptance{Tenant: "north", Key: "k-c", Task: "c", At: at(1)})
		}, chaos.NothingLost, "c", "not on the log"},
		{"ATaskWithoutEnd", func(_ *testing.T, r *chaos.Run) { drop(r, "b", events.TypeCompleted) }, chaos.NothingLost, "b", "has not ended"},
		{"AReplayWithoutEnd", func(t *testing.T, r *chaos.Run) {
			record(t, r, 9, "b", events.Queued{Kind: "quiz", Dispatch: 2})
		}, chaos.NothingLost, "b", "has not ended"},
		{"AFailureThatNobodyPlanned", func(t *testing.T, r *chaos.Run) {
			drop(r, "b", events.TypeCompleted)
			record(t, r, 9, "b", events.Failed{Cause: events.CauseCrash})
			r.Plan.MayFail = []events.Cause{events.CauseProvider}
		}, chaos.NothingLost, "b", "failed for crash"},
		{"AnotherFailureThanPlanned", func(t *testing.T, r *chaos.Run) {
			drop(r, "b", events.TypeCompleted)
			record(t, r, 9, "b", events.Failed{Cause: events.CauseProvider})
			r.Plan.MustFail = map[string]events.Cause{"b": events.CauseCrash}
		}, chaos.NothingLost, "b", "was to fail for crash"},
		{"ADoomedTaskThatCompletes", func(_ *testing.T, r *chaos.Run) {
			r.Plan.MustFail = map[string]events.Cause{"b": events.CauseCrash}
		}, chaos.NothingLost, "b", "was to fail for crash"},
		{"ACancelThatNobodyAskedFor", func(t *testing.T, r *chaos.Run) {
			drop(r, "b", events.TypeCompleted)
			record(t, r, 9, "b", events.Cancelled{By: "x"})
		}, chaos.NothingLost, "b", "nobody asked for"},
		{"ASecondEnd", func(t *testing.T, r *chaos.Run) { record(t, r, 9, "b", events.Completed{Attempt: 1}) }, chaos.EndsOnce, "b", "a second time"},
		{"AnEndOfTwoKinds", func(t *testing.T, r *chaos.Run) {
			record(t, r, 9, "b", events.Failed{Cause: events.CauseCrash})
		}, chaos.EndsOnce, "b", "a second time"},
		{"LifeAfterTheEnd", func(t *testing.T, r *chaos.Run) { record(t, r, 9, "b", step(1, "draft_1")) }, chaos.EndsOnce, "b", "behind the end"},
		{"ASecondDispatchOfAnOpenTask", func(t *testing.T, r *chaos.Run) {
			drop(r, "b", events.TypeCompleted)
			record(t, r, 9, "b", events.Queued{Kind: "quiz", Dispatch: 2})
		}, chaos.EndsOnce, "b", "while dispatch 1 was open"},
		{"AStepPaidTwice", func(_ *testing.T, r *chaos.Run) {
			r.Calls = append(r.Calls, chaos.Call{Task: "a", Step: "outline", Worker: "worker-1", At: at(2), Whole: true})
		}, chaos.PaidOnce, "a", "paid for step outline 2 times"},
		{"ARepeatBeyondTheBound", func(_ *testing.T, r *chaos.Run) {
			r.Calls = append(r.Calls, chaos.Call{Task: "b", Step: "outline", Worker: "worker-2", At: at(3), Whole: true})
		}, chaos.PaidOnce, "b", "paid for step outline 3 times"},
		{"ARepeatExcusedByAnotherWorkersDeath", func(_ *testing.T, r *chaos.Run) { r.Faults[0].Target = "worker-3" }, chaos.PaidOnce, "b", "paid for step"},
		{"ARepeatBehindTheFault", func(_ *testing.T, r *chaos.Run) {
			r.Faults[0].From, r.Faults[0].To = at(7), at(8)
		}, chaos.PaidOnce, "b", "paid for step"},
		{"ARepeatInFrontOfTheFault", func(_ *testing.T, r *chaos.Run) {
			r.Faults[0].From, r.Faults[0].To = at(0), at(0)
		}, chaos.PaidOnce, "b", "paid for step"},
		{"ARepeatBehindABrokenLink", func(_ *testing.T, r *chaos.Run) {
			r.Faults[0] = chaos.Fault{What: "down", Target: chaos.Model, From: at(1), To: at(1)}
		}, chaos.PaidOnce, "b", "paid for step"},
		{"AnAnswerThatIsNowhereOnRecord", func(_ *testing.T, r *chaos.Run) {
			r.Calls = append(r.Calls, chaos.Call{Task: "a", Step: "draft_2", Worker: "worker-1", At: at(3), Whole: true})
		}, chaos.PaidOnce, "a", "paid for step draft_2"},
		{"AStepOnRecordTwice", func(t *testing.T, r *chaos.Run) {
			e := r.Log[5]
			e.Seq = 99
			r.Log = slices.Insert(r.Log, 6, e)
		}, chaos.PaidOnce, "a", "on record twice"},
		{"AStepThatNobodyWrote", func(_ *testing.T, r *chaos.Run) {
			r.Calls = slices.DeleteFunc(r.Calls, func(c chaos.Call) bool { return c.Task == "a" && c.Step == "outline" })
		}, chaos.PaidOnce, "a", "no model was asked"},
		{"AnEndThatNobodyWasTold", func(_ *testing.T, r *chaos.Run) { delete(r.Told, "a") }, chaos.EndingsTold, "a", "no subscriber was told"},
		{"AListThatDisagrees", func(_ *testing.T, r *chaos.Run) { r.Listed["a"] = "running" }, chaos.EndingsTold, "a", "listed as"},
		{"ATaskThatIsNotListed", func(_ *testing.T, r *chaos.Run) { delete(r.Listed, "a") }, chaos.EndingsTold, "a", "listed as"},
		{"AStreamOutOfOrder", func(_ *testing.T, r *chaos.Run) { r.Followed[0].Seqs = []uint64{1, 5, 3, 6, 7} }, chaos.EndingsTold, "a", "was followed as"},
		{"AStreamThatRepeats", func(_ *testing.T, r *chaos.Run) { r.Followed[0].Seqs = []uint64{1, 3, 3, 5, 6, 7} }, chaos.EndingsTold, "a", "was followed as"},
		{"AStreamWithAGap", func(_ *testing.T, r *chaos.Run) { r.Followed[0].Seqs = []uint64{1, 3, 6, 7} }, chaos.EndingsTold, "a", "was followed as"},
		{"AKeyOfTwoTasks", func(_ *testing.T, r *chaos.Run) { r.Accepted[2].Task = "b" }, chaos.KeyIsOneTask, "b", "which is task a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := recorded(t)
			c.spoil(t, &r)
			found := chaos.Check(r)
			if !slices.ContainsFunc(found, func(v chaos.Violation) bool {
				return v.Invariant == c.want && v.Task == c.task && strings.Contains(v.Text, c.says)
			}) {
				t.Errorf("found %v, want %s of task %s that says %q", found, c.want, c.task, c.says)
			}
		})
	}
}

func TestCheck_ExcusesWhatFaultsTookAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault chaos.Fault
	}{
		{"TheWorkerWasKilled", chaos.Fault{What: "kill", Target: "worker-2", From: at(2), To: at(2)}},
		{"TheDispatchWasLostBeforeTheCall", chaos.Fault{What: "stall", Target: chaos.Broker, From: at(1), To: at(1)}},
		{"TheBrokerStalled", chaos.Fault{What: "stall", Target: chaos.Broker, From: at(1), To: at(5)}},
		{"TheLinkWasDown", chaos.Fault{What: "down", Target: chaos.Model, From: at(2), To: at(3)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := recorded(t)
			r.Faults = []chaos.Fault{c.fault}
			if found := chaos.Check(r); len(found) > 0 {
				t.Errorf("found %v", found)
			}
		})
	}
}

// A worker stalls, loses its task, wakes up and asks the model before it learns that: the answer on record is the earlier one.
func TestCheck_ExcusesAWorkerThatWokeUpTooLate(t *testing.T) {
	t.Parallel()
	r := recorded(t)
	r.Calls[3].At, r.Calls[4].At = at(7), at(6)
	r.Faults = []chaos.Fault{{What: "stall", Target: "worker-2", From: at(2), To: at(6)}}
	if found := chaos.Check(r); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	r.Faults[0].Target = "worker-3"
	if found := chaos.Check(r); len(found) != 1 || found[0].Invariant != chaos.PaidOnce {
		t.Errorf("without the stall it found %v", found)
	}
}

func TestSum_CountsWhatHappened(t *testing.T) {
	t.Parallel()
	got := chaos.Sum("kill", recorded(t))
	want := chaos.Figures{
		Scenario: "kill", Submissions: 2, Faults: 1, Executions: 3, Repeats: 1, Duplicates: 1, Recovery: 4 * time.Second,
	}
	if got.Scenario != want.Scenario || got.Submissions != want.Submissions || got.Faults != want.Faults || got.Executions != want.Executions ||
		got.Repeats != want.Repeats || got.Failures != 0 || got.Duplicates != want.Duplicates || got.Recovery != want.Recovery || len(got.Violations) > 0 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if story := chaos.Story(recorded(t), got.Slowest); got.Slowest != "b" || !strings.Contains(story, "kill worker-2") || strings.Count(story, "\n") != 9 {
		t.Errorf("the story of task %s:\n%s", got.Slowest, story)
	}
	var table strings.Builder
	if err := chaos.Print(&table, []chaos.Figures{got}); err != nil || !strings.Contains(table.String(), "4s") || strings.Count(table.String(), "\n") != 2 {
		t.Errorf("%v:\n%s", err, table.String())
	}
}
