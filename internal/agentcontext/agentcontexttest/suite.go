// Package agentcontexttest holds stores of agent contexts to the rules of agentcontext.Store.
package agentcontexttest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/toolboxai/orchestrator/internal/agentcontext"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Run holds the stores that open returns to the rules. Each is new; open may be called twice for one test to have the same store as two
// processes have it.
func Run(t *testing.T, open func(t *testing.T) (a, b agentcontext.Store)) {
	t.Helper()
	tess := agentcontext.Owner{Tenant: "school", UserID: "tess"}
	service := func(t *testing.T, store agentcontext.Store, budget, most int) *agentcontext.Service {
		t.Helper()
		s, err := agentcontext.NewService(agentcontext.Config{Store: store, Budget: budget, MaxEntries: most})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("KeepsWhatIsWritten", func(t *testing.T) {
		t.Parallel()
		a, b := open(t)
		first, second := service(t, a, 0, 0), service(t, b, 0, 0)
		if empty, err := first.Get(t.Context(), tess, ""); err != nil || len(empty.Entries) != 0 || empty.Budget != agentcontext.Budget {
			t.Fatalf("a new context is %+v (%v)", empty, err)
		}
		if _, err := first.Update(t.Context(), tess, []agentcontext.Write{{Key: "goal", Content: "fractions ⅓", Source: "chat"}, {Key: "tone", Content: "kind", Priority: agentcontext.High}}); err != nil {
			t.Fatal(err)
		}
		got, err := second.Get(t.Context(), tess, "")
		if err != nil || shape(got) != "tone/high/kind goal/normal/fractions ⅓" || got.Entries[1].Source != "chat" || got.Tokens != 1+4 {
			t.Errorf("got %s: %+v (%v)", shape(got), got, err)
		}
		created := got.Entries[1].CreatedAt
		if _, err := second.Update(t.Context(), tess, []agentcontext.Write{{Key: "goal", Content: "decimals"}}); err != nil {
			t.Fatal(err)
		}
		one, err := first.Get(t.Context(), tess, "goal")
		if err != nil || shape(one) != "goal/normal/decimals" || !one.Entries[0].CreatedAt.Equal(created) || !one.Entries[0].UpdatedAt.After(created) {
			t.Errorf("got %+v (%v)", one, err)
		}
	})
	t.Run("ChangesPrioritiesAndClears", func(t *testing.T) {
		t.Parallel()
		a, _ := open(t)
		s := service(t, a, 0, 0)
		must(t, s, tess, "a", "b", "c")
		if got, err := s.SetPriority(t.Context(), tess, "a", agentcontext.Critical); err != nil || shape(got) != "a/critical/ c/normal/ b/normal/" {
			t.Errorf("after a new priority: %s (%v)", shape(got), err)
		}
		if got, err := s.Get(t.Context(), tess, "a"); err != nil || shape(got) != "a/critical/a" {
			t.Errorf("its content is %s (%v)", shape(got), err)
		}
		if got, err := s.Clear(t.Context(), tess, "c"); err != nil || shape(got) != "a/critical/ b/normal/" {
			t.Errorf("after clearing c: %s (%v)", shape(got), err)
		}
		for name, err := range map[string]error{
			"clear":    second(s.Clear(t.Context(), tess, "c")),
			"get":      second(s.Get(t.Context(), tess, "c")),
			"priority": second(s.SetPriority(t.Context(), tess, "c", agentcontext.Low)),
		} {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%s of what is not there: %v", name, err)
			}
		}
		if got, err := s.Clear(t.Context(), tess, ""); err != nil || len(got.Entries) != 0 {
			t.Errorf("after clearing all: %s (%v)", shape(got), err)
		}
	})
	t.Run("KeepsOwnersApart", func(t *testing.T) {
		t.Parallel()
		a, _ := open(t)
		s := service(t, a, 0, 0)
		owners := []agentcontext.Owner{tess, {Tenant: "school", UserID: "ada"}, {Tenant: "other", UserID: "tess"}}
		for _, of := range owners {
			if _, err := s.Update(t.Context(), of, []agentcontext.Write{{Key: "who", Content: of.Tenant + " " + of.UserID}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Clear(t.Context(), owners[1], ""); err != nil {
			t.Fatal(err)
		}
		for _, of := range []agentcontext.Owner{owners[0], owners[2]} {
			if got, err := s.Get(t.Context(), of, ""); err != nil || shape(got) != "who/normal/"+of.Tenant+" "+of.UserID {
				t.Errorf("%v has %s (%v)", of, shape(got), err)
			}
		}
	})
	t.Run("ChangesNothingWhenRefused", func(t *testing.T) {
		t.Parallel()
		a, _ := open(t)
		s := service(t, a, 0, 0)
		must(t, s, tess, "a")
		no := errors.New("no")
		if err := a.Change(t.Context(), tess, func([]agentcontext.Entry) (agentcontext.Change, error) {
			return agentcontext.Change{Drop: []string{"a"}}, no
		}); !errors.Is(err, no) {
			t.Errorf("got %v", err)
		}
		if got, err := s.Get(t.Context(), tess, ""); err != nil || shape(got) != "a/normal/a" {
			t.Errorf("got %s (%v)", shape(got), err)
		}
	})
	t.Run("PrunesByPriorityThenAge", func(t *testing.T) {
		t.Parallel()
		a, _ := open(t)
		s := service(t, a, 30, 0) // three entries of ten tokens
		forty := strings.Repeat("x", 40)
		for _, w := range []agentcontext.Write{
			{Key: "old", Content: forty}, {Key: "first", Content: forty, Priority: agentcontext.Low}, {Key: "new", Content: forty},
		} {
			if _, err := s.Update(t.Context(), tess, []agentcontext.Write{w}); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			write  agentcontext.Write
			pruned string
		}{
			{agentcontext.Write{Key: "high", Content: forty, Priority: agentcontext.High}, "[first]"},
			{agentcontext.Write{Key: "newer", Content: forty}, "[old]"},
			{agentcontext.Write{Key: "least", Content: forty, Priority: agentcontext.Low}, "[least]"},
			{agentcontext.Write{Key: "critical", Content: forty + forty, Priority: agentcontext.Critical}, "[new newer]"},
		} {
			got, err := s.Update(t.Context(), tess, []agentcontext.Write{c.write})
			if err != nil || fmt.Sprint(got.Pruned) != c.pruned || got.Tokens > 30 {
				t.Errorf("after %s: pruned %v, want %s, %d tokens (%v)", c.write.Key, got.Pruned, c.pruned, got.Tokens, err)
			}
			if stored, err := s.Get(t.Context(), tess, ""); err != nil || stored.Tokens != got.Tokens || len(stored.Entries) != len(got.Entries) {
				t.Errorf("after %s: stored %s (%v)", c.write.Key, shape(stored), err)
			}
		}
	})
	t.Run("BoundsTheNumberOfEntries", func(t *testing.T) {
		t.Parallel()
		a, _ := open(t)
		s := service(t, a, 0, 3)
		must(t, s, tess, "a", "b", "c", "d")
		if got, err := s.Get(t.Context(), tess, ""); err != nil || shape(got) != "d/normal/d c/normal/c b/normal/b" {
			t.Errorf("got %s (%v)", shape(got), err)
		}
	})
	t.Run("StaysInBudgetWhenTwoProcessesWrite", func(t *testing.T) {
		t.Parallel()
		a, b := open(t)
		const budget, writers = 100, 8
		services := []*agentcontext.Service{service(t, a, budget, 0), service(t, b, budget, 0)}
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				for i := range 6 {
					key := fmt.Sprintf("w%d-%d", w, i)
					if _, err := services[w%2].Update(t.Context(), tess, []agentcontext.Write{{Key: key, Content: strings.Repeat("x", 100)}}); err != nil {
						t.Errorf("%s: %v", key, err)
					}
				}
			})
		}
		group.Wait()
		got, err := services[0].Get(t.Context(), tess, "")
		if err != nil || got.Tokens != budget || len(got.Entries) != 4 {
			t.Errorf("%d entries with %d tokens (%v), want 4 with %d", len(got.Entries), got.Tokens, err, budget)
		}
	})
}

func second(_ agentcontext.Context, err error) error { return err }

// must writes entries whose contents are their keys, one after the other.
func must(t *testing.T, s *agentcontext.Service, of agentcontext.Owner, keys ...string) {
	t.Helper()
	for key := range slices.Values(keys) {
		if _, err := s.Update(t.Context(), of, []agentcontext.Write{{Key: key, Content: key}}); err != nil {
			t.Fatal(err)
		}
	}
}

// shape writes a context as "key/priority/content …".
func shape(c agentcontext.Context) string {
	var parts []string
	for _, e := range c.Entries {
		parts = append(parts, e.Key+"/"+string(e.Priority)+"/"+e.Content)
	}
	return strings.Join(parts, " ")
}
