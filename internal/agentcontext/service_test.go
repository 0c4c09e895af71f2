package agentcontext_test

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/agentcontext"
	"github.com/toolboxai/orchestrator/internal/agentcontext/agentcontexttest"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory_IsAStore(t *testing.T) {
	t.Parallel()
	agentcontexttest.Run(t, func(*testing.T) (a, b agentcontext.Store) {
		m := &agentcontext.Memory{}
		return m, m
	})
}

var ada = agentcontext.Owner{Tenant: "school", UserID: "ada"}

func newService(t rapid.TB, cfg agentcontext.Config) *agentcontext.Service {
	t.Helper()
	cfg.Store = &agentcontext.Memory{}
	s, err := agentcontext.NewService(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestUpdate_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newService(t, agentcontext.Config{Budget: 100})
	good := agentcontext.Write{Key: "k", Content: "x"}
	for want, writes := range map[string][]agentcontext.Write{
		"entries are 0, must be 1 to 100":                                nil,
		"entries are 101, must be 1 to 100":                              make([]agentcontext.Write, 101),
		"entries[0].key must have 1 to 128 of":                           {{Key: "a b", Content: "x"}},
		"entries[1].key stands twice":                                    {good, good},
		"entries[0].content is missing":                                  {{Key: "k"}},
		"entries[0].content has 65537 bytes, at most 65536":              {{Key: "k", Content: strings.Repeat("x", 65537)}},
		"entries[0].content has about 101 tokens, more than the whole":   {{Key: "k", Content: strings.Repeat("x", 401)}},
		"entries[0].content must be UTF-8":                               {{Key: "k", Content: "\xff"}},
		"entries[0].priority must be low, normal, high or critical":      {{Key: "k", Content: "x", Priority: "urgent"}},
		"entries[0].source must be UTF-8 without NUL, of at most 128 by": {{Key: "k", Content: "x", Source: strings.Repeat("s", 129)}},
	} {
		_, err := s.Update(t.Context(), ada, writes)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if got, err := s.Get(t.Context(), ada, ""); err != nil || len(got.Entries) != 0 {
		t.Errorf("%+v was written (%v)", got, err)
	}
}

// The last of random updates leaves the budget kept, and nothing has gone that counted for more than what stays.
func TestUpdate_KeepsTheBudgetWhateverIsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, keepsBudget)
}

func TestUpdate_WithoutBoundsBreaksTheBudget(t *testing.T) {
	t.Parallel()
	s := newService(t, agentcontext.Config{Budget: 10})
	s.Unbind()
	for i := range 3 {
		got, err := s.Update(t.Context(), ada, []agentcontext.Write{{Key: fmt.Sprint(i), Content: strings.Repeat("x", 40)}})
		if err != nil {
			t.Fatal(err)
		}
		if i == 2 && got.Tokens <= 10 {
			t.Error("the check sees nothing of missing bounds")
		}
	}
}

func keepsBudget(t *rapid.T) {
	const budget, most = 50, 6
	s := newService(t, agentcontext.Config{Budget: budget, MaxEntries: most})
	for range rapid.IntRange(1, 12).Draw(t, "updates") {
		var writes []agentcontext.Write
		for _, key := range rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 1, 4, rapid.ID[int]).Draw(t, "keys") {
			writes = append(writes, agentcontext.Write{
				Key: fmt.Sprint("k", key), Content: strings.Repeat("x", rapid.IntRange(1, 200).Draw(t, "bytes")),
				Priority: rapid.SampledFrom(append(agentcontext.Priorities(), "")).Draw(t, "priority"),
			})
		}
		before, err := s.Get(t.Context(), ada, "")
		if err != nil {
			t.Fatal(err)
		}
		after, err := s.Update(t.Context(), ada, writes)
		if err != nil {
			t.Fatal(err)
		}
		tokens := 0
		for _, e := range after.Entries {
			tokens += e.Tokens
		}
		if tokens != after.Tokens || tokens > budget || len(after.Entries) > most {
			t.Fatalf("%d entries with %d tokens", len(after.Entries), tokens)
		}
		least := after.Entries
		for _, key := range after.Pruned {
			for _, e := range before.Entries {
				if e.Key != key || overwritten(writes, key) || len(least) == 0 {
					continue
				}
				if last := least[len(least)-1]; e.Priority.Rank() > last.Priority.Rank() {
					t.Fatalf("%s (%s) went, %s (%s) stays", key, e.Priority, last.Key, last.Priority)
				}
			}
		}
	}
}

func overwritten(writes []agentcontext.Write, key string) bool {
	for _, w := range writes {
		if w.Key == key {
			return true
		}
	}
	return false
}
