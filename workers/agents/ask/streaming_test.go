package ask_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/privacy"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/workerstest"
)

// talker says its answers in pieces of three bytes.
type talker struct{ say }

func (s *talker) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	resp, err := s.say.Complete(ctx, req)
	for rest := resp.Text; rest != "" && req.OnDelta != nil; {
		n := min(3, len(rest))
		req.OnDelta(rest[:n])
		rest = rest[n:]
	}
	return resp, err
}

// listener is a board that shows a task's text.
type listener struct {
	*tasktest.Memory
	mu    sync.Mutex
	shown events.Transcript
	all   strings.Builder // that was ever said
}

func (l *listener) Report(ctx context.Context, e events.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, err := events.DataAs[events.Text](e); err == nil {
		l.shown.Apply(p)
		l.all.WriteString(p.Text + "\n")
	}
	return l.Memory.Report(ctx, e)
}

// Names are hidden from the model and stand in what readers see, and a repair takes the place of the answer that was refused.
func TestAsk_StreamsTheAnswerThatStandsUnderRealNames(t *testing.T) {
	t.Parallel()
	s := &talker{say{answers: []string{`{"lines":[]}`, `{"lines":["PERSON_1 singt","für PERSON_1."]}`}}}
	client := privacy.NewPseudonyms(s)
	board := &listener{Memory: tasktest.NewMemory()}
	r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{poet(t, client)}, Log: board.Memory, Board: board})
	if err != nil {
		t.Fatal(err)
	}
	e := tasktest.QueuedEvent(t, "school")
	e = tasktest.MustAppend(t, board.Memory, tasktest.Event(t, "school", e.Task, events.Queued{
		Kind: "poem", Input: []byte(`{"About":"Zoë Müller","Lines":2}`), Priority: events.Normal, Dispatch: 1, UserID: "u1", Names: []string{"Zoë Müller"},
	}), 0)
	if err := r.Handle(workerstest.Message(e)); err != nil {
		t.Fatal(err)
	}
	got, _ := workerstest.Read(t, board.Memory, e.Task)
	if got.State != task.Completed || len(s.asked) != 2 || strings.Contains(s.asked[0].Prompt, "Müller") {
		t.Fatalf("%s: %+v; asked %d times", got.State, got.Failure, len(s.asked))
	}
	if want := `{"lines":["Zoë Müller singt","für Zoë Müller."]}`; board.shown.String() != want || board.shown.Missing() > 0 {
		t.Errorf("shown is %q, want %q", board.shown.String(), want)
	}
	if strings.Contains(board.all.String(), "PERSON") {
		t.Errorf("a pseudonym was shown: %q", board.all.String())
	}
}

// A model that breaks off is asked again in the next attempt, and nothing of what it said before stays.
func TestAsk_TakesBackWhatABrokenAttemptSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, takeBack)
}

func takeBack(t *testing.T) {
	answer := `{"lines":["one","two"]}`
	s := &broken{talker{say{answers: []string{`{"lines":["half`, answer}}}}
	board := &listener{Memory: tasktest.NewMemory()}
	r, err := workers.NewRunner(workers.RunnerConfig{Worker: "w1", Agents: []workers.Agent{poet(t, s)}, Log: board.Memory, Board: board})
	if err != nil {
		t.Fatal(err)
	}
	e := workerstest.Queue(t, board.Memory, "poem", []byte(input))
	if err := r.Handle(workerstest.Message(e)); err != nil {
		t.Fatal(err)
	}
	if got, _ := workerstest.Read(t, board.Memory, e.Task); got.State != task.Retrying {
		t.Fatalf("after the first attempt it is %s: %+v", got.State, got.Failure)
	}
	<-time.After(time.Hour) // on the clock of the bubble
	if err := r.Handle(workerstest.Message(e)); err != nil {
		t.Fatal(err)
	}
	if board.shown.String() != answer || !strings.Contains(board.all.String(), "half") {
		t.Errorf("shown is %q, said was %q", board.shown.String(), board.all.String())
	}
}

// broken fails its first call, once it has said all of its answer.
type broken struct{ talker }

func (b *broken) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	resp, err := b.talker.Complete(ctx, req)
	if len(b.asked) == 1 {
		return llm.Response{}, fault.New(fault.Unavailable, "the connection broke")
	}
	return resp, err
}
