package llm_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// slow answers after a second, and says that another stood in and that it is offline.
type slow struct{ *counter }

func (s slow) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	<-time.After(time.Second)
	resp, err := s.counter.Complete(ctx, req)
	resp.Fallback, resp.Offline = "openai/m: breaker open", true
	return resp, err
}

// Who shares somebody else's answer is told of it what that one is told.
func TestCached_SaysOfASharedAnswerWhereItIsFrom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cached(t, slow{always("answer")}, llm.NewLocalAnswers(), nil)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				resp, _, err := llm.CompleteValid(of(t, "a"), c, about("how plants grow", 5), good)
				if err != nil || resp.Fallback == "" || !resp.Offline {
					t.Errorf("got %+v, %v", resp, err)
				}
			})
		}
		all.Wait()
	})
}

// Two hundred who ask the same while the store is away, or while nobody says which generation counts, cost one call, and its failure is told to all.
func TestCached_AsksOnceForAllWhileItsStoreIsAway(t *testing.T) {
	t.Parallel()
	for name, unknown := range map[string]bool{"Store": false, "Generation": true} {
		for answer, failure := range map[string]error{"Answers": nil, "Fails": fault.New(fault.Unavailable, "503")} {
			t.Run(name+answer, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					model := &counter{says: func(context.Context, int64, llm.Request) (string, error) {
						<-time.After(time.Second)
						return "answer", failure
					}}
					cfg := llm.CacheConfig{Client: model, Store: away{}}
					if unknown {
						cfg = llm.CacheConfig{Client: model, Store: llm.NewLocalAnswers(), Generation: func(context.Context, string) (string, error) { return "", errAway }}
					}
					c, err := llm.NewCached(cfg)
					if err != nil {
						t.Fatal(err)
					}
					_, _, _ = llm.CompleteValid(of(t, "a"), c, about("how stones fall", 5), good) // who finds out that it is away
					var all sync.WaitGroup
					for range 200 {
						all.Go(func() {
							if _, _, err := llm.CompleteValid(of(t, "a"), c, about("how plants grow", 5), good); fault.KindOf(err) != fault.KindOf(failure) {
								t.Errorf("got %v", err)
							}
						})
					}
					all.Wait()
					if n := model.calls.Load(); n != 2 {
						t.Errorf("%d calls", n)
					}
				})
			})
		}
	}
}

// What is told to the model is what counts: a kind's own temperature keeps its answers apart from those of another.
func TestCached_FindsNothingOfAnotherTemperature(t *testing.T) {
	t.Parallel()
	store := llm.NewLocalAnswers()
	for _, temperature := range []float64{0.1, 0.9, 0.1} {
		meter, err := llm.NewLocalMeter(llm.LocalConfig{})
		if err != nil {
			t.Fatal(err)
		}
		governed, err := llm.Govern(llm.GovernConfig{
			Client: always("answer"), Meter: meter, Policy: func() policy.Policy { return policy.Policy{} },
			Kinds: llm.Kinds{"quiz": {Temperature: &temperature}},
		})
		if err != nil {
			t.Fatal(err)
		}
		cache, rounds := "", 1
		if n, err := store.Tally(t.Context(), "a"); err != nil || n.Misses == 2 {
			cache, rounds = llm.CacheExact, 0
		}
		want(of(t, "a"), t, cached(t, governed, store, nil), about("how plants grow", 5), cache, rounds)
	}
}
