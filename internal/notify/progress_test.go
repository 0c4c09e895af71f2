package notify_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/notify"
)

// volatile returns the percentages of the progress reports on a private channel and when they were sent.
func (w *world) volatile(t *testing.T, channel string) (percents []float64, at []time.Time) {
	t.Helper()
	for i, m := range w.on(channel) {
		if p := payload(t, m); p.Seq == 0 {
			percents = append(percents, *p.Progress)
			at = append(at, w.times[channel][i])
		}
	}
	return percents, at
}

func TestProgress_IsCoalescedToFourASecond(t *testing.T) {
	t.Parallel()
	for name, delay := range map[string]time.Duration{"FastSender": 0, "SlowSender": 90 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.react(func(int, []notify.Message) reaction { return reaction{delay: delay} })
				n := newNotifier(t, w.config())
				stop := start(t, n)
				for task := range 10 {
					w.life(t, "school", fmt.Sprintf("task-%d", task), "teacher", nil)
				}
				pass(t, 10*time.Second)
				for i := range 500 { // 100 reports a second, for 5 s
					for task := range 10 {
						w.tell(t, "school", fmt.Sprintf("task-%d", task), float64(i)/5)
					}
					pass(t, 10*time.Millisecond)
				}
				pass(t, 10*time.Second)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				var total uint64
				for task := range 10 {
					percents, at := w.volatile(t, fmt.Sprintf("private-task-task-%d", task))
					total += uint64(len(at))
					for i := 4; i < len(at); i++ {
						if window := at[i].Sub(at[i-4]); window < time.Second {
							t.Fatalf("task %d was told of five times within %v", task, window)
						}
					}
					for i := 1; i < len(percents); i++ {
						if percents[i] <= percents[i-1] {
							t.Errorf("task %d went from %v to %v percent", task, percents[i-1], percents[i])
						}
					}
					if len(percents) < 5 || percents[len(percents)-1] != 99.8 {
						t.Errorf("task %d: %d reports, which do not end with the last one: %v", task, len(percents), percents)
					}
				}
				if s := n.Stats(); s.Coalesced != 5000-total || s.Dropped != 0 {
					t.Errorf("5,000 reports, %d sent: %+v", total, s)
				}
			})
		})
	}
}

func TestProgress_DropsTheOldestWhenTooManyTasksWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		cfg := w.config()
		cfg.Waiting = 100
		n := newNotifier(t, cfg)
		stop := start(t, n)
		for i := range 300 {
			w.append(t, "school", fmt.Sprintf("task-%d", i), queued("teacher", 1))
		}
		synctest.Wait()
		for i := range 300 {
			w.tell(t, "school", fmt.Sprintf("task-%d", i), 10)
		}
		if got := n.WaitingReports(); got != 100 {
			t.Errorf("%d reports wait, want 100", got)
		}
		pass(t, time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if s := n.Stats(); s.Dropped != 200 {
			t.Errorf("%d reports were dropped, want 200", s.Dropped)
		}
		for i, want := range map[int]int{0: 0, 199: 0, 200: 1, 299: 1} {
			if got, _ := w.volatile(t, fmt.Sprintf("private-task-task-%d", i)); len(got) != want {
				t.Errorf("task %d: %d reports were sent, want %d", i, len(got), want)
			}
		}
	})
}

func TestProgress_IsRefusedWhenItIsTooLargeOrNoneAtAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n := newNotifier(t, w.config())
		stop := start(t, n)
		synctest.Wait()
		w.report(event(t, "school", "task", events.Progress{Message: string(make([]byte, notify.MaxData))}))
		w.report(event(t, "school", "task", events.Cancelled{}))
		if n.WaitingReports() != 0 || n.Stats().Dropped != 2 {
			t.Errorf("%d wait, %+v", n.WaitingReports(), n.Stats())
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// The log's requests hang for long: progress neither overtakes them on their shard nor piles up behind them.
func TestProgress_GivesWayToTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n := newNotifier(t, w.config())
		stop := start(t, n)
		w.append(t, "school", "task", queued("teacher", 1))
		synctest.Wait()
		w.react(func(int, []notify.Message) reaction { return reaction{delay: time.Minute} })
		w.append(t, "school", "task", events.Started{Attempt: 1, Dispatch: 1})
		synctest.Wait()
		for i := range 40 {
			w.tell(t, "school", "task", float64(i))
			pass(t, time.Second)
		}
		// One request of the log for each of its shards, and progress only where no log message was to be sent.
		if got, _ := w.volatile(t, "private-task-task"); len(got) != 0 {
			t.Errorf("progress overtook the log: %v", got)
		}
		w.react(nil)
		pass(t, time.Minute)
		if got, _ := w.volatile(t, "private-task-task"); len(got) != 1 || got[0] != 39 {
			t.Errorf("sent in the end: %v, want the latest report alone", got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for _, p := range w.check() {
			t.Error(p)
		}
	})
}

func TestProgress_SurvivesAShortOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n := newNotifier(t, w.config())
		stop := start(t, n)
		w.append(t, "school", "task", queued("teacher", 1))
		synctest.Wait()
		w.react(func(int, []notify.Message) reaction { return reaction{err: errDown} })
		calls := w.requests()
		w.tell(t, "school", "task", 42)
		pass(t, 10*time.Minute)
		if tries := w.requests() - calls; tries < 5 || tries > 400 {
			t.Errorf("a dead sender was tried %d times in ten minutes", tries)
		}
		w.react(nil)
		pass(t, time.Minute)
		if got, _ := w.volatile(t, "private-task-task"); len(got) != 1 || got[0] != 42 {
			t.Errorf("sent in the end: %v, want the last report once", got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestProgress_AfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.life(t, "school", "over", "teacher", completed())
		w.life(t, "school", "running", "teacher", nil)
		w.acked = len(w.log) // all of it was sent before the restart
		fail := true
		w.lookupErr = func(int) error {
			if fail {
				return fault.New(fault.Unavailable, "no broker")
			}
			return nil
		}
		n := newNotifier(t, w.config())
		stop := start(t, n)
		synctest.Wait()
		for _, task := range []string{"over", "running", "unheard-of"} {
			w.tell(t, "school", task, 50)
		}
		pass(t, 10*time.Second)
		if got := n.WaitingReports(); got != 3 {
			t.Errorf("%d reports wait for the log to answer, want 3", got)
		}
		w.mu.Lock()
		fail = false
		w.mu.Unlock()
		pass(t, time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for task, want := range map[string]int{"over": 0, "running": 1, "unheard-of": 0} {
			if got, _ := w.volatile(t, "private-task-"+task); len(got) != want {
				t.Errorf("%s: %d reports were sent, want %d", task, len(got), want)
			}
		}
		if got, _ := w.volatile(t, "private-user-teacher"); len(got) != 1 {
			t.Errorf("the user was told %d times, want once", len(got))
		}
		if s := n.Stats(); s.Dropped != 2 {
			t.Errorf("%d dropped, want 2", s.Dropped)
		}
	})
}

func TestProgress_ComesAgainAfterAReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n := newNotifier(t, w.config())
		stop := start(t, n)
		w.life(t, "school", "task", "teacher", events.Failed{Attempts: 1, Cause: events.CauseBug, Error: "panic"})
		stale := event(t, "school", "task", events.Progress{Percent: 99}) // of the first dispatch, and late
		pass(t, time.Minute)
		w.tell(t, "school", "task", 10)
		pass(t, time.Second)
		w.append(t, "school", "task", queued("teacher", 2))
		synctest.Wait()
		w.report(stale)
		pass(t, time.Second)
		w.tell(t, "school", "task", 20)
		pass(t, time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got, _ := w.volatile(t, "private-task-task"); len(got) != 1 || got[0] != 20 {
			t.Errorf("got %v, want only the report of the replay", got)
		}
		for _, p := range w.check() {
			t.Error(p)
		}
	})
}

func TestProgress_IsSubscribedToAgainWhenItBreaks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n := newNotifier(t, w.config())
		stop := start(t, n)
		w.append(t, "school", "task", queued("teacher", 1))
		synctest.Wait()
		w.breakProgress(errDown)
		pass(t, time.Second)
		w.tell(t, "school", "task", 10)
		pass(t, time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got, _ := w.volatile(t, "private-task-task"); len(got) != 1 {
			t.Errorf("%d reports were sent, want 1", len(got))
		}
	})
}

func TestProgress_IsHeldBackInMidFlush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		cfg := w.config()
		cfg.Senders = 1
		n := newNotifier(t, cfg)
		stop := start(t, n)
		for i := range 20 {
			w.append(t, "school", fmt.Sprintf("task-%d", i), queued("teacher", 1))
		}
		pass(t, 10*time.Millisecond)
		for i := range 20 {
			w.tell(t, "school", fmt.Sprintf("task-%d", i), 50)
		}
		w.react(func(int, []notify.Message) reaction { return reaction{delay: 100 * time.Millisecond} })
		pass(t, 450*time.Millisecond) // two or three of the eight requests of the flush are through
		for i := 18; i < 20; i++ {    // few enough that the flush does not lose its patience
			w.append(t, "school", fmt.Sprintf("task-%d", i), events.Cancelled{})
		}
		pass(t, time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got, _ := w.volatile(t, "private-user-teacher"); len(got) != 18 {
			t.Errorf("%d reports were sent, want those of the 18 tasks that go on", len(got))
		}
		if s := n.Stats(); s.Dropped != 0 {
			t.Errorf("%d reports were dropped before their flush began, so it was not caught in the middle", s.Dropped)
		}
		for _, p := range w.check() {
			t.Error(p)
		}
	})
}

// While a report's task is looked up, the task ends: what the log said before does not count any more.
func TestProgress_IsHeldBackInMidLookup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.life(t, "school", "task", "teacher", nil)
		w.acked = len(w.log)
		w.afterLast = func() {
			w.append(t, "school", "task", completed())
			pass(t, time.Second)
		}
		stop := start(t, newNotifier(t, w.config()))
		synctest.Wait()
		w.tell(t, "school", "task", 50)
		pass(t, time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got := w.on("private-task-task"); len(got) != 1 || got[0].Event != "task.completed" {
			t.Errorf("got %v, want the end of the task alone", got)
		}
	})
}

func TestProgress_StarvesNoTaskBehindOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n := newNotifier(t, w.config())
		stop := start(t, n)
		for i := range 600 { // more than one flush takes
			w.append(t, "school", fmt.Sprintf("task-%d", i), queued("teacher", 1))
		}
		pass(t, time.Second)
		for round := range 50 {
			for i := range 600 {
				w.tell(t, "school", fmt.Sprintf("task-%d", i), float64(round))
			}
			pass(t, 100*time.Millisecond)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for i := range 600 { // 5 s of 1,024 reports a second make 8 or 9 for each
			if got, _ := w.volatile(t, fmt.Sprintf("private-task-task-%d", i)); len(got) < 4 {
				t.Errorf("task %d was told of %d times", i, len(got))
			}
		}
	})
}
