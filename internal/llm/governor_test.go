package llm_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// within returns the most of the calls that fell within one minute.
func within(calls []time.Time) int {
	slices.SortFunc(calls, time.Time.Compare)
	most := 0
	for i := range calls {
		n := 0
		for _, c := range calls[i:] {
			if c.Sub(calls[i]) < time.Minute {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// hammer has callers ask both processes for as long as five minutes, and returns the most calls of one minute.
func hammer(t *testing.T, meters [2]llm.Meter) int {
	p := &provider{model: luna}
	var callers sync.WaitGroup
	end := time.Now().Add(5 * time.Minute)
	for _, meter := range meters {
		g := govern(t, llm.GovernConfig{Client: p, Meter: meter, Policy: fixed(limits(30, 0))})
		for range 5 {
			callers.Go(func() {
				for time.Now().Before(end) {
					_, err := g.Complete(t.Context(), request)
					var held *llm.PausedError
					if errors.As(err, &held) {
						<-time.After(time.Until(held.Until))
					} else if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	callers.Wait()
	if n := len(p.asked()); n < 4*30 {
		t.Errorf("only %d calls in five minutes, so the limit is not used", n)
	}
	return within(p.asked())
}

func TestGovernor_KeepsTheLimitOverAllProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := localMeter(t, llm.LocalConfig{})
		if most := hammer(t, [2]llm.Meter{shared, shared}); most > 30 {
			t.Errorf("%d requests within a minute, 30 are allowed", most)
		}
	})
}

func TestGovernor_ExceedsTheLimitWithoutASharedMeter(t *testing.T) { // the negative control
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		apart := [2]llm.Meter{localMeter(t, llm.LocalConfig{}), localMeter(t, llm.LocalConfig{})}
		if most := hammer(t, apart); most <= 30 {
			t.Errorf("%d requests within a minute: the test sees nothing", most)
		}
	})
}

func TestGovernor_WaitsInPlaceWhenItIsShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{model: luna}
		g := govern(t, llm.GovernConfig{Client: p, Policy: fixed(limits(2, 0))})
		for range 2 {
			if _, err := g.Complete(t.Context(), request); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		_, err := g.Complete(t.Context(), request)
		held := pausedBy(t, err, llm.PausedByLimit)
		if time.Since(start) != 0 || held.Until.Sub(start) < time.Minute || held.Until.Sub(start) > 62*time.Second || held.Model != luna.Name {
			t.Errorf("after %s: %+v", time.Since(start), *held)
		}
		<-time.After(57 * time.Second)
		if _, err := g.Complete(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < time.Minute || took > 62*time.Second {
			t.Errorf("the third call went out after %s", took)
		}
	})
}

func TestGovernor_TakesALimitThatChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Pointer[policy.Policy]
		tight, wide := limits(1, 0), limits(3, 0)
		now.Store(&tight)
		g := govern(t, llm.GovernConfig{Client: &provider{model: luna}, Policy: func() policy.Policy { return *now.Load() }})
		if _, err := g.Complete(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		_, err := g.Complete(t.Context(), request)
		_ = pausedBy(t, err, llm.PausedByLimit)
		now.Store(&wide)
		for range 2 {
			if _, err := g.Complete(t.Context(), request); err != nil {
				t.Fatal(err)
			}
		}
		_, err = g.Complete(t.Context(), request)
		_ = pausedBy(t, err, llm.PausedByLimit)
	})
}

func TestGovernor_ReconcilesTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{model: llm.Model{Provider: "openai", Name: "gpt-4.1"}} // 20 tokens a call; the guess is above 100
		g := govern(t, llm.GovernConfig{Client: p, Policy: fixed(limits(0, 230))})
		calls := 0
		for ; calls < 50; calls++ {
			if _, err := g.Complete(t.Context(), request); err != nil {
				_ = pausedBy(t, err, llm.PausedByLimit)
				break
			}
		}
		if calls < 6 || calls > 11 {
			t.Errorf("%d calls of 20 tokens passed under a limit of 230", calls)
		}
		big := request
		big.MaxTokens = 10_000 // more than a minute's tokens: it goes alone
		<-time.After(2 * time.Minute)
		if _, err := g.Complete(t.Context(), big); err != nil {
			t.Error(err)
		}
	})
}

func TestGovernor_PausesEveryProcessWhenTheProviderAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := &provider{model: luna}
		p.answer = func(context.Context, int, llm.Request) (llm.Response, error) {
			if time.Since(start) < 3*time.Second {
				return llm.Response{}, refusedFor(3*time.Second - time.Since(start))
			}
			return p.good(1, 1), nil
		}
		meter := localMeter(t, llm.LocalConfig{})
		one, two := govern(t, llm.GovernConfig{Client: p, Meter: meter}), govern(t, llm.GovernConfig{Client: p, Meter: meter})
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, err := one.Complete(t.Context(), request); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		for range 20 {
			callers.Go(func() {
				if _, err := two.Complete(t.Context(), request); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		calls := p.asked()
		if len(calls) != 22 {
			t.Errorf("the provider was asked %d times, want 22", len(calls))
		}
		for _, c := range calls[1:] {
			if after := c.Sub(start); after < 3*time.Second || after > 5*time.Second {
				t.Errorf("asked after %s", after)
			}
		}
		if spread := calls[21].Sub(calls[1]); spread < 100*time.Millisecond {
			t.Errorf("all came back within %s", spread)
		}
	})
}

func TestGovernor_DoesNotWaitForALongPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{model: luna, answer: func(context.Context, int, llm.Request) (llm.Response, error) {
			return llm.Response{}, refusedFor(time.Minute)
		}}
		meter, start := localMeter(t, llm.LocalConfig{}), time.Now()
		one, two := govern(t, llm.GovernConfig{Client: p, Meter: meter}), govern(t, llm.GovernConfig{Client: p, Meter: meter})
		for range 3 {
			for _, g := range []*llm.Governed{one, two} {
				_, err := g.Complete(t.Context(), request)
				if held := pausedBy(t, err, llm.PausedByProvider); !held.Until.Equal(start.Add(time.Minute)) {
					t.Errorf("until %s, want in a minute", held.Until)
				}
			}
		}
		if n := len(p.asked()); n != 1 || time.Since(start) != 0 {
			t.Errorf("the provider was asked %d times in %s", n, time.Since(start))
		}
	})
}

func TestGovernor_MakesUpPausesThatTheProviderDoesNotName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{model: luna, answer: func(context.Context, int, llm.Request) (llm.Response, error) { return llm.Response{}, refusedFor(0) }}
		g := govern(t, llm.GovernConfig{Client: p, MaxWait: time.Millisecond})
		var pauses []time.Duration
		for range 7 {
			var together sync.WaitGroup
			for range 5 { // one strike, not five
				together.Go(func() {
					if _, err := g.Complete(t.Context(), request); !fault.Is(err, fault.RateLimited) {
						t.Error(err)
					}
				})
			}
			together.Wait()
			_, err := g.Complete(t.Context(), request)
			held := pausedBy(t, err, llm.PausedByProvider)
			pauses = append(pauses, time.Until(held.Until).Round(time.Second))
			<-time.After(time.Until(held.Until))
		}
		want := []time.Duration{2, 4, 8, 16, 32, 60, 60}
		for i := range want {
			if pauses[i] != want[i]*time.Second {
				t.Fatalf("the pauses were %v, want %v s", pauses, want)
			}
		}
	})
}

// storm has 60 callers ask a provider that serves 10 calls a second and refuses the rest. It returns how many calls were served
// and refused in 20 s.
func storm(t *testing.T, open func(*provider) llm.Client) (served, refused int64) {
	var second, used, good, bad atomic.Int64
	p := &provider{model: luna}
	p.answer = func(context.Context, int, llm.Request) (llm.Response, error) {
		if now := time.Now().Unix(); second.Swap(now) != now {
			used.Store(0)
		}
		if used.Add(1) > 10 {
			bad.Add(1)
			return llm.Response{}, refusedFor(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
		}
		good.Add(1)
		return p.good(1, 1), nil
	}
	client, end := open(p), time.Now().Add(20*time.Second)
	var callers sync.WaitGroup
	for range 60 {
		callers.Go(func() {
			for time.Now().Before(end) {
				_, err := client.Complete(t.Context(), request)
				if err != nil && !fault.Is(err, fault.RateLimited) {
					t.Error(err)
				}
				<-time.After(10 * time.Millisecond)
			}
		})
	}
	callers.Wait()
	return good.Load(), bad.Load()
}

func TestGovernor_CalmsAStormOfRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		served, refused := storm(t, func(p *provider) llm.Client { return govern(t, llm.GovernConfig{Client: p}) })
		t.Logf("governed: %d served, %d refused", served, refused)
		if served < 150 || refused > served {
			t.Errorf("%d served, %d refused", served, refused)
		}
	})
	synctest.Test(t, func(t *testing.T) { // the negative control
		served, refused := storm(t, func(p *provider) llm.Client { return p })
		t.Logf("bare: %d served, %d refused", served, refused)
		if refused < 20*served {
			t.Errorf("%d served, %d refused: the test sees no storm", served, refused)
		}
	})
}

func TestGovernor_ServesThoseWhoWaitInTheirOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, start := &provider{model: luna}, time.Now()
		var order []string
		p.answer = func(_ context.Context, n int, req llm.Request) (llm.Response, error) {
			if n == 0 {
				return llm.Response{}, refusedFor(2 * time.Second)
			}
			order = append(order, req.Purpose)
			return p.good(1, 1), nil
		}
		g := govern(t, llm.GovernConfig{Client: p})
		var callers sync.WaitGroup
		var want []string
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			want = append(want, name)
			callers.Go(func() {
				if _, err := g.Complete(t.Context(), llm.Request{Purpose: name, Prompt: "p"}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			<-time.After(time.Millisecond)
		}
		callers.Wait()
		if !slices.Equal(order, want) {
			t.Errorf("served in the order %v after %s, want %v", order, time.Since(start), want)
		}
	})
}

func TestGovernor_LeavesTheLineWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{model: luna, answer: func(context.Context, int, llm.Request) (llm.Response, error) {
			return llm.Response{}, refusedFor(4 * time.Second)
		}}
		g := govern(t, llm.GovernConfig{Client: p})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() {
				if _, err := g.Complete(ctx, request); !fault.Is(err, fault.Timeout) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			})
		}
		start := time.Now()
		callers.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("they left after %s", took)
		}
	})
}

func TestGovernor_DoesNotRepeatACallThatHasSpoken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{model: luna, answer: func(_ context.Context, _ int, req llm.Request) (llm.Response, error) {
			req.OnDelta("The sky ")
			return llm.Response{}, refusedFor(time.Second)
		}}
		g := govern(t, llm.GovernConfig{Client: p})
		req, heard := request, ""
		req.OnDelta = func(delta string) { heard += delta }
		_, err := g.Complete(t.Context(), req)
		_ = pausedBy(t, err, llm.PausedByProvider)
		if heard != "The sky " || len(p.asked()) != 1 {
			t.Errorf("heard %q of %d calls", heard, len(p.asked()))
		}
	})
}
