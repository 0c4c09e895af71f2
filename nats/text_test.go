package nats_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func readText(t testing.TB, log *nats.Log, id string) <-chan events.Event {
	t.Helper()
	ch, err := log.Text(t.Context(), "school", id)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func nextText(t testing.TB, ch <-chan events.Event) events.Text {
	t.Helper()
	select {
	case e := <-ch:
		p, err := events.DataAs[events.Text](e)
		if err != nil {
			t.Fatal(err)
		}
		return p
	case <-time.After(patience):
		t.Fatal("no text came")
		return events.Text{}
	}
}

// untilStored waits until the stream PROGRESS has seen n messages: nobody acknowledges them.
func untilStored(t testing.TB, broker *natstest.Broker, n uint64) {
	t.Helper()
	until(t, "the reports are stored", func() bool {
		stream, err := broker.JS.Stream(t.Context(), events.StreamProgress)
		return err == nil && stream.CachedInfo().State.LastSeq >= n
	})
}

// typist writes a text as workers do, in overlapping pieces, and takes parts of it back.
type typist struct {
	log  *nats.Log
	id   string
	rng  *rand.Rand
	next events.Text
	text string // ASCII, so bytes are units
	by   []uint64
}

func (w *typist) write(t *testing.T) {
	if w.next.Run == 0 || w.rng.IntN(12) == 0 && len(w.text) > 0 {
		back := w.rng.IntN(len(w.text) + 1)
		w.text, w.by = w.text[:back], w.by[:back]
		w.next.Run, w.next.After, w.next.RollbackTo, w.next.Offset = w.next.Run+1+w.rng.Uint64N(3), 0, back, back
		if back > 0 {
			w.next.After = w.by[back-1]
		}
	}
	w.text += strings.Repeat(string(rune('a'+w.rng.IntN(26))), 1+w.rng.IntN(20))
	for len(w.by) < len(w.text) {
		w.by = append(w.by, w.next.Run)
	}
	w.next.Text = w.text[w.next.Offset:]
	report(t, w.log, w.id, w.next)
	if w.rng.IntN(3) == 0 {
		w.next.Offset = len(w.text)
	}
}

func report(t testing.TB, log *nats.Log, id string, p events.Text) {
	t.Helper()
	p.Attempt, p.Step = 1, "draft"
	if err := log.Report(t.Context(), tasktest.Event(t, "school", id, p)); err != nil {
		t.Fatal(err)
	}
}

// reading is what a reader makes of a text until it has it, or nothing comes for a while.
func reading(ctx context.Context, ch <-chan events.Event, slow *rand.Rand, want <-chan string) error {
	var shown events.Transcript
	var cursor events.TextCursor
	var all string
	quiet := time.NewTimer(silence)
	for all == "" || shown.String() != all || shown.Missing() > 0 {
		select {
		case e := <-ch:
			p, err := events.DataAs[events.Text](e)
			if err != nil {
				return err
			}
			if fresh, ok := cursor.Next(p); !ok || fresh != p {
				return fmt.Errorf("%+v repeats what came before", p)
			}
			shown.Apply(p)
			if slow.IntN(4) == 0 {
				<-time.After(time.Duration(slow.IntN(3)) * time.Millisecond)
			}
			quiet.Reset(silence)
		case all = <-want:
			want = nil
		case <-quiet.C:
			return fmt.Errorf("%d units of %d are missing, shown %q, written %q", shown.Missing(), len(all), shown.String(), all)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// read writes a text while two readers, who join at random moments and read slowly, follow it.
func read(t *testing.T, log *nats.Log, seed uint64) error { return readBy(t, log, log.Text, seed) }

// opener begins to read a text.
type opener func(ctx context.Context, tenant, id string) (<-chan events.Event, error)

// readBy is read with readers who open the text in some way.
func readBy(t *testing.T, log *nats.Log, open opener, seed uint64) error {
	w := &typist{log: log, id: fmt.Sprintf("task-%d", seed), rng: rand.New(rand.NewPCG(seed, 7))}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wants []chan string
	done := make(chan error, 2)
	length := 20 + w.rng.IntN(300)
	joins := []int{w.rng.IntN(length), w.rng.IntN(length)}
	for n := range length {
		for i, at := range joins {
			if at == n {
				ch, err := open(ctx, "school", w.id)
				if err != nil {
					t.Fatal(err)
				}
				want := make(chan string, 1)
				wants = append(wants, want)
				go func() { done <- reading(ctx, ch, rand.New(rand.NewPCG(seed, uint64(i))), want) }()
			}
		}
		w.write(t)
	}
	for _, want := range wants {
		want <- w.text
	}
	var worst error
	for range wants {
		if err := <-done; err != nil {
			worst = err
		}
	}
	return worst
}

func TestLog_TextIsWholeForWhoeverJoinsWhenever(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := nats.NewLog(broker.JS, nats.LogConfig{})
	nats.Hasty(log)
	for seed := range uint64(25) {
		if err := read(t, log, seed); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

func TestLog_TextHasGapsWithoutTheStream(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := nats.NewLog(broker.JS, nats.LogConfig{})
	nats.Hasty(log)
	nats.Blind(log)
	for seed := range uint64(5) {
		if read(t, log, seed) != nil {
			return
		}
	}
	t.Error("readers miss nothing though they do not read the stream: the test shows nothing")
}

func TestLog_TextShowsALateReaderNothingThatWasTakenBack(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := nats.NewLog(broker.JS, nats.LogConfig{})
	long := strings.Repeat("x", events.MaxPiece)
	report(t, log, "task", events.Text{Run: 5, Text: "kept, gone"})
	for i := range 3 {
		report(t, log, "task", events.Text{Run: 5, Offset: 10 + i*events.MaxPiece, Text: long})
	}
	report(t, log, "task", events.Text{Run: 6, After: 5, RollbackTo: 6, Offset: 6, Text: "new"})
	report(t, log, "task", events.Text{Run: 6, After: 5, RollbackTo: 6, Offset: 9, Text: "!", Truncated: true})
	untilStored(t, broker, 6)
	ch := readText(t, log, "task")
	var got []string
	for range 3 {
		p := nextText(t, ch)
		got = append(got, fmt.Sprintf("%d:%s", p.Offset, p.Text))
	}
	if want := "0:kept,  6:new 9:!"; strings.Join(got, " ") != want {
		t.Errorf("got %.99q, want %q", got, want)
	}
}

// What an attempt writes anew replaces in the stream what it took back: and so does a piece that has grown.
func TestLog_TextIsStoredOnce(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := nats.NewLog(broker.JS, nats.LogConfig{})
	for run := range uint64(9) {
		for slot := range 4 {
			for n := range 20 {
				report(t, log, "task", events.Text{Run: run + 1, Offset: slot * 512, Text: strings.Repeat("x", n*26)})
			}
		}
	}
	untilStored(t, broker, 9*4*20)
	stream, err := broker.JS.Stream(t.Context(), events.StreamProgress)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 4 {
		t.Errorf("%d pieces are stored, want 4", n)
	}
}

// What was written while a reader was cut off, it reads from the stream when it is back.
func TestLog_TextGoesOnAfterAReconnect(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := nats.NewLog(broker.JS, nats.LogConfig{})
	nc := connect(t, broker)
	ch := readText(t, nats.NewLog(mustJetStream(t, nc), nats.LogConfig{}), "task")
	report(t, log, "task", events.Text{Run: 1, Text: "before"})
	var shown events.Transcript
	shown.Apply(nextText(t, ch))
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	want := "before"
	for i := range 20 {
		word := fmt.Sprint(" ", i)
		report(t, log, "task", events.Text{Run: 1, Offset: len(want), Text: word})
		want += word
	}
	for shown.String() != want {
		shown.Apply(nextText(t, ch))
	}
	if shown.Missing() > 0 {
		t.Errorf("%d units are missing", shown.Missing())
	}
}

func TestLog_ReportRefusesMalformedText(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := nats.NewLog(broker.JS, nats.LogConfig{})
	err := log.Report(t.Context(), tasktest.Event(t, "school", "task", events.Text{Run: 1, Offset: events.MaxText, Text: "x"}))
	if err == nil || !strings.Contains(err.Error(), "offset") {
		t.Errorf("got %v", err)
	}
}

func TestLog_WatchProgressShowsText(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := nats.NewLog(broker.JS, nats.LogConfig{})
	seen := make(chan events.Event, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- log.WatchProgress(ctx, func(e events.Event) {
			select {
			case seen <- e:
			default:
			}
		})
	}()
	until(t, "the watcher sees text", func() bool {
		report(t, log, "task", events.Text{Run: 1, Text: "x"})
		select {
		case e := <-seen:
			return e.Type == events.TypeText
		default:
			return false
		}
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// BenchmarkLog_Text tells what a piece costs, from its writer to a reader who follows it.
func BenchmarkLog_Text(b *testing.B) {
	broker := natstest.Start(b)
	log := nats.NewLog(broker.JS, nats.LogConfig{})
	ch := readText(b, log, "task")
	p := events.Text{Run: 1}
	b.ReportAllocs()
	for b.Loop() {
		if p.Text += " twenty characters.."; len(p.Text) > events.MaxPiece/2 {
			p.Offset, p.Text = p.Offset+len(p.Text), "x"
		}
		if p.Offset > events.MaxText-events.MaxPiece {
			p = events.Text{Run: p.Run + 1, Text: "x"}
		}
		report(b, log, "task", p)
		<-ch
	}
}
