package llm_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// generation is what all processes ask for the present generation. A process that is away does not reach it.
type generation struct {
	mu   sync.Mutex
	name string
}

func (g *generation) set(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.name = name
}

func (g *generation) get(context.Context, string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.name, nil
}

// process is one that caches in its own memory.
type process struct {
	*llm.Cached
	model *counter
	store *llm.LocalAnswers
	away  bool
}

func newProcess(t testing.TB, of *generation, control bool) *process {
	t.Helper()
	p := &process{model: always("about ada"), store: llm.NewLocalAnswers()}
	index, _ := semantic(t, p.store)
	cfg := llm.CacheConfig{Client: p.model, Store: p.store, Semantic: index, Generation: func(ctx context.Context, tenant string) (string, error) {
		if p.away {
			return "", fault.New(fault.Unavailable, "away")
		}
		return of.get(ctx, tenant)
	}}
	if control {
		cfg.Generation = nil
	}
	var err error
	if p.Cached, err = llm.NewCached(cfg); err != nil {
		t.Fatal(err)
	}
	return p
}

// Once another generation counts, no process finds what an earlier one kept, neither the same nor what means the same: not the one that was away
// when it began, nor the one that asked before and heard after. The control does not ask for the generation.
func TestCached_FindsNothingOfAnEarlierGeneration(t *testing.T) {
	t.Parallel()
	for name, control := range map[string]bool{"Generations": false, "Control": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				now := &generation{name: "first"}
				here, apart := newProcess(t, now, control), newProcess(t, now, control)
				for _, p := range []*process{here, apart} {
					want(of(t, "a"), t, p, about("how plants grow", 5), "", 1)
					want(of(t, "a"), t, p, about("how plants grow", 5), llm.CacheExact, 0)
				}
				apart.away = true
				now.set("second")
				hit, rounds := "", 1
				if control {
					hit, rounds = llm.CacheExact, 0
				}
				want(of(t, "a"), t, here, about("how plants grow", 5), hit, rounds)
				want(of(t, "a"), t, apart, about("how plants grow", 5), hit, rounds)
				apart.away = false
				<-time.After(time.Minute)
				if control {
					want(of(t, "a"), t, apart, about("how flora grow", 5), llm.CacheSemantic, 0)
					return
				}
				want(of(t, "a"), t, apart, about("how flora grow", 5), "", 1)
				want(of(t, "a"), t, apart, about("how plants grow", 5), llm.CacheSemantic, 0) // to the question of this generation
			})
		})
	}
}

// What was asked in one generation and is answered in the next is not found in that. Who asks the same words meanwhile shares the answer.
func TestCached_KeepsInTheGenerationInWhichItAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := &generation{name: "first"}
		p := newProcess(t, now, false)
		p.model.says = func(context.Context, int64, llm.Request) (string, error) {
			<-time.After(time.Second)
			return "about ada", nil
		}
		var both sync.WaitGroup
		both.Go(func() { want(of(t, "a"), t, p, about("how plants grow", 5), "", 1) })
		synctest.Wait()
		now.set("second")
		both.Go(func() { want(of(t, "a"), t, p, about("how plants grow", 5), llm.CacheShared, 0) })
		both.Wait()
		now.set("third")
		want(of(t, "a"), t, p, about("how plants grow", 5), "", 1)
	})
}

// A process does not only not find, it drops what it holds of an earlier generation, and what has expired though nobody asks for it.
func TestLocalAnswers_DropWhatNobodyMayFind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := llm.NewLocalAnswers()
		keep := func(scope string, ttl time.Duration) {
			if err := store.Keep(t.Context(), scope, "k", llm.Answer{Text: "about ada"}, ttl); err != nil {
				t.Fatal(err)
			}
			if err := store.Append(t.Context(), scope, llm.Vector{Space: "s", Key: "k"}, ttl); err != nil {
				t.Fatal(err)
			}
		}
		there := func(scope string, want bool) {
			t.Helper()
			_, found, err := store.Answer(t.Context(), scope, "k")
			entries, _, failed := store.Since(t.Context(), scope, "")
			if found != want || len(entries) > 0 != want || err != nil || failed != nil {
				t.Errorf("%s: %v and %d entries, want %v; %v, %v", scope, found, len(entries), want, err, failed)
			}
		}
		keep(llm.Scope("a", "1"), time.Hour)
		keep(llm.Scope("ab", "1"), time.Hour)
		keep(llm.Scope("a", "2"), time.Hour)
		there(llm.Scope("a", "1"), false)
		there(llm.Scope("ab", "1"), true)
		there(llm.Scope("a", "2"), true)
		before := llm.Held(store)
		<-time.After(2 * time.Hour)
		keep("c", time.Hour)
		if now := llm.Held(store); before != 2 || now != 1 {
			t.Errorf("%d answers are held, %d before", now, before)
		}
	})
}
