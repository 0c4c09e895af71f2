package llm_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// hanging is a store, and an index, that answers nothing before its caller gives up.
type hanging struct {
	*llm.LocalAnswers
	calls atomic.Int64
	thaws chan struct{} // closed when it answers again
}

func (h *hanging) hang(ctx context.Context) error {
	h.calls.Add(1)
	select {
	case <-h.thaws:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Timeout, "it hangs")
	}
}

func (h *hanging) Answer(ctx context.Context, tenant, key string) (llm.Answer, bool, error) {
	if err := h.hang(ctx); err != nil {
		return llm.Answer{}, false, err
	}
	return h.LocalAnswers.Answer(ctx, tenant, key)
}

func (h *hanging) Keep(ctx context.Context, tenant, key string, a llm.Answer, ttl time.Duration) error {
	if err := h.hang(ctx); err != nil {
		return err
	}
	return h.LocalAnswers.Keep(ctx, tenant, key, a, ttl)
}

func (h *hanging) Lease(ctx context.Context, tenant, key, holder string, ttl time.Duration) (bool, error) {
	if err := h.hang(ctx); err != nil {
		return false, err
	}
	return h.LocalAnswers.Lease(ctx, tenant, key, holder, ttl)
}

func (h *hanging) Release(ctx context.Context, _, _, _ string) error      { return h.hang(ctx) }
func (h *hanging) Count(ctx context.Context, _ string, _ llm.Tally) error { return h.hang(ctx) }

func (h *hanging) Since(ctx context.Context, tenant, cursor string) ([]llm.Vector, string, error) {
	if err := h.hang(ctx); err != nil {
		return nil, cursor, err
	}
	return h.LocalAnswers.Since(ctx, tenant, cursor)
}

func (h *hanging) Append(ctx context.Context, tenant string, v llm.Vector, ttl time.Duration) error {
	if err := h.hang(ctx); err != nil {
		return err
	}
	return h.LocalAnswers.Append(ctx, tenant, v, ttl)
}

// Whoever meets a store that hangs waits once; those behind do not notice, however many they are; and it is asked again later.
func TestCached_LeavesAloneAStoreThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &hanging{LocalAnswers: llm.NewLocalAnswers(), thaws: make(chan struct{})}
		index, err := llm.NewSemantic(llm.SemanticConfig{Embedder: &words{}, Vectors: store, Answers: store})
		if err != nil {
			t.Fatal(err)
		}
		model := always("answer")
		c := cached(t, model, store, index)
		began := time.Now()
		want(of(t, "a"), t, c, about("how plants grow", 5), "", 1)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the first one waited %v", took)
		}
		began, before := time.Now(), store.calls.Load()
		for i := range 20 {
			want(of(t, "a"), t, c, about("how plants grow", 10+i), "", 1)
		}
		if took := time.Since(began); took > 0 || store.calls.Load() != before {
			t.Errorf("twenty more waited %v and asked %d times", took, store.calls.Load()-before)
		}
		close(store.thaws)
		<-time.After(6 * time.Second) // on the clock of the bubble
		want(of(t, "a"), t, c, about("how plants grow", 5), "", 1)
		want(of(t, "a"), t, c, about("how plants grow", 5), llm.CacheExact, 0)
	})
}

// An index that hangs, with a store that answers, costs one who asks no more than two seconds, and those of one tenant do not queue up.
func TestCached_LeavesAloneAnIndexThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		vectors := &hanging{LocalAnswers: llm.NewLocalAnswers(), thaws: make(chan struct{})}
		store := llm.NewLocalAnswers()
		index, err := llm.NewSemantic(llm.SemanticConfig{Embedder: &words{}, Vectors: vectors, Answers: store})
		if err != nil {
			t.Fatal(err)
		}
		c := cached(t, always("answer"), store, index)
		began := time.Now()
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() { want(of(t, "a"), t, c, about("how plants grow", i), "", 1) })
		}
		all.Wait()
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("twenty waited %v", took)
		}
		began = time.Now()
		want(of(t, "a"), t, c, about("how plants grow", 5), llm.CacheExact, 0)
		want(of(t, "a"), t, c, about("how plants grow", 50), "", 1)
		if took := time.Since(began); took > 0 {
			t.Errorf("those behind waited %v", took)
		}
	})
}

// standIn answers as what a chain asked when its first model was away.
type standIn struct{ *counter }

func (s standIn) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	resp, err := s.counter.Complete(ctx, req)
	if s.calls.Load() == 1 {
		resp.Model, resp.Fallback = "small", "openai/m: breaker open"
	}
	return resp, err
}

// What a lesser model wrote during an outage is not what everybody gets for a week after it.
func TestCached_KeepsNothingOfAModelThatStoodIn(t *testing.T) {
	t.Parallel()
	store := llm.NewLocalAnswers()
	index, _ := semantic(t, store)
	c := cached(t, standIn{always("answer")}, store, index)
	for i, from := range []string{"small", "m"} {
		if resp := want(of(t, "a"), t, c, about("how plants grow", 5), "", 1); resp.Model != from {
			t.Errorf("call %d was answered by %s", i+1, resp.Model)
		}
	}
	want(of(t, "a"), t, c, about("how plants grow", 5), llm.CacheExact, 0)
}

// An answer that was found by its meaning, and copied, goes when the answer does.
func TestCached_ACopyLivesNoLongerThanItsAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := llm.NewLocalAnswers()
		index, _ := semantic(t, store)
		c := cached(t, always("answer"), store, index)
		want(of(t, "a"), t, c, about("how plants grow", 5), "", 1)
		<-time.After(llm.AnswerTTL - time.Hour)
		want(of(t, "a"), t, c, about("how flora grow", 5), llm.CacheSemantic, 0)
		want(of(t, "a"), t, c, about("how flora grow", 5), llm.CacheExact, 0)
		<-time.After(2 * time.Hour)
		want(of(t, "a"), t, c, about("how flora grow", 5), "", 1)
	})
}

// A client that panics leaves neither a lease nor what renews it.
func TestCached_EndsItsLeaseWhenTheClientPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(of(t, "a"))
		defer stop()
		store := llm.NewLocalAnswers()
		model := &counter{says: func(_ context.Context, n int64, _ llm.Request) (string, error) {
			if n == 1 {
				panic("a bug")
			}
			return "answer", nil
		}}
		c := cached(t, model, store, nil)
		func() {
			defer func() { _ = recover() }()
			_, _, _ = llm.CompleteValid(ctx, c, about("how plants grow", 5), good)
		}()
		began := time.Now()
		want(ctx, t, cached(t, model, store, nil), about("how plants grow", 5), "", 1) // another process
		if took := time.Since(began); took > 0 {
			t.Errorf("another process waited %v", took)
		}
	})
}

// Somebody whom no directory knows is not mistaken for somebody else: an answer that is about the one is not the other's, however alike the rest is.
func TestCached_MistakesNobodyForAnother(t *testing.T) {
	t.Parallel()
	store := llm.NewLocalAnswers()
	index, err := llm.NewSemantic(llm.SemanticConfig{Embedder: llm.OfflineEmbedder{}, Vectors: store, Answers: store})
	if err != nil {
		t.Fatal(err)
	}
	c := cached(t, always("answer"), store, index)
	wish := func(name, end string) llm.Request {
		return about("write a short and friendly lesson on how plants make their food from light and water and air, for a pupil called "+name+
			" who reads slowly and likes pictures, with simple words and a drawing to colour at the end of each part, and a song to sing together"+end, 5)
	}
	want(of(t, "a"), t, c, wish("Tim", ""), "", 1)
	want(of(t, "a"), t, c, wish("Tom", ""), "", 1)
	want(of(t, "a"), t, c, wish("Tim", " please"), llm.CacheSemantic, 0) // the control: they are near enough
}
