package notify_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/notify"
)

// say tells of a piece of text on the subscription. There must be one.
func (w *world) say(t *testing.T, task string, p events.Text) {
	t.Helper()
	w.mu.Lock()
	report := w.report
	w.mu.Unlock()
	report(event(t, "school", task, p))
}

// shown is what the subscribers of a task's channel read. It fails when text comes on another channel, or in a message that is too large.
func (w *world) shown(t *testing.T, task string) (text events.Transcript, messages int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for channel, msgs := range w.sent {
		for _, m := range msgs {
			if m.Event != "task.text" {
				continue
			}
			if len(m.Data) > notify.MaxData || !strings.HasPrefix(channel, "private-task-") {
				t.Errorf("%d bytes of text on %s", len(m.Data), channel)
			}
			var p events.Text
			if err := json.Unmarshal(payload(t, m).Data, &p); err != nil {
				t.Fatal(err)
			}
			if channel == "private-task-"+task {
				text.Apply(p)
				messages++
			}
		}
	}
	return text, messages
}

// words is a source of text as a worker streams it: pieces repeat the one before until they are long.
type words struct {
	rng  *rand.Rand
	next events.Text
	text string // ASCII, so bytes are units
	by   []uint64
}

func newWords(seed uint64) *words {
	return &words{rng: rand.New(rand.NewPCG(seed, 3)), next: events.Text{Attempt: 1, Step: "draft", Run: 1}}
}

func (s *words) write(n int) events.Text {
	for range n {
		s.text += string(`ab"\{<`[s.rng.IntN(6)])
	}
	for len(s.by) < len(s.text) {
		s.by = append(s.by, s.next.Run)
	}
	s.next.Text = s.text[s.next.Offset:]
	p := s.next
	if len(p.Text) >= events.MaxPiece/2 {
		s.next.Offset = len(s.text)
	}
	return p
}

func (s *words) takeBack(to int) {
	s.text, s.by = s.text[:to], s.by[:to]
	s.next.Run, s.next.After, s.next.RollbackTo, s.next.Offset = s.next.Run+1, 0, to, to
	if to > 0 {
		s.next.After = s.by[to-1]
	}
}

func TestText_ComesWholeAndInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n := newNotifier(t, w.config())
		stop := start(t, n)
		w.append(t, "school", "task", queued("teacher", 1))
		synctest.Wait()
		rng := rand.New(rand.NewPCG(1, 2))
		w.react(func(int, []notify.Message) reaction {
			switch rng.IntN(4) {
			case 0:
				return reaction{err: errDown}
			case 1:
				return reaction{err: errDown, accept: true, delay: 20 * time.Millisecond}
			}
			return reaction{delay: 50 * time.Millisecond}
		})
		source := newWords(1)
		for i := range 400 {
			if i%90 == 89 {
				source.takeBack(rng.IntN(len(source.text)))
			}
			w.say(t, "task", source.write(10))
			w.tell(t, "school", "task", float64(i)/4)
			pass(t, 50*time.Millisecond)
		}
		w.react(nil)
		pass(t, time.Minute)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		text, messages := w.shown(t, "task")
		if text.String() != source.text || text.Missing() > 0 || n.Stats().Gaps > 0 {
			t.Errorf("shown are %d units, %d missing; written were %d: %+v", events.TextLen(text.String()), text.Missing(), len(source.text), n.Stats())
		}
		if messages > 200 {
			t.Errorf("%d messages in 20 s", messages)
		}
		for _, p := range w.check() {
			t.Error(p)
		}
	})
}

func TestText_LeavesOutTheMiddleWhileNothingGoesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n := newNotifier(t, w.config())
		stop := start(t, n)
		w.append(t, "school", "task", queued("teacher", 1))
		synctest.Wait()
		source := newWords(2)
		w.react(func(int, []notify.Message) reaction { return reaction{err: errDown} })
		for range 300 {
			w.say(t, "task", source.write(100))
			pass(t, 50*time.Millisecond)
		}
		w.react(nil)
		pass(t, time.Minute)
		w.say(t, "task", source.write(100))
		pass(t, time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		text, messages := w.shown(t, "task")
		got := text.String()
		if events.TextLen(got) != len(source.text) || text.Missing() == 0 || n.Stats().Gaps == 0 {
			t.Errorf("shown are %d units, %d missing; written were %d: %+v", events.TextLen(got), text.Missing(), len(source.text), n.Stats())
		}
		head, tail, _ := strings.Cut(got, "…")
		if tail = strings.TrimLeft(tail, "…"); !strings.HasPrefix(source.text, head) || len(head) < 1024 || !strings.HasSuffix(source.text, tail) || len(tail) < 1024 {
			t.Errorf("the beginning has %d units and the end %d, with a gap of %d", len(head), len(tail), text.Missing())
		}
		if messages > 6 {
			t.Errorf("%d messages for what waited", messages)
		}
	})
}

func TestText_IsNeverBehindTheEndOfItsTask(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]bool{"AsBuilt": false, "Control": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				n := newNotifier(t, w.config())
				if broken {
					n.SendProgressOfEndedTasks()
				}
				stop := start(t, n)
				w.append(t, "school", "task", queued("teacher", 1))
				synctest.Wait()
				source := newWords(3)
				w.say(t, "task", source.write(20))
				pass(t, time.Second)
				w.say(t, "task", source.write(20)) // waits when the end comes
				w.append(t, "school", "task", completed())
				pass(t, 10*time.Millisecond)
				w.say(t, "task", source.write(20)) // comes behind it
				pass(t, time.Minute)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				if problems := w.check(); (len(problems) > 0) != broken {
					t.Errorf("problems: %q", problems)
				}
			})
		})
	}
}

func TestText_IsDroppedWhenItIsNoneOrTooManyTasksWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		cfg := w.config()
		cfg.Waiting = 2
		n := newNotifier(t, cfg)
		stop := start(t, n)
		for _, task := range []string{"a", "b", "c"} {
			w.append(t, "school", task, queued("teacher", 1))
		}
		synctest.Wait()
		w.say(t, "a", events.Text{Run: 1, Text: "too long", Step: strings.Repeat("x", notify.MaxData)})
		w.say(t, "a", events.Text{Offset: -1})
		for _, task := range []string{"a", "b", "c"} {
			w.say(t, task, events.Text{Run: 1, Text: "of " + task})
		}
		w.say(t, "c", events.Text{Run: 2, Offset: 0, Text: "new"})
		pass(t, time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for task, want := range map[string]string{"a": "", "b": "of b", "c": "new"} {
			if text, messages := w.shown(t, task); text.String() != want || messages > 1 {
				t.Errorf("%s: %q in %d messages, want %q", task, text.String(), messages, want)
			}
		}
		if s := n.Stats(); s.Dropped != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// A piece that the service refuses for good keeps none that follow from coming.
func TestText_PassesOverWhatIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		stop := start(t, newNotifier(t, w.config()))
		w.append(t, "school", "task", queued("teacher", 1))
		synctest.Wait()
		w.react(func(_ int, msgs []notify.Message) reaction {
			for _, m := range msgs {
				if strings.Contains(string(m.Data), "poison") {
					return reaction{err: fault.New(fault.Invalid, "no")}
				}
			}
			return reaction{}
		})
		for i, text := range []string{"poison", "good"} {
			w.say(t, "task", events.Text{Run: 1, Offset: i * 6, Text: text})
			pass(t, time.Second)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if text, _ := w.shown(t, "task"); text.String() != "………………good" || text.Missing() != 6 {
			t.Errorf("shown is %q", text.String())
		}
	})
}
