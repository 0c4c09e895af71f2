package llm_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

func onlyBreaker(t *testing.T, known *breaker.Registry) breaker.State {
	t.Helper()
	states := known.States()
	if len(states) != 1 || states[0].Name != luna.String() {
		t.Fatalf("the breakers are %+v", states)
	}
	return states[0]
}

func TestBreaker_OpensTriesAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var broken = true
		p := &provider{model: luna}
		p.answer = func(context.Context, int, llm.Request) (llm.Response, error) {
			if broken {
				return llm.Response{}, fault.New(fault.Unavailable, "openai answered 503")
			}
			return p.good(1, 1), nil
		}
		known := breaker.NewRegistry()
		g := govern(t, llm.GovernConfig{Client: p, Breakers: known})
		for range 3 {
			if _, err := g.Complete(t.Context(), request); !fault.Is(err, fault.Unavailable) {
				t.Fatalf("got %v", err)
			}
		}
		for range 5 {
			_, err := g.Complete(t.Context(), request)
			if held := pausedBy(t, err, llm.PausedByBreaker); time.Until(held.Until) != time.Minute {
				t.Errorf("open for %s", time.Until(held.Until))
			}
		}
		if s := onlyBreaker(t, known); s.State != breaker.Open || s.Failures != 3 || time.Until(s.RetryAt) != time.Minute || len(p.asked()) != 3 {
			t.Errorf("%+v after %d calls", s, len(p.asked()))
		}
		<-time.After(time.Minute)
		if _, err := g.Complete(t.Context(), request); !fault.Is(err, fault.Unavailable) { // the trial fails
			t.Errorf("got %v", err)
		}
		_, err := g.Complete(t.Context(), request)
		_ = pausedBy(t, err, llm.PausedByBreaker)
		<-time.After(time.Minute)
		broken = false
		for range 3 {
			if _, err := g.Complete(t.Context(), request); err != nil {
				t.Error(err)
			}
		}
		if s := onlyBreaker(t, known); s.State != breaker.Closed || !s.RetryAt.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

func TestBreaker_CountsOnlyThatTheProviderIsNotThere(t *testing.T) {
	t.Parallel()
	for kind, opens := range map[fault.Kind]bool{
		fault.Unavailable: true, fault.Timeout: true, fault.Invalid: false, fault.Unauthorized: false, fault.Canceled: false, fault.Internal: false,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &provider{model: luna, answer: fails(kind)}
			known := breaker.NewRegistry()
			g := govern(t, llm.GovernConfig{Client: p, Breakers: known})
			for range 10 {
				if _, err := g.Complete(t.Context(), request); err == nil {
					t.Fatal("no error")
				}
			}
			if open := onlyBreaker(t, known).State == breaker.Open; open != opens {
				t.Errorf("%s: open is %v", kind, open)
			}
		})
	}
}

func TestBreaker_StaysClosedBelowItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{model: luna}
		p.answer = func(_ context.Context, n int, _ llm.Request) (llm.Response, error) {
			if n%2 == 1 {
				return llm.Response{}, fault.New(fault.Unavailable, "no")
			}
			return p.good(1, 1), nil
		}
		g := govern(t, llm.GovernConfig{Client: p})
		for range 40 {
			if _, err := g.Complete(t.Context(), request); fault.Is(err, fault.RateLimited) {
				t.Fatal(err)
			}
		}
	})
}

func TestBreaker_AWithdrawnTrialLetsAnotherThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kind := fault.Unavailable
		p := &provider{model: luna}
		p.answer = func(context.Context, int, llm.Request) (llm.Response, error) {
			return llm.Response{}, fault.New(kind, "no")
		}
		g := govern(t, llm.GovernConfig{Client: p})
		for range 3 {
			_, _ = g.Complete(t.Context(), request)
		}
		<-time.After(time.Minute)
		kind = fault.Canceled
		for range 3 {
			if _, err := g.Complete(t.Context(), request); !fault.Is(err, fault.Canceled) {
				t.Fatalf("got %v", err)
			}
		}
	})
}

func TestBreaker_Reset(t *testing.T) {
	t.Parallel()
	p := &provider{model: luna, answer: fails(fault.Unavailable)}
	known := breaker.NewRegistry()
	g := govern(t, llm.GovernConfig{Client: p, Breakers: known})
	for range 3 {
		_, _ = g.Complete(t.Context(), request)
	}
	if err := known.Reset("openai/other"); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
	if err := known.Reset(luna.String()); err != nil {
		t.Fatal(err)
	}
	var held *llm.PausedError
	if _, err := g.Complete(t.Context(), request); errors.As(err, &held) || onlyBreaker(t, known).State != breaker.Closed {
		t.Errorf("got %v from %+v", err, onlyBreaker(t, known))
	}
}
