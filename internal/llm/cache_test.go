package llm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// counter answers with what says returns and counts its calls.
type counter struct {
	calls atomic.Int64
	says  func(ctx context.Context, n int64, req llm.Request) (string, error)
}

func (c *counter) Describe() string { return "openai m" }
func (c *counter) Model() llm.Model { return llm.Model{Provider: "openai", Name: "m"} }

func (c *counter) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	n := c.calls.Add(1)
	text, err := c.says(ctx, n, req)
	if err != nil {
		return llm.Response{}, err
	}
	if req.OnDelta != nil {
		req.OnDelta(text)
	}
	return llm.Response{Text: text, Provider: "openai", Model: "m", Usage: llm.Usage{InputTokens: 100, OutputTokens: 50, CostUSD: 0.01, CostKnown: true}}, nil
}

func always(text string) *counter {
	return &counter{says: func(context.Context, int64, llm.Request) (string, error) { return text, nil }}
}

// words is an embedder whose vectors have one dimension for each of a few words.
type words struct{ calls atomic.Int64 }

func (w *words) EmbeddingModel() llm.Model { return llm.Model{Provider: "test", Name: "words"} }

func (w *words) Embed(_ context.Context, texts []string) ([][]float32, llm.Usage, error) {
	w.calls.Add(1)
	out := make([][]float32, len(texts))
	for i, text := range texts {
		out[i] = make([]float32, 3)
		switch {
		case strings.Contains(text, "plants"):
			out[i][0] = 1
		case strings.Contains(text, "flora"):
			out[i][0], out[i][1] = 0.98, 0.199
		default:
			out[i][2] = 1
		}
	}
	return out, llm.Usage{}, nil
}

func cached(t testing.TB, client llm.Client, store llm.AnswerStore, index llm.SemanticIndex) *llm.Cached {
	t.Helper()
	c, err := llm.NewCached(llm.CacheConfig{Client: client, Store: store, Semantic: index})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func semantic(t testing.TB, store *llm.LocalAnswers) (*llm.Semantic, *words) {
	t.Helper()
	w := &words{}
	s, err := llm.NewSemantic(llm.SemanticConfig{Embedder: w, Vectors: store, Answers: store})
	if err != nil {
		t.Fatal(err)
	}
	return s, w
}

func of(t testing.TB, tenant string) context.Context {
	return llm.WithCaller(t.Context(), llm.Caller{Tenant: tenant, User: "u"})
}

func about(topic string, questions int) llm.Request {
	input, _ := json.Marshal(map[string]any{"objective": topic, "questions": questions, "type": "multiple_choice"})
	return llm.Request{Purpose: "quiz.draft", Version: "quiz/1", System: "You write.", Prompt: string(input), Input: input}
}

func good(string) []fault.Detail { return nil }

func want(t *testing.T, c llm.Client, ctx context.Context, req llm.Request, cache string, rounds int) llm.Response { //nolint:revive // t is first in every test
	t.Helper()
	resp, n, err := llm.CompleteValid(ctx, c, req, good)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Cache != cache || n != rounds {
		t.Errorf("came as %q after %d rounds, want %q after %d", resp.Cache, n, cache, rounds)
	}
	if cache != "" && resp.Usage != (llm.Usage{CostKnown: true}) {
		t.Errorf("a hit cost %+v", resp.Usage)
	}
	return resp
}

func TestCached_AsksOnceForTheSame(t *testing.T) {
	t.Parallel()
	model := always("answer")
	store := llm.NewLocalAnswers()
	c := cached(t, model, store, nil)
	want(t, c, of(t, "a"), about("how plants grow", 5), "", 1)
	if resp := want(t, c, of(t, "a"), about("how plants grow", 5), llm.CacheExact, 0); resp.Text != "answer" || resp.Provider != "openai" || resp.Model != "m" {
		t.Errorf("the hit is %+v", resp)
	}
	tally, err := store.Tally(t.Context(), "a")
	if err != nil || tally != (llm.Tally{Exact: 1, Misses: 1, SavedTokens: 150, SavedMicro: 10_000}) {
		t.Errorf("the tally is %+v, %v", tally, err)
	}
}

func TestCached_FindsNothingOfAnother(t *testing.T) {
	t.Parallel()
	base := about("how plants grow", 5)
	for name, c := range map[string]struct {
		ctx  context.Context
		edit func(*llm.Request)
	}{
		"Tenant":        {of(t, "b"), func(*llm.Request) {}},
		"PromptVersion": {of(t, "a"), func(r *llm.Request) { r.Version = "quiz/2" }},
		"Purpose":       {of(t, "a"), func(r *llm.Request) { r.Purpose = "quiz.outline" }},
		"Instructions":  {of(t, "a"), func(r *llm.Request) { r.System += "!" }},
		"Schema":        {of(t, "a"), func(r *llm.Request) { r.Schema = json.RawMessage(`{}`) }},
		"Temperature":   {of(t, "a"), func(r *llm.Request) { r.Temperature = 1 }},
		"Length":        {of(t, "a"), func(r *llm.Request) { r.MaxTokens = 1 }},
		"Messages":      {of(t, "a"), func(r *llm.Request) { r.Messages = []llm.Message{{Role: llm.RoleUser, Text: "x"}} }},
		"Prompt":        {of(t, "a"), func(r *llm.Request) { r.Prompt += " " }},
		"NoCaller":      {t.Context(), func(*llm.Request) {}},
		"OptOut":        {llm.WithCaller(t.Context(), llm.Caller{Tenant: "a", NoCache: true}), func(*llm.Request) {}},
		"Tools":         {of(t, "a"), func(r *llm.Request) { r.Tools = []llm.Tool{{Name: "x"}} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			model := always("answer")
			chat := cached(t, model, llm.NewLocalAnswers(), nil)
			want(t, chat, of(t, "a"), base, "", 1)
			req := base
			c.edit(&req)
			want(t, chat, c.ctx, req, "", 1)
		})
	}
	other := &counter{says: always("x").says}
	store := llm.NewLocalAnswers()
	want(t, cached(t, always("answer"), store, nil), of(t, "a"), base, "", 1)
	want(t, cached(t, renamed{other}, store, nil), of(t, "a"), base, "", 1)
}

// renamed is another model.
type renamed struct{ *counter }

func (renamed) Model() llm.Model { return llm.Model{Provider: "openai", Name: "other"} }

func TestCached_KeepsNothingFromWhoOptsOut(t *testing.T) {
	t.Parallel()
	c := cached(t, always("answer"), llm.NewLocalAnswers(), nil)
	want(t, c, llm.WithCaller(t.Context(), llm.Caller{Tenant: "a", NoCache: true}), about("how plants grow", 5), "", 1)
	want(t, c, of(t, "a"), about("how plants grow", 5), "", 1)
}

func TestCached_FindsWhatMeansTheSame(t *testing.T) {
	t.Parallel()
	store := llm.NewLocalAnswers()
	index, embedder := semantic(t, store)
	model := always("answer")
	c := cached(t, model, store, index)
	want(t, c, of(t, "a"), about("how plants grow", 5), "", 1)
	if embedder.calls.Load() != 1 {
		t.Errorf("%d embeddings for the first question", embedder.calls.Load())
	}
	want(t, c, of(t, "a"), about("how flora grow", 5), llm.CacheSemantic, 0)
	want(t, c, of(t, "a"), about("how flora grow", 5), llm.CacheExact, 0) // kept under its own key too
	want(t, c, of(t, "b"), about("how flora grow", 5), "", 1)
	want(t, c, of(t, "a"), about("how stones fall", 5), "", 1)       // means something else
	want(t, c, of(t, "a"), about("how flora grow", 6), "", 1)        // the rest differs
	want(t, c, of(t, "a"), about("how flora do not grow", 5), "", 1) // turned round
	want(t, c, of(t, "a"), about("how 10 flora do grow", 5), "", 1)  // a number
	want(t, c, of(t, "a"), about("flora", 5), "", 1)                 // no prose
	if n := model.calls.Load(); n != 7 {
		t.Errorf("%d calls", n)
	}
}

func TestCached_HoldsHitsAgainstTheRules(t *testing.T) {
	t.Parallel()
	store := llm.NewLocalAnswers()
	index, _ := semantic(t, store)
	model := &counter{says: func(_ context.Context, n int64, _ llm.Request) (string, error) { return fmt.Sprint("answer ", n), nil }}
	c := cached(t, model, store, index)
	want(t, c, of(t, "a"), about("how plants grow", 5), "", 1)
	notTheFirst := func(text string) []fault.Detail {
		if text == "answer 1" {
			return []fault.Detail{{Field: "answer", Reason: "is the first"}}
		}
		return nil
	}
	for _, topic := range []string{"how flora grow", "how plants grow"} {
		resp, n, err := llm.CompleteValid(of(t, "a"), c, about(topic, 5), notTheFirst)
		if err != nil || n != 1 || resp.Text == "answer 1" {
			t.Errorf("%s: %+v after %d rounds, %v", topic, resp, n, err)
		}
	}
}

func TestCached_KeepsOnlyWhatIsGood(t *testing.T) {
	t.Parallel()
	model := &counter{says: func(_ context.Context, n int64, req llm.Request) (string, error) {
		if strings.Contains(req.Prompt, "previous_answer") {
			return "good", nil
		}
		return "bad", nil
	}}
	c := cached(t, model, llm.NewLocalAnswers(), nil)
	onlyGood := func(text string) []fault.Detail {
		if text != "good" {
			return []fault.Detail{{Field: "answer", Reason: "is bad"}}
		}
		return nil
	}
	for i, rounds := range []int{2, 0} { // the repaired answer is what is kept
		resp, n, err := llm.CompleteValid(of(t, "a"), c, about("how plants grow", 5), onlyGood)
		if err != nil || resp.Text != "good" || n != rounds {
			t.Errorf("call %d: %+v after %d rounds, %v", i, resp, n, err)
		}
	}
	never := func(string) []fault.Detail { return []fault.Detail{{Field: "answer", Reason: "no"}} }
	for range 2 {
		_, n, err := llm.CompleteValid(of(t, "a"), c, about("how stones fall", 5), never)
		var bad *llm.InvalidOutputError
		if !errors.As(err, &bad) || n != 2 {
			t.Errorf("%v after %d rounds", err, n)
		}
	}
}

// Of a hundred who ask the same at once, in two processes, one pays. The control has no lease between the processes.
func TestCached_AsksOnceForAllWhoAskAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		shared bool
		calls  int64
	}{"SharedStore": {true, 1}, "Control": {false, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				model := &counter{says: func(context.Context, int64, llm.Request) (string, error) {
					<-time.After(90 * time.Second) // longer than a lease
					return "answer", nil
				}}
				one, two := llm.NewLocalAnswers(), llm.NewLocalAnswers()
				if c.shared {
					two = one
				}
				processes := []*llm.Cached{cached(t, model, one, nil), cached(t, model, two, nil)}
				var all sync.WaitGroup
				var paid atomic.Int64
				for i := range 100 {
					all.Go(func() {
						resp, n, err := llm.CompleteValid(of(t, "a"), processes[i%2], about("how plants grow", 5), good)
						if err != nil || resp.Text != "answer" {
							t.Errorf("%+v, %v", resp, err)
						}
						paid.Add(int64(n))
					})
				}
				all.Wait()
				if model.calls.Load() != c.calls || paid.Load() != c.calls {
					t.Errorf("%d calls, %d paid, want %d", model.calls.Load(), paid.Load(), c.calls)
				}
			})
		})
	}
}

// Who is told to stop does not take the others with him: the next one asks.
func TestCached_OutlivesWhoAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		model := &counter{says: func(ctx context.Context, n int64, _ llm.Request) (string, error) {
			select {
			case <-time.After(time.Minute):
				return "answer", nil
			case <-ctx.Done():
				return "", fault.New(fault.Canceled, "told to stop")
			}
		}}
		c := cached(t, model, llm.NewLocalAnswers(), nil)
		first, cancel := context.WithCancel(of(t, "a"))
		var all sync.WaitGroup
		all.Go(func() {
			if _, _, err := llm.CompleteValid(first, c, about("how plants grow", 5), good); !fault.Is(err, fault.Canceled) {
				t.Errorf("the first got %v", err)
			}
		})
		synctest.Wait()
		for range 10 {
			all.Go(func() {
				if resp, _, err := llm.CompleteValid(of(t, "a"), c, about("how plants grow", 5), good); err != nil || resp.Text != "answer" {
					t.Errorf("got %+v, %v", resp, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		all.Wait()
		if n := model.calls.Load(); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

// What holds for all is told to all; what only one may not spend is not.
func TestCached_TellsOthersOnlyWhatHoldsForThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		calls int64
	}{
		"Unavailable": {fault.New(fault.Unavailable, "503"), 1},
		"Budget":      {&llm.BudgetError{Message: "spent"}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				model := &counter{says: func(context.Context, int64, llm.Request) (string, error) {
					<-time.After(time.Second)
					return "", c.err
				}}
				chat := cached(t, model, llm.NewLocalAnswers(), nil)
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() {
						if _, _, err := llm.CompleteValid(of(t, "a"), chat, about("how plants grow", 5), good); !errors.Is(err, c.err) {
							t.Errorf("got %v", err)
						}
					})
				}
				all.Wait()
				if n := model.calls.Load(); n != c.calls {
					t.Errorf("%d calls, want %d", n, c.calls)
				}
			})
		})
	}
}

// away is a store that has gone.
type away struct{ llm.AnswerStore }

var errAway = fault.New(fault.Unavailable, "away")

func (away) Answer(context.Context, string, string) (llm.Answer, bool, error) {
	return llm.Answer{}, false, errAway
}
func (away) Keep(context.Context, string, string, llm.Answer, time.Duration) error { return errAway }
func (away) Lease(context.Context, string, string, string, time.Duration) (bool, error) {
	return false, errAway
}
func (away) Release(context.Context, string, string, string) error { return errAway }
func (away) Count(context.Context, string, llm.Tally) error        { return errAway }

func TestCached_GoesOnWithoutItsStore(t *testing.T) {
	t.Parallel()
	c := cached(t, always("answer"), away{}, nil)
	for range 2 {
		want(t, c, of(t, "a"), about("how plants grow", 5), "", 1)
	}
}
