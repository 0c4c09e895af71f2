package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// radio is a board that keeps what it is told, and refuses some of it.
type radio struct {
	*tasktest.Memory
	refuse func() bool
	hear   func(events.Text, time.Time)
	pieces []events.Text
	stored map[int]events.Text // the latest piece that begins at an offset, as the broker keeps it
	order  []int               // of stored

	silenced bool // the last piece was refused, and nothing came behind it
}

func (r *radio) Report(ctx context.Context, e events.Event) error {
	p, err := events.DataAs[events.Text](e)
	if err != nil {
		return r.Memory.Report(ctx, e)
	}
	if err := p.Check(); err != nil {
		panic(err)
	}
	if r.silenced = r.refuse != nil && r.refuse(); r.silenced {
		return fault.New(fault.Unavailable, "the broker is away")
	}
	if r.stored == nil {
		r.stored = map[int]events.Text{}
	}
	r.pieces = append(r.pieces, p)
	r.stored[p.Offset] = p
	r.order = append(slices.DeleteFunc(r.order, func(n int) bool { return n == p.Offset }), p.Offset)
	if r.hear != nil {
		r.hear(p, time.Now())
	}
	return nil
}

// novel is a random agent that writes, on workers that die, and its readers.
type novel struct {
	choose func(int) int
	log    *tasktest.Memory
	board  *radio
	silent int      // the step that never writes
	wrote  []string // by step, in the run that came on record
	early  events.Transcript
	late   *events.Transcript
	deaf   bool // readers know of no rollback
	away   bool // the broker is away at times
}

func (n *novel) hear(p events.Text, _ time.Time) {
	if n.deaf {
		p.Run, p.After, p.RollbackTo = 1, 0, 0
	}
	n.early.Apply(p)
	for range n.choose(3) {
		n.early.Apply(n.board.pieces[n.choose(len(n.board.pieces))])
	}
	if n.late != nil {
		n.late.Apply(p)
	} else if n.choose(10) == 0 {
		n.late = &events.Transcript{}
		for _, at := range n.board.order {
			n.late.Apply(n.board.stored[at])
		}
	}
}

var alphabet = []rune("ab{}\"\\\n<é漢…🌋𐀀")

// dictate says a text to a writer in pieces that may end in the middle of a character.
func (n *novel) dictate(w *workers.TextWriter) string {
	var text strings.Builder
	for range n.choose(12) {
		for range n.choose(200) {
			text.WriteRune(alphabet[n.choose(len(alphabet))])
		}
	}
	for rest := text.String(); rest != ""; {
		cut := 1 + n.choose(min(len(rest), 300))
		if written, err := w.WriteString(rest[:cut]); written != cut || err != nil {
			panic(fmt.Sprint(written, err))
		}
		rest = rest[cut:]
		if n.choose(3) == 0 {
			<-time.After(time.Duration(n.choose(120)) * time.Millisecond)
		}
	}
	return text.String()
}

func (n *novel) work(ctx context.Context, run *workers.Run) (output, error) {
	for i := range n.wrote {
		name := fmt.Sprintf("chapter%d", i)
		for try := 0; ; try++ {
			_, err := workers.Step(ctx, run, name, i, func(ctx context.Context) (string, error) {
				if i == n.silent {
					return "no words", nil
				}
				w := run.Text(ctx, name)
				text := n.dictate(w)
				for range n.choose(3) / 2 {
					w.Restart()
					text = n.dictate(w)
				}
				if n.choose(4) == 0 {
					return "", fault.New(fault.Unavailable, "the model broke off")
				}
				n.wrote[i] = text
				return "words", nil
			})
			if err == nil {
				break
			}
			if try > 0 || !fault.Is(err, fault.Unavailable) {
				return output{}, err
			}
		}
	}
	return output{Text: "done"}, nil
}

func (n *novel) live(t *testing.T) error {
	n.log = tasktest.NewMemory()
	n.board = &radio{Memory: n.log, hear: n.hear}
	n.wrote = make([]string, 1+n.choose(4))
	n.silent = n.choose(6)
	if n.away = n.away && n.choose(2) == 0; n.away {
		n.board.refuse = func() bool { return n.choose(4) == 0 }
	}
	e := workerstest.Queue(t, n.log, "quiz", json.RawMessage(`{}`))
	for round := 0; ; round++ {
		got, _ := workerstest.Read(t, n.log, e.Task)
		if got.State == task.Completed {
			break
		}
		if got.State.Terminal() || round > 200 {
			return fmt.Errorf("the task is %s: %+v", got.State, got.Failure)
		}
		log := &mortal{Memory: n.log, left: 1000, stored: n.choose(2) == 0, spared: func() {}}
		if n.choose(3) == 0 && round < 50 {
			log.left = n.choose(6)
		}
		unlimited := workers.Budget{Retries: workers.Unlimited}
		r, err := workers.NewRunner(workers.RunnerConfig{
			Worker: "w1", Agents: []workers.Agent{agentOf(func(ctx context.Context, run *workers.Run, _ input) (output, error) { return n.work(ctx, run) })},
			Log: log, Board: n.board, CancelCheck: time.Hour,
			Budgets: workers.Budgets{events.CauseCrash: unlimited, events.CauseBroker: unlimited, events.CauseProvider: unlimited},
		})
		if err != nil {
			return err
		}
		msg := workerstest.Message(e)
		handle(t, r, msg)
		<-time.After(time.Minute)
	}
	return n.compare()
}

// errShown says that a reader shows something else than the model wrote.
var errShown = errors.New("a reader shows something else")

// chances returns a source of choices for several goroutines.
func chances(seed uint64) func(int) int {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 1))
	return func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(n)
	}
}

// compare holds what readers show against what the model wrote for what is on record.
func (n *novel) compare() error {
	want := strings.Join(n.wrote, "")
	for name, reader := range map[string]*events.Transcript{"early": &n.early, "late": n.late} {
		if reader == nil || n.board.silenced {
			continue
		}
		got, whole := utf16.Encode([]rune(reader.String())), utf16.Encode([]rune(want))
		if !n.away && len(got) != len(whole) || len(got) > len(whole) || !n.away && reader.Missing() > 0 {
			return fmt.Errorf("%w: the %s one %d units, and misses %d; the model wrote %d; broker away: %v", errShown, name, len(got), reader.Missing(), len(whole), n.away)
		}
		for i := range got {
			if got[i] != whole[i] && (got[i] != '…' || !n.away) {
				return fmt.Errorf("%w: the %s one differs at %d of %d; broker away: %v", errShown, name, i, len(whole), n.away)
			}
		}
	}
	return nil
}

// Whatever dies, is tried again and gets lost on the way: readers show what the model wrote for the attempts that count, and each word
// once. Of what the broker refused they see a gap.
func TestText_IsWhatTheModelWrote(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		var err error
		synctest.Test(t, func(t *testing.T) {
			err = (&novel{choose: chances(seed), away: true}).live(t)
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func TestText_NeedsTheRollback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(50) {
			if err := (&novel{choose: chances(seed), deaf: true}).live(t); errors.Is(err, errShown) {
				return
			}
		}
		t.Error("readers that know of no rollback show the right text")
	})
}

// writing runs an agent of one step that writes, and returns the pieces and when they came.
func writing(t *testing.T, board *radio, write func(w *workers.TextWriter)) ([]events.Text, []time.Time, []events.Event) {
	t.Helper()
	var at []time.Time
	board.Memory = tasktest.NewMemory()
	board.hear = func(_ events.Text, now time.Time) { at = append(at, now) }
	r, err := workers.NewRunner(workers.RunnerConfig{
		Worker: "w1", Log: board.Memory, Board: board, CancelCheck: time.Hour,
		Agents: []workers.Agent{agentOf(func(ctx context.Context, run *workers.Run, _ input) (output, error) {
			return workers.Step(ctx, run, "draft", nil, func(ctx context.Context) (output, error) {
				write(run.Text(ctx, "draft"))
				return output{Text: "done"}, nil
			})
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := workerstest.Queue(t, board.Memory, "quiz", json.RawMessage(`{}`))
	handle(t, r, workerstest.Message(e))
	_, history := workerstest.Read(t, board.Memory, e.Task)
	return board.pieces, at, history
}

func TestText_ComesAtOnceAndThenEvery50ms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		pieces, at, history := writing(t, &radio{}, func(w *workers.TextWriter) {
			for range 200 {
				_, _ = w.WriteString("word ")
				<-time.After(3 * time.Millisecond)
			}
		})
		if len(pieces) < 8 || len(pieces) > 15 || !at[0].Equal(began) || pieces[0].Text != "word " {
			t.Errorf("%d pieces in 600 ms; the first is %+v after %s", len(pieces), pieces[0], at[0].Sub(began))
		}
		for i := 1; i < len(at)-1; i++ {
			if pause := at[i].Sub(at[i-1]); pause < 50*time.Millisecond && pieces[i].Offset == pieces[i-1].Offset {
				t.Errorf("piece %d came after %s", i, pause)
			}
		}
		var shown events.Transcript
		for _, p := range pieces {
			shown.Apply(p)
		}
		if shown.String() != strings.Repeat("word ", 200) {
			t.Errorf("the step ended, and shown is %q", shown.String())
		}
		step, err := events.DataAs[events.Step](history[2])
		if err != nil || step.Text == nil || step.Text.End != 1000 || step.Text.Run != pieces[0].Run {
			t.Errorf("on record: %+v, %v", step, err)
		}
	})
}

func TestText_EndsAtItsBoundAndSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pieces, _, _ := writing(t, &radio{}, func(w *workers.TextWriter) {
			for range 300 {
				_, _ = w.WriteString(strings.Repeat("🌋", 500) + "x")
				<-time.After(60 * time.Millisecond)
			}
		})
		var cursor events.TextCursor
		for i, p := range pieces {
			if p.Truncated != (i == len(pieces)-1) {
				t.Errorf("piece %d of %d at %d says truncated: %v", i, len(pieces), p.Offset, p.Truncated)
			}
			if missing := cursor.Missing(p); missing > 0 {
				t.Errorf("%d units are missing at %d", missing, p.Offset)
			}
			cursor.Next(p)
		}
		if end := cursor.End(); end < events.MaxText-1 || end > events.MaxText {
			t.Errorf("the text ends at %d", end)
		}
	})
}

// The broker's connection hangs: the model's stream goes on, and what waits for the broker stays bounded.
func TestText_NeverHoldsTheModelUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		board := &radio{}
		hang := 0
		board.refuse = func() bool {
			if hang++; hang > 1 {
				<-time.After(time.Minute)
			}
			return false
		}
		took := time.Duration(0)
		pieces, _, history := writing(t, board, func(w *workers.TextWriter) {
			began := time.Now()
			for range 150 {
				_, _ = w.WriteString(strings.Repeat("x", 1000))
				<-time.After(time.Millisecond)
			}
			took = time.Since(began)
		})
		if took != 150*time.Millisecond {
			t.Errorf("the model was held up: it took %s for 150 ms of work", took)
		}
		if step := history[2]; step.Type != events.TypeStep || step.Time.Sub(history[1].Time) > time.Second {
			t.Errorf("the step came on record after %s", step.Time.Sub(history[1].Time))
		}
		var shown events.Transcript
		for _, p := range pieces {
			shown.Apply(p)
		}
		if len(pieces) > 100 || strings.Trim(shown.String(), "x…") != "" {
			t.Errorf("%d pieces, %d units missing", len(pieces), shown.Missing())
		}
	})
}

// A replay begins its text anew: nothing of the life before stays where its steps are not taken over.
func TestText_OfAReplayTakesBackAllThatChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		board := &radio{Memory: tasktest.NewMemory()}
		var shown events.Transcript
		board.hear = func(p events.Text, _ time.Time) { shown.Apply(p) }
		word, fail := "first", true
		r, err := workers.NewRunner(workers.RunnerConfig{
			Worker: "w1", Log: board.Memory, Board: board, CancelCheck: time.Hour,
			Agents: []workers.Agent{agentOf(func(ctx context.Context, run *workers.Run, _ input) (output, error) {
				for step := range 2 {
					_, err := workers.Step(ctx, run, fmt.Sprint("s", step), word[:min(step*9, len(word))], func(ctx context.Context) (int, error) {
						_, err := run.Text(ctx, "s").WriteString(fmt.Sprint(word, step, " "))
						return 0, err
					})
					if err != nil {
						return output{}, err
					}
				}
				if fail {
					return output{}, workers.Terminal(events.CausePolicy, errors.New("no"))
				}
				return output{Text: "done"}, nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		e := workerstest.Queue(t, board.Memory, "quiz", json.RawMessage(`{}`))
		handle(t, r, workerstest.Message(e))
		if shown.String() != "first0 first1 " {
			t.Errorf("first life: %q", shown.String())
		}
		word, fail = "second", false
		handle(t, r, workerstest.Message(workerstest.Replay(t, board.Memory, e.Task, nil)))
		if shown.String() != "first0 second1 " || shown.Missing() > 0 {
			t.Errorf("second life: %q", shown.String())
		}
	})
}

func TestText_OfATaskWithoutWordsIsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pieces, _, history := writing(t, &radio{}, func(*workers.TextWriter) {})
		if step, err := events.DataAs[events.Step](history[2]); len(pieces) > 0 || err != nil || step.Text != nil {
			t.Errorf("%+v; on record %+v, %v", pieces, step, err)
		}
	})
}

// BenchmarkText tells what streaming adds to one delta of a model, which pays for no publishing.
func BenchmarkText(b *testing.B) {
	board := &radio{Memory: tasktest.NewMemory()}
	published := 0
	board.refuse = func() bool { published++; board.pieces, board.order = nil, nil; clear(board.stored); return false }
	r, err := workers.NewRunner(workers.RunnerConfig{
		Worker: "w1", Log: board.Memory, Board: board, CancelCheck: time.Hour,
		Agents: []workers.Agent{agentOf(func(ctx context.Context, run *workers.Run, _ input) (output, error) {
			w := run.Text(ctx, "draft")
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if i%40_000 == 39_999 {
					w.Restart() // its text would end at the bound
				}
				_, _ = w.WriteString(" token")
			}
			b.StopTimer()
			return output{Text: "done"}, nil
		})},
	})
	if err != nil {
		b.Fatal(err)
	}
	e := workerstest.Queue(b, board.Memory, "quiz", json.RawMessage(`{}`))
	_ = r.Handle(workerstest.Message(e))
	b.ReportMetric(float64(published)/float64(b.N), "pieces/op")
}
