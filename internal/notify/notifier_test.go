package notify_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/notify"
)

var errDown = fault.New(fault.Unavailable, "pusher is down")

// storm is a sender that is slow and fails at random: before or after it passed the messages on, with and without a
// RetryAfter, and now and then with an error that nobody classified.
func storm(seed uint64) func(int, []notify.Message) reaction {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(int, []notify.Message) reaction {
		react := reaction{delay: within(r, 300*time.Millisecond)}
		switch r.IntN(10) {
		case 0:
			react.err = errDown
		case 1:
			react.err, react.accept = errDown, true
		case 2:
			react.err = &fault.Error{Kind: fault.RateLimited, Message: "slow down", RetryAfter: 2 * time.Second}
		case 3:
			react.err = errors.New("something else")
		}
		return react
	}
}

// lives runs tasks of several users and tenants in a random interleaving, with progress while they run and after they have
// ended (a worker that did not hear of a cancellation), and replays some of those that failed.
func lives(t *testing.T, w *world, seed uint64, count int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	type running struct {
		tenant, task string
		plan         []events.Payload
	}
	var all []*running
	for i := range count {
		user := fmt.Sprintf("user-%d", r.IntN(5))
		plan := []events.Payload{queued(user, 1), events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}}
		switch r.IntN(4) {
		case 0:
			plan = append(plan, events.Retrying{Attempt: 1, Cause: events.CauseProvider, Error: "429"}, events.Started{Attempt: 2, Dispatch: 1}, completed())
		case 1:
			plan = append(plan, events.Failed{Attempts: 3, Cause: events.CauseBug, Error: "panic"}, queued(user, 2), events.Started{Attempt: 1, Dispatch: 2}, completed())
		case 2:
			plan = append(plan, events.Cancelled{By: user})
		default:
			plan = append(plan, events.Step{Attempt: 1, Name: "draft"}, completed())
		}
		all = append(all, &running{fmt.Sprintf("school-%d", i%3), fmt.Sprintf("task-%d", i), plan})
	}
	for left := slices.Clone(all); len(left) > 0; {
		i := r.IntN(len(left))
		x := left[i]
		w.append(t, x.tenant, x.task, x.plan[0])
		if x.plan = x.plan[1:]; len(x.plan) == 0 {
			left = slices.Delete(left, i, i+1)
		}
		for range r.IntN(3) {
			y := all[r.IntN(len(all))]
			w.tell(t, y.tenant, y.task, r.Float64()*100)
		}
		pass(t, within(r, 100*time.Millisecond))
	}
}

func within(r *rand.Rand, d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }

// pass lets the time of the test's bubble pass.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

func TestNotifier_KeepsItsGuaranteesUnderFaults(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("Seed%d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.react(storm(seed))
				n := newNotifier(t, w.config())
				stop := start(t, n)
				synctest.Wait()
				lives(t, w, seed, 40)
				pass(t, time.Hour)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				for _, p := range w.check() {
					t.Error(p)
				}
				s := n.Stats()
				if s.Retried == 0 || s.Coalesced == 0 || s.Lost != 0 || s.Refused != 0 {
					t.Errorf("unlikely statistics: %+v", s)
				}
				if got := len(w.on(notify.ChannelContent)) - w.handled(); got <= 0 {
					t.Errorf("no progress was sent at all, so its place was not tested (%d)", got)
				}
			})
		})
	}
}

// Each of these runs breaks one mechanism and must break a guarantee: otherwise the test above proves nothing.
func TestNotifier_BreaksItsGuaranteesWithout(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, breakIt func(*world, *notify.Notifier), sign string) {
		t.Helper()
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.react(storm(1))
			n := newNotifier(t, w.config())
			breakIt(w, n)
			stop := start(t, n)
			synctest.Wait()
			lives(t, w, 1, 40)
			pass(t, time.Hour)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(w.check(), func(p string) bool { return strings.Contains(p, sign) }) {
				t.Errorf("nothing said %q", sign)
			}
		})
	}
	t.Run("TheCheckOfEndedTasks", func(t *testing.T) {
		run(t, func(_ *world, n *notify.Notifier) { n.SendProgressOfEndedTasks() }, "behind its end")
	})
	t.Run("OneShardForAChannel", func(t *testing.T) {
		run(t, func(_ *world, n *notify.Notifier) { n.ScatterChannels() }, "came before event")
	})
}

// A crash in mid-batch: the first Notifier is stopped while requests are under way, the second gets the batch again.
func TestNotifier_GoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	crash := func(t *testing.T, seed uint64, ackEarly bool) (problems []string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.ackEarly = ackEarly
			for i := range 30 {
				w.life(t, "school", fmt.Sprintf("task-%d", i), fmt.Sprintf("user-%d", i%4), completed())
			}
			r := rand.New(rand.NewPCG(seed, 3))
			for i := uint64(0); w.handled() < 120 || i < 4; i++ {
				w.react(storm(seed + i))
				stop := start(t, newNotifier(t, w.config()))
				pass(t, within(r, 3*time.Second))
				if err := stop(); err != nil {
					t.Fatal(err)
				}
			}
			problems = w.check()
		})
		return problems
	}
	for seed := range uint64(6) {
		for _, p := range crash(t, seed*100, false) {
			t.Errorf("seed %d: %s", seed, p)
		}
	}
	if crash(t, 1, true) == nil {
		t.Error("a feed that acknowledges first lost nothing, so this test finds no loss")
	}
}

func TestNotifier_WaitsOutAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		down := func(int, []notify.Message) reaction { return reaction{err: errDown} }
		w.react(down)
		cfg := w.config()
		cfg.Waiting = 50
		n := newNotifier(t, cfg)
		stop := start(t, n)
		synctest.Wait()

		for i := range 500 {
			task := fmt.Sprintf("task-%d", i)
			w.life(t, "school", task, "teacher", nil)
			for range 20 {
				w.tell(t, "school", task, 50)
			}
		}
		pass(t, 6*time.Hour)
		if got := w.handled(); got != 0 {
			t.Errorf("%d events were acknowledged while nothing could be sent", got)
		}
		if got := n.WaitingReports(); got > cfg.Waiting {
			t.Errorf("the progress of %d tasks waits, more than %d", got, cfg.Waiting)
		}
		s := n.Stats()
		if s.Lag.Round(time.Second) != 6*time.Hour || s.Sent != 0 {
			t.Errorf("after six hours of outage: %+v", s)
		}
		if s.Coalesced < 500*19 || s.Dropped < 450 {
			t.Errorf("10,000 reports left %d coalesced and %d dropped", s.Coalesced, s.Dropped)
		}
		// 8 shards, at most 30 s between two tries: a dead server is not hammered.
		if calls := w.requests(); calls > 8*6*3600/10 {
			t.Errorf("%d requests in six hours", calls)
		}

		w.react(nil)
		pass(t, time.Minute) // more than the longest wait between two tries
		for i := range 500 {
			w.append(t, "school", fmt.Sprintf("task-%d", i), completed())
		}
		pass(t, time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for _, p := range w.check() {
			t.Error(p)
		}
		if s := n.Stats(); s.Lag != 0 {
			t.Errorf("the lag is %v when all is sent", s.Lag)
		}
	})
}

func TestNotifier_HonoursRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var times []time.Time
		w.react(func(call int, _ []notify.Message) reaction {
			times = append(times, time.Now())
			if call <= 3 {
				return reaction{err: &fault.Error{Kind: fault.RateLimited, Message: "slow down", RetryAfter: 45 * time.Second}}
			}
			return reaction{}
		})
		cfg := w.config()
		cfg.Senders = 1
		w.append(t, "school", "task", queued("teacher", 1))
		stop := start(t, newNotifier(t, cfg))
		pass(t, 10*time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if len(times) != 4 {
			t.Fatalf("%d requests, want 4", len(times))
		}
		for i := range 3 {
			if gap := times[i+1].Sub(times[i]); gap < 45*time.Second || gap > 46*time.Second {
				t.Errorf("try %d came after %v, asked for were 45 s", i+2, gap)
			}
		}
	})
}

func TestNotifier_SetsAsideWhatIsRefused(t *testing.T) {
	t.Parallel()
	refuse := func(kind fault.Kind, bad func(notify.Message) bool) func(int, []notify.Message) reaction {
		return func(_ int, msgs []notify.Message) reaction {
			if slices.ContainsFunc(msgs, bad) {
				return reaction{err: fault.New(kind, "refused")}
			}
			return reaction{}
		}
	}
	run := func(t *testing.T, behave func(int, []notify.Message) reaction) (*world, notify.Stats) {
		t.Helper()
		w := newWorld()
		w.react(behave)
		for i := range 8 {
			w.life(t, "school", fmt.Sprintf("task-%d", i), "teacher", completed())
		}
		n := newNotifier(t, w.config())
		stop := start(t, n)
		pass(t, time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if w.handled() != 32 {
			t.Errorf("%d of 32 events were acknowledged", w.handled())
		}
		return w, n.Stats()
	}
	t.Run("AMessage", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, s := run(t, refuse(fault.Invalid, func(m notify.Message) bool {
				return m.Channel == "private-user-teacher" && m.Event == "task.started"
			}))
			if s.Refused != 8 || s.Lost != 0 || s.Reduced != 0 || s.Retried != 0 {
				t.Errorf("got %+v, want 8 refused", s)
			}
			for _, p := range w.check() {
				if !strings.HasPrefix(p, "private-user-teacher") || strings.Contains(p, "terminal: true") {
					t.Error(p)
				}
			}
			if got := len(w.on("private-user-teacher")); got != 24 {
				t.Errorf("%d messages reached the user, want 24", got)
			}
		})
	})
	t.Run("TheEndOfATaskLast", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, s := run(t, refuse(fault.TooLarge, func(m notify.Message) bool { return strings.Contains(string(m.Data), "Volcanoes") }))
			if s.Reduced != 24 || s.Lost != 0 || s.Refused != 0 {
				t.Errorf("got %+v, want 24 sent as a reference", s)
			}
			for _, p := range w.check() {
				t.Error(p)
			}
			msgs := w.on("private-task-task-3")
			last := payload(t, msgs[len(msgs)-1])
			if last.State != "completed" || last.DataRef != "/api/v1/tasks/task-3" || last.Seq == 0 || last.Data != nil {
				t.Errorf("the reference is %+v", last)
			}
		})
	})
	t.Run("TheEndOfATaskForGoodWhenAllElseFails", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, s := run(t, refuse(fault.Invalid, func(m notify.Message) bool {
				return m.Channel == "private-task-task-3" && m.Event == "task.completed"
			}))
			if s.Lost != 1 || s.Reduced != 0 || s.Refused != 0 {
				t.Errorf("got %+v, want 1 lost", s)
			}
		})
	})
}

func TestNotifier_AsksTheLogAfterARestart(t *testing.T) {
	t.Parallel()
	t.Run("UntilItAnswers", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.life(t, "school", "task", "teacher", completed())
			w.acked = 2
			w.lookupErr = func(call int) error {
				if call <= 5 {
					return fault.New(fault.Unavailable, "no broker")
				}
				return nil
			}
			n := newNotifier(t, w.config())
			stop := start(t, n)
			pass(t, 5*time.Minute)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if got := w.on("private-user-teacher"); len(got) != 2 || payload(t, got[1]).Kind != "quiz" {
				t.Errorf("the user was told %v", got)
			}
			if w.lookups != 6 || n.Stats().Retried != 5 {
				t.Errorf("%d lookups, %d retries", w.lookups, n.Stats().Retried)
			}
		})
	})
	t.Run("AndDoesWithoutWhenTheHistoryHasAgedOut", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.append(t, "school", "task", events.Started{Attempt: 1, Dispatch: 1})
			w.append(t, "school", "task", completed())
			stop := start(t, newNotifier(t, w.config()))
			pass(t, time.Second)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			got := w.on("private-org-school")
			if len(got) != 2 || payload(t, got[1]).Kind != "unknown" || w.lookups != 1 {
				t.Errorf("%d lookups, got %v", w.lookups, got)
			}
		})
	})
	t.Run("WhichBoundsWhatItRemembers", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.batch = 400
			for _, p := range []events.Payload{queued("teacher", 1), events.Started{Attempt: 1, Dispatch: 1}, completed()} {
				for i := range 100 {
					w.append(t, "school", fmt.Sprintf("task-%d", i), p)
				}
			}
			cfg := w.config()
			cfg.Tasks = 7
			n := newNotifier(t, cfg)
			stop := start(t, n)
			pass(t, time.Second)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if got := n.KnownTasks(); got != 7 {
				t.Errorf("%d tasks are remembered, want 7", got)
			}
			for _, p := range w.check() {
				t.Error(p)
			}
		})
	})
}

func TestNotifier_Run(t *testing.T) {
	t.Parallel()
	t.Run("ReturnsWhyTheFeedBroke", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.feedErr = errDown
			if err := newNotifier(t, w.config()).Run(t.Context()); !errors.Is(err, errDown) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("LeavesTheBatchWhenItIsStopped", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.react(func(int, []notify.Message) reaction { return reaction{delay: time.Hour} })
			w.life(t, "school", "task", "teacher", completed())
			stop := start(t, newNotifier(t, w.config()))
			pass(t, time.Second)
			began := time.Now()
			if err := stop(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("it took %v", took)
			}
			if w.handled() != 0 {
				t.Error("the batch was acknowledged")
			}
		})
	})
}

func TestNotifier_DoesNotRepeatOldHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.append(t, "school", "old", events.Queued{Kind: "quiz", UserID: "u", Dispatch: 1})
		<-time.After(25 * time.Hour)
		w.append(t, "school", "new", events.Queued{Kind: "quiz", UserID: "u", Dispatch: 1})
		n := newNotifier(t, w.config())
		stop := start(t, n)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got := n.Stats(); len(w.sent[notify.TaskChannel("old")]) != 0 || len(w.sent[notify.TaskChannel("new")]) != 1 || got.Stale != 1 {
			t.Errorf("sent %v, stale %d", w.sent, got.Stale)
		}
	})
}

func TestNotifier_IsNotHeldUpByAHistoryThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.lookupErr = func(int) error { return fmt.Errorf("event 1: %w", events.ErrMalformed) }
		w.append(t, "school", "spoiled", events.Started{Attempt: 1, Dispatch: 1})
		w.append(t, "other", "fine", events.Queued{Kind: "quiz", UserID: "u", Dispatch: 1})
		stop := start(t, newNotifier(t, w.config()))
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if len(w.sent[notify.TaskChannel("fine")]) != 1 || len(w.sent[notify.TaskChannel("spoiled")]) != 1 {
			t.Errorf("sent %v", w.sent)
		}
	})
}

func TestNew_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := notify.New(notify.Config{Senders: 300, Waiting: -1, RetryMin: time.Hour})
	if !fault.Is(err, fault.Invalid) {
		t.Fatalf("got %v", err)
	}
	for _, field := range []string{"Feed", "Progress", "Lookup", "Sender ", "Senders", "Waiting", "RetryMin"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestBackoff_GrowsToItsLimitAndNoFurther(t *testing.T) {
	t.Parallel()
	const first, limit = 250 * time.Millisecond, 30 * time.Second
	longest := make(map[int]time.Duration)
	for _, failures := range []int{1, 2, 5, 8, 100, 1 << 30} {
		for range 2000 {
			longest[failures] = max(longest[failures], notify.Backoff(first, limit, failures, errDown))
		}
	}
	for failures, ceiling := range map[int]time.Duration{1: first, 2: 2 * first, 5: 16 * first, 8: limit, 100: limit, 1 << 30: limit} {
		if got := longest[failures]; got >= ceiling || got < ceiling*9/10 {
			t.Errorf("after %d failures the longest of 2,000 waits was %v, want nearly %v", failures, got, ceiling)
		}
	}
	patient := fault.After(24*time.Hour, "come back tomorrow")
	if got := notify.Backoff(first, limit, 1, patient); got < 5*time.Minute || got > 5*time.Minute+first {
		t.Errorf("a RetryAfter of a day made it wait %v, want 5 minutes", got)
	}
}
