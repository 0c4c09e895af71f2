package mail_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/mail"
)

// post is a mail server in a test's hand.
type post struct {
	mu    sync.Mutex
	sent  []string
	times []time.Time
	fn    func(ctx context.Context, n int) error // the n-th attempt, from 1; nil takes all
}

func (p *post) Send(ctx context.Context, m mail.Message) error {
	p.mu.Lock()
	p.times = append(p.times, time.Now())
	n := len(p.times)
	p.mu.Unlock()
	if p.fn != nil {
		if err := p.fn(ctx, n); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, m.Subject)
	return nil
}

func (p *post) attempts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.times)
}

// run starts a queue; stop ends it and waits.
func run(t *testing.T, cfg mail.QueueConfig) (q *mail.Queue, stop func()) {
	t.Helper()
	q, err := mail.NewQueue(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	return q, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func put(t *testing.T, q *mail.Queue, subject string) {
	t.Helper()
	if err := q.Send(t.Context(), mail.Message{To: "ada@school.example", Subject: subject, Text: "s3cret"}); err != nil {
		t.Fatal(err)
	}
}

func TestQueue_SendsInOrderAndDrains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &post{}
		q, stop := run(t, mail.QueueConfig{Sender: p, Workers: 1})
		for i := range 10 {
			put(t, q, fmt.Sprint("mail ", i))
		}
		stop()
		if got, want := strings.Join(p.sent, ","), "mail 0,mail 1,mail 2,mail 3,mail 4,mail 5,mail 6,mail 7,mail 8,mail 9"; got != want {
			t.Errorf("got %s", got)
		}
		if err := q.Send(t.Context(), mail.Message{To: "a@b.example", Subject: "s", Text: "t"}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("after the end: got %v, want Unavailable", err)
		}
		if err := q.Send(t.Context(), mail.Message{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("got %v, want Invalid", err)
		}
	})
}

func TestQueue_TriesAgainLaterAndLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &post{fn: func(_ context.Context, n int) error {
			if n < 4 {
				return fault.New(fault.Unavailable, "not now")
			}
			return nil
		}}
		q, stop := run(t, mail.QueueConfig{Sender: p, Backoff: 8 * time.Second})
		put(t, q, "one")
		<-time.After(time.Hour)
		stop()
		if len(p.times) != 4 || len(p.sent) != 1 || q.Dropped() != 0 {
			t.Fatalf("%d attempts, %d sent, %d dropped", len(p.times), len(p.sent), q.Dropped())
		}
		for i, most := range []time.Duration{8 * time.Second, 16 * time.Second, 32 * time.Second} {
			if wait := p.times[i+1].Sub(p.times[i]); wait < most/2 || wait > most {
				t.Errorf("wait %d was %v, want %v to %v", i, wait, most/2, most)
			}
		}
	})
}

func TestQueue_GivesUpAndSaysSo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err      error
		attempts int
	}{
		"refused for good":  {fault.New(fault.Invalid, "no such mailbox"), 1},
		"refused each time": {fault.After(time.Minute, "full"), 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				p := &post{fn: func(context.Context, int) error { return c.err }}
				q, stop := run(t, mail.QueueConfig{Sender: p, Tries: 3, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				put(t, q, "one")
				<-time.After(time.Hour)
				stop()
				if len(p.times) != c.attempts || q.Dropped() != 1 {
					t.Errorf("%d attempts, %d dropped", len(p.times), q.Dropped())
				}
				if text := log.String(); strings.Count(text, "given up") != 1 || strings.Contains(text, "ada@") || strings.Contains(text, "s3cret") {
					t.Errorf("the log says %s", text)
				}
				if c.attempts > 1 && p.times[1].Sub(p.times[0]) < time.Minute {
					t.Error("it did not wait for as long as the server asked")
				}
			})
		})
	}
}

func TestQueue_DoesNotLetOneMailBlockTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &post{fn: func(ctx context.Context, n int) error {
			if n == 1 {
				<-ctx.Done()
				return fault.New(fault.Canceled, "given up")
			}
			return nil
		}}
		q, stop := run(t, mail.QueueConfig{Sender: p})
		put(t, q, "slow")
		synctest.Wait()
		put(t, q, "fast")
		synctest.Wait()
		if p.attempts() != 2 || len(p.sent) != 1 {
			t.Errorf("%d attempts, sent %v", p.attempts(), p.sent)
		}
		stop()
	})
}

func TestQueue_IsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &post{fn: func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return fault.New(fault.Canceled, "given up")
		}}
		q, stop := run(t, mail.QueueConfig{Sender: p, Size: 3, Workers: 1, Drain: 4 * time.Second})
		for i := range 3 {
			put(t, q, fmt.Sprint("mail ", i))
			synctest.Wait()
		}
		if err := q.Send(t.Context(), mail.Message{To: "a@b.example", Subject: "s", Text: "t"}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v, want Unavailable", err)
		}
		if q.Waiting() != 2 {
			t.Errorf("%d wait, want 2 beside the one that is being sent", q.Waiting())
		}
		began := time.Now()
		stop()
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("the end took %v, want the 4 s of Drain", took)
		}
		if q.Dropped() != 3 || q.Waiting() != 0 {
			t.Errorf("%d dropped, %d wait", q.Dropped(), q.Waiting())
		}
	})
}

func TestQueue_TriesOnceMoreBeforeItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &post{fn: func(_ context.Context, n int) error {
			if n == 1 {
				return fault.New(fault.Unavailable, "not now")
			}
			return nil
		}}
		q, stop := run(t, mail.QueueConfig{Sender: p, Backoff: time.Hour})
		put(t, q, "one")
		synctest.Wait()
		stop()
		if len(p.sent) != 1 || q.Dropped() != 0 {
			t.Errorf("sent %v, %d dropped", p.sent, q.Dropped())
		}
	})
}

// A mail that is under way when the queue is to end gets the time of the drain.
func TestQueue_EndsAMailThatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &post{fn: func(ctx context.Context, _ int) error {
			select {
			case <-time.After(3 * time.Second):
				return nil
			case <-ctx.Done():
				return fault.New(fault.Canceled, "given up")
			}
		}}
		q, stop := run(t, mail.QueueConfig{Sender: p, Drain: 4 * time.Second})
		put(t, q, "one")
		synctest.Wait()
		began := time.Now()
		stop()
		if took := time.Since(began); took != 3*time.Second || len(p.sent) != 1 || q.Dropped() != 0 {
			t.Errorf("after %v: sent %v, %d dropped", took, p.sent, q.Dropped())
		}
	})
}

func TestNewQueue_Refuses(t *testing.T) {
	t.Parallel()
	for _, cfg := range []mail.QueueConfig{{}, {Sender: &post{}, Size: -1}, {Sender: &post{}, Tries: 21}, {Sender: &post{}, Drain: -1}} {
		if _, err := mail.NewQueue(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
