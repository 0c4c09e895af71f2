package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
)

// TestStream_SurvivesDisconnects cuts connections at random while a task goes on, and resumes them with the last id. Every
// event arrives once, in order. The controls show that the check sees it when either side breaks its part.
func TestStream_SurvivesDisconnects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*api.Config)
		resume func(last string) string
		broken bool
	}{
		{"Resumes", func(*api.Config) {}, func(last string) string { return last }, false},
		{"ControlClientForgetsItsPlace", func(*api.Config) {}, func(string) string { return "" }, true},
		{"ControlServerForgetsThePlace", func(c *api.Config) { c.Tasks = forgetful{c.Tasks} }, func(last string) string { return last }, true},
		{"ControlServerSkips", func(c *api.Config) { c.Tasks = skipping{c.Tasks} }, func(last string) string { return last }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, c.change)
			server := httptest.NewServer(k.handler)
			defer server.Close()
			defer server.CloseClientConnections()
			const readers, steps = 4, 200
			id := k.submit().ID
			k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
			var wait sync.WaitGroup
			broken := make([]error, readers)
			for i := range readers {
				wait.Go(func() { broken[i] = k.readWithCuts(t, server, id, steps+3, uint64(i), c.resume) })
			}
			for i := range steps {
				k.next(id, events.Step{Attempt: 1, Name: fmt.Sprint(i), InputHash: "h", Output: []byte(`{}`)})
				k.report(id, 50)
			}
			k.complete(id, 1)
			wait.Wait()
			for i, err := range broken {
				if c.broken != (err != nil) {
					t.Errorf("reader %d: %v, want broken %t", i, err, c.broken)
				}
			}
		})
	}
}

// readWithCuts reads a stream to its end, cutting the connection after a few frames again and again. It returns what is wrong
// with the order of what it read.
func (k *kit) readWithCuts(t *testing.T, server *httptest.Server, id string, want int, seed uint64, resume func(string) string) error {
	random := rand.New(rand.NewPCG(seed, 1))
	last, seen := "", uint64(0)
	for range 10_000 {
		s := k.openStream(t, server.Client(), server.URL, id, resume(last))
		if s.answer.StatusCode == http.StatusNoContent {
			s.close()
			return complete(seen, want)
		}
		for range 1 + random.IntN(12) {
			f, err := s.next()
			if errors.Is(err, io.EOF) || f.event == "end" {
				s.close()
				return complete(seen, want)
			}
			if err != nil {
				s.close()
				return err
			}
			if f.id == "" {
				continue
			}
			seq, err := strconv.ParseUint(f.id, 10, 64)
			if err != nil || seq != seen+1 {
				s.close()
				return fmt.Errorf("%s follows %d", f.id, seen)
			}
			last, seen = f.id, seq
		}
		s.close()
	}
	return fmt.Errorf("no end in sight")
}

func complete(seen uint64, want int) error {
	if seen != uint64(want) {
		return fmt.Errorf("the last event was %d, want %d", seen, want)
	}
	return nil
}

// forgetful begins every stream anew.
type forgetful struct{ api.Tasks }

func (f forgetful) Follow(ctx context.Context, tenant, id string, _ uint64) (<-chan events.Event, error) {
	return f.Tasks.Follow(ctx, tenant, id, 0)
}

func (f forgetful) History(ctx context.Context, tenant, id string, _ uint64, limit int) ([]events.Event, error) {
	return f.Tasks.History(ctx, tenant, id, 0, limit)
}

// skipping loses an event at each connection.
type skipping struct{ api.Tasks }

func (s skipping) Follow(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, error) {
	return s.Tasks.Follow(ctx, tenant, id, after+1)
}

func (s skipping) History(ctx context.Context, tenant, id string, after uint64, limit int) ([]events.Event, error) {
	return s.Tasks.History(ctx, tenant, id, after+1, limit)
}
