package breaker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
)

var (
	errAway    = fault.New(fault.Unavailable, "away")
	errRefused = fault.New(fault.Invalid, "refused")
)

func newBreaker(t testing.TB, cfg breaker.Config) *breaker.Breaker {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "redis"
	}
	b, err := breaker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// call makes one call that ends in err, and reports whether it was allowed.
func call(b *breaker.Breaker, err error) bool {
	done, refused := b.Allow()
	if refused != nil {
		return false
	}
	done(err)
	return true
}

func want(t testing.TB, b *breaker.Breaker, state string) breaker.State {
	t.Helper()
	s := b.State()
	if s.State != state || b.IsClosed() != (state == breaker.Closed) {
		t.Fatalf("the breaker is %+v, want %s", s, state)
	}
	return s
}

func TestBreaker_OpensTriesAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := newBreaker(t, breaker.Config{Failures: 3, Rate: 0.6, Reset: time.Minute, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 3 {
			want(t, b, breaker.Closed)
			call(b, errAway)
		}
		opened := time.Now()
		if s := want(t, b, breaker.Open); s.Failures != 3 || s.Successes != 0 || !s.OpenedAt.Equal(opened) || !s.RetryAt.Equal(opened.Add(time.Minute)) {
			t.Errorf("got %+v", s)
		}
		<-time.After(20 * time.Second)
		if _, err := b.Allow(); !fault.Is(err, fault.Unavailable) || fault.RetryAfter(err) != 40*time.Second || !strings.Contains(err.Error(), "redis") {
			t.Errorf("got %v, retry after %s", err, fault.RetryAfter(err))
		}
		<-time.After(40 * time.Second)
		done, err := b.Allow() // the trial
		if err != nil {
			t.Fatal(err)
		}
		want(t, b, breaker.HalfOpen)
		if _, err := b.Allow(); !fault.Is(err, fault.Unavailable) || fault.RetryAfter(err) <= 0 {
			t.Errorf("a second trial: %v", err)
		}
		done(errAway)
		done(nil) // does nothing
		if s := want(t, b, breaker.Open); !s.OpenedAt.Equal(opened) || time.Until(s.RetryAt) != time.Minute {
			t.Errorf("got %+v", s)
		}
		<-time.After(time.Minute)
		if !call(b, nil) {
			t.Fatal("no trial")
		}
		if s := want(t, b, breaker.Closed); !s.OpenedAt.IsZero() || !s.RetryAt.IsZero() {
			t.Errorf("got %+v", s)
		}
		if n := strings.Count(log.String(), "breaker changed"); n != 5 {
			t.Errorf("told of %d changes, want 5:\n%s", n, log.String())
		}
	})
}

func TestBreaker_CountsOnlyWhatShowsThatNobodyIsThere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		cfg   breaker.Config
		opens bool
	}{
		"unavailable": {err: errAway, opens: true}, "timeout": {err: context.DeadlineExceeded, opens: true}, "refused": {err: errRefused},
		"canceled": {err: context.Canceled}, "unclassified": {err: errors.New("x")},
		"its own":          {err: errors.New("x"), cfg: breaker.Config{IsFailure: func(err error) bool { return err != nil }}, opens: true},
		"its own canceled": {err: context.Canceled, cfg: breaker.Config{IsFailure: func(err error) bool { return err != nil }}},
	} {
		b := newBreaker(t, c.cfg)
		for range 20 {
			call(b, c.err)
		}
		if open := !b.IsClosed(); open != c.opens {
			t.Errorf("%s: open is %v", name, open)
		}
	}
}

func TestBreaker_ALateAnswerDecidesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, end := range map[string]error{"failed": errAway, "worked": nil, "withdrawn": context.Canceled} {
			b := newBreaker(t, breaker.Config{Failures: 2, Rate: 1})
			late, err := b.Allow()
			if err != nil {
				t.Fatal(err)
			}
			call(b, errAway)
			call(b, errAway)
			<-time.After(time.Minute)
			trial, err := b.Allow()
			if err != nil {
				t.Fatal(err)
			}
			late(end)
			if want(t, b, breaker.HalfOpen); call(b, nil) {
				t.Errorf("%s: it let a second trial through", name)
			}
			trial(nil)
			want(t, b, breaker.Closed)
		}
	})
}

func TestBreaker_AWithdrawnTrialLetsAnotherThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{Failures: 1, Rate: 1})
		call(b, errAway)
		<-time.After(time.Minute)
		for range 3 {
			if !call(b, context.Canceled) {
				t.Fatal("the permit is gone")
			}
			want(t, b, breaker.HalfOpen)
		}
		func() {
			defer func() { _ = recover() }()
			_ = b.Do(t.Context(), func(context.Context) error { panic("a bug") })
		}()
		if err := b.Do(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Errorf("after a panic: %v", err)
		}
		want(t, b, breaker.Closed)
	})
}

func TestBreaker_Do(t *testing.T) {
	t.Parallel()
	b := newBreaker(t, breaker.Config{Failures: 1, Rate: 1})
	if err := b.Do(t.Context(), func(context.Context) error { return errAway }); !errors.Is(err, errAway) {
		t.Errorf("got %v", err)
	}
	asked := false
	err := b.Do(t.Context(), func(context.Context) error { asked = true; return nil })
	if !fault.Is(err, fault.Unavailable) || errors.Is(err, errAway) || asked {
		t.Errorf("got %v, asked: %v", err, asked)
	}
}

func TestBreaker_Reset(t *testing.T) {
	t.Parallel()
	b := newBreaker(t, breaker.Config{Failures: 2, Rate: 1})
	call(b, errAway)
	b.Reset()
	if s := want(t, b, breaker.Closed); s.Failures != 0 {
		t.Errorf("got %+v", s)
	}
	late, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	call(b, errAway)
	call(b, errAway)
	want(t, b, breaker.Open)
	b.Reset()
	late(errAway)
	if s := want(t, b, breaker.Closed); s.Failures != 0 || !s.OpenedAt.IsZero() {
		t.Errorf("got %+v", s)
	}
}

func TestBreaker_HalfOpensEarly(t *testing.T) {
	t.Parallel()
	b := newBreaker(t, breaker.Config{Failures: 1, Rate: 1})
	b.HalfOpen()
	want(t, b, breaker.Closed)
	call(b, errAway)
	b.HalfOpen()
	want(t, b, breaker.HalfOpen)
	if !call(b, errAway) {
		t.Error("no trial")
	}
	want(t, b, breaker.Open)
	b.HalfOpen()
	call(b, nil)
	want(t, b, breaker.Closed)
}

func TestBreaker_AWindowForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		forgets := newBreaker(t, breaker.Config{Failures: 3, Rate: 1, Window: time.Minute})
		keeps := newBreaker(t, breaker.Config{Failures: 3, Rate: 1}) // the negative control
		for range 3 {
			call(forgets, errAway)
			call(keeps, errAway)
			<-time.After(45 * time.Second)
		}
		want(t, forgets, breaker.Closed)
		want(t, keeps, breaker.Open)
	})
}

func TestNew_RefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]breaker.Config{
		"no name": {}, "a long name": {Name: strings.Repeat("x", 400)}, "rate": {Name: "x", Rate: 1.1}, "no rate": {Name: "x", Rate: -1},
		"failures": {Name: "x", Failures: -1}, "many": {Name: "x", Failures: 1, Rate: 1e-9}, "reset": {Name: "x", Reset: -1}, "window": {Name: "x", Window: -1},
	} {
		if _, err := breaker.New(cfg); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The states are those of a few lines: of the last calls so many failed, then Reset, then one trial.
func TestBreaker_FollowsItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		acts := rapid.SliceOfN(rapid.IntRange(-3, 25), 1, 200).Draw(rt, "acts")
		var err error
		synctest.Test(t, func(t *testing.T) { err = follow(t, acts) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// follow plays acts: a reset (-3), calls that work (-2, -1), calls that fail (0 to 15), and seconds that pass (those above).
func follow(t *testing.T, acts []int) error {
	const reset, failures, calls = 15 * time.Second, 10, 14 // what Redis has: 10 at 0.7
	b := newBreaker(t, breaker.Config{Failures: failures, Rate: 0.7, Reset: reset})
	var last []bool // which of the last calls failed
	var until time.Time
	open := false
	for i, act := range acts {
		bad := act >= 0
		switch {
		case act == -3:
			b.Reset()
			open, last = false, nil
		case act > 15:
			<-time.After(time.Duration(act) * time.Second)
		default:
			granted := call(b, map[bool]error{true: errAway}[bad])
			if allowed := !open || !time.Now().Before(until); granted != allowed {
				return fmt.Errorf("act %d: granted %v, want %v", i, granted, allowed)
			}
			switch {
			case !granted:
			case open && bad:
				until = time.Now().Add(reset)
			case open:
				open, last = false, nil
			default:
				last = append(last, bad)
				last = last[max(len(last)-calls, 0):]
				if failed := len(slices.DeleteFunc(slices.Clone(last), func(bad bool) bool { return !bad })); failed >= failures {
					open, until = true, time.Now().Add(reset)
				}
			}
		}
		if b.IsClosed() == open {
			return fmt.Errorf("act %d: %+v, open should be %v", i, b.State(), open)
		}
	}
	return nil
}

func TestRegistry_KnowsAndResets(t *testing.T) {
	t.Parallel()
	r := breaker.NewRegistry()
	if s := r.States(); s == nil || len(s) != 0 {
		t.Errorf("got %v", s)
	}
	mail, redis := newBreaker(t, breaker.Config{Name: "mail", Failures: 1, Rate: 1}), newBreaker(t, breaker.Config{Name: "redis"})
	for _, b := range []*breaker.Breaker{redis, mail} {
		if err := r.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Add(newBreaker(t, breaker.Config{Name: "mail"})); !fault.Is(err, fault.Conflict) {
		t.Errorf("got %v", err)
	}
	call(mail, errAway)
	if s := r.States(); len(s) != 2 || s[0].Name != "mail" || s[0].State != breaker.Open || s[1].State != breaker.Closed {
		t.Errorf("got %+v", s)
	}
	if err := r.Reset("post"); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
	if err := r.Reset("mail"); err != nil || !mail.IsClosed() {
		t.Errorf("%v, %+v", err, mail.State())
	}
}

func TestBreaker_IsSafeForMany(t *testing.T) {
	t.Parallel()
	b := newBreaker(t, breaker.Config{Failures: 2, Rate: 0.5, Reset: time.Nanosecond})
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for n := range 500 {
				switch (n + i) % 4 {
				case 0:
					b.Reset()
				case 1:
					call(b, nil)
				case 2:
					call(b, context.Canceled)
				default:
					call(b, errAway)
				}
				_ = b.State()
			}
		})
	}
	callers.Wait()
	b.Reset()
	want(t, b, breaker.Closed)
}
