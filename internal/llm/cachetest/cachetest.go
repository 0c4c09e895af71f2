// Package cachetest holds the suite that every llm.AnswerStore and llm.VectorStore passes. It runs on the real clock, because a real
// store has no other, with times of a part of a second.
package cachetest

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/llm"
)

// Store is both stores.
type Store interface {
	llm.AnswerStore
	llm.VectorStore
}

const patience = 20 * time.Second

// Run checks what every store promises. open returns one that is empty.
func Run(t *testing.T, open func(t testing.TB) Store) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, Store){
		"KeepsAnswersApart": keepsAnswersApart, "ForgetsInTime": forgetsInTime, "LeasesToOne": leasesToOne, "LeasesEnd": leasesEnd,
		"CountsEverything": countsEverything, "ListsWhatIsNew": listsWhatIsNew, "BoundsTheList": boundsTheList,
		"DeletesWhatNothingLeadsTo": deletesWhatNothingLeadsTo,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, open(t))
		})
	}
}

func answer(text string) llm.Answer {
	return llm.Answer{Text: text, Provider: "openai", Model: "m", Usage: llm.Usage{InputTokens: 1, OutputTokens: 2, CostUSD: 0.5, CostKnown: true}, At: time.UnixMilli(1_800_000_000_000).UTC()}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func kept(t *testing.T, s Store, tenant, key, want string) {
	t.Helper()
	a, found, err := s.Answer(t.Context(), tenant, key)
	ok(t, err)
	if found != (want != "") || found && !reflect.DeepEqual(a, answer(want)) {
		t.Errorf("%s of %s is %+v (%v), want %q", key, tenant, a, found, want)
	}
}

func keepsAnswersApart(t *testing.T, s Store) {
	kept(t, s, "a", "k", "")
	ok(t, s.Keep(t.Context(), "a", "k", answer("one"), time.Minute))
	ok(t, s.Keep(t.Context(), "a", "k2", answer("two"), time.Minute))
	ok(t, s.Keep(t.Context(), "a:k", "", answer("odd"), time.Minute))
	kept(t, s, "a", "k", "one")
	kept(t, s, "b", "k", "")
	kept(t, s, "a:", "k", "")
	ok(t, s.Keep(t.Context(), "a", "k", answer("other"), time.Minute))
	kept(t, s, "a", "k", "other")
	kept(t, s, "a", "k2", "two")
}

func forgetsInTime(t *testing.T, s Store) {
	ok(t, s.Keep(t.Context(), "a", "k", answer("one"), 50*time.Millisecond))
	until(t, func() bool {
		_, found, err := s.Answer(t.Context(), "a", "k")
		ok(t, err)
		return !found
	})
}

func leasesToOne(t *testing.T, s Store) {
	var mu sync.Mutex
	holders := 0
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			got, err := s.Lease(t.Context(), "a", "k", fmt.Sprint(i), time.Minute)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if got {
				holders++
			}
		})
	}
	all.Wait()
	if holders != 1 {
		t.Errorf("%d hold the lease", holders)
	}
	for _, other := range []struct{ tenant, key string }{{"b", "k"}, {"a", "k2"}} {
		if got, err := s.Lease(t.Context(), other.tenant, other.key, "x", time.Minute); err != nil || !got {
			t.Errorf("%v is not free: %v", other, err)
		}
	}
	if got, err := s.Lease(t.Context(), "b", "k", "x", time.Minute); err != nil || !got {
		t.Errorf("its holder cannot renew it: %v", err)
	}
	ok(t, s.Release(t.Context(), "b", "k", "y"))
	if got, err := s.Lease(t.Context(), "b", "k", "y", time.Minute); err != nil || got {
		t.Errorf("somebody else gave it back: %v", err)
	}
	ok(t, s.Release(t.Context(), "b", "k", "x"))
	if got, err := s.Lease(t.Context(), "b", "k", "y", time.Minute); err != nil || !got {
		t.Errorf("it was not given back: %v", err)
	}
}

func leasesEnd(t *testing.T, s Store) {
	got, err := s.Lease(t.Context(), "a", "k", "dead", 50*time.Millisecond)
	ok(t, err)
	if !got {
		t.Fatal("a free lease was not given")
	}
	until(t, func() bool {
		got, err := s.Lease(t.Context(), "a", "k", "next", time.Minute)
		ok(t, err)
		return got
	})
}

func countsEverything(t *testing.T, s Store) {
	one := llm.Tally{Exact: 1, Semantic: 2, Shared: 3, Misses: 4, SavedTokens: 5, SavedMicro: 6}
	ok(t, s.Count(t.Context(), "a", one))
	ok(t, s.Count(t.Context(), "a", one))
	ok(t, s.Count(t.Context(), "b", llm.Tally{Exact: 1}))
	for tenant, want := range map[string]llm.Tally{"a": one.Add(one), "b": {Exact: 1}, "c": {}} {
		if got, err := s.Tally(t.Context(), tenant); err != nil || got != want {
			t.Errorf("%s has %+v (%v), want %+v", tenant, got, err, want)
		}
	}
}

func vector(n int) llm.Vector {
	return llm.Vector{Space: "s", Key: fmt.Sprint(n), Values: [][]float32{{float32(n), -0.5, 1e-7}, {1, 2, 3}}}
}

func listsWhatIsNew(t *testing.T, s Store) {
	read := func(tenant, cursor string, want ...llm.Vector) string {
		t.Helper()
		got, next, err := s.Since(t.Context(), tenant, cursor)
		ok(t, err)
		if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("behind %q there is %v, want %v", cursor, got, want)
		}
		return next
	}
	read("a", "")
	ok(t, s.Append(t.Context(), "a", vector(1), time.Minute))
	ok(t, s.Append(t.Context(), "b", vector(9), time.Minute))
	ok(t, s.Append(t.Context(), "a", vector(2), time.Minute))
	cursor := read("a", "", vector(1), vector(2))
	cursor = read("a", cursor)
	ok(t, s.Append(t.Context(), "a", vector(3), time.Minute))
	read("a", cursor, vector(3))
	read("b", "", vector(9))
}

func boundsTheList(t *testing.T, s Store) {
	for n := range llm.MaxVectors + 5 {
		ok(t, s.Append(t.Context(), "a", vector(n), time.Minute))
	}
	got, cursor, err := s.Since(t.Context(), "a", "")
	ok(t, err)
	if len(got) != llm.MaxVectors || got[0].Key != "5" {
		t.Errorf("%d entries are kept, the oldest is %v", len(got), got[0])
	}
	if more, _, err := s.Since(t.Context(), "a", cursor); err != nil || len(more) > 0 {
		t.Errorf("behind the end there are %d (%v)", len(more), err)
	}
}

func deletesWhatNothingLeadsTo(t *testing.T, s Store) {
	for n := range llm.MaxVectors + 2 {
		for _, tenant := range []string{"a", "b"} {
			v := vector(n)
			v.Sole = tenant == "a"
			if n < 3 {
				ok(t, s.Keep(t.Context(), tenant, v.Key, answer("one"), time.Minute))
			}
			ok(t, s.Append(t.Context(), tenant, v, time.Minute))
		}
	}
	for n, want := range []string{"", "", "one"} {
		kept(t, s, "a", fmt.Sprint(n), want)
		kept(t, s, "b", fmt.Sprint(n), "one") // which something else may lead to
	}
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen in time")
		}
	}
}
