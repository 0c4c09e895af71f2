package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/toolboxai/orchestrator/internal/agentcontext"
	"github.com/toolboxai/orchestrator/internal/agentcontext/agentcontexttest"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

func TestAgentContexts_AreAStore(t *testing.T) {
	t.Parallel()
	agentcontexttest.Run(t, func(t *testing.T) (a, b agentcontext.Store) {
		url := pgtest.New(t)
		return postgres.NewAgentContexts(open(t, postgres.Config{URL: url})), postgres.NewAgentContexts(open(t, postgres.Config{URL: url}))
	})
}

// Without the lock, two that read at the same time both find room.
func TestAgentContexts_WithoutTheLockLeaveTheBudget(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	of := agentcontext.Owner{Tenant: "school", UserID: "tess"}
	var met sync.WaitGroup
	met.Add(2)
	var group sync.WaitGroup
	for i := range 2 {
		store := postgres.NewAgentContexts(open(t, postgres.Config{URL: url}))
		if err := store.Change(t.Context(), of, func([]agentcontext.Entry) (agentcontext.Change, error) { return agentcontext.Change{}, nil }); err != nil {
			t.Fatal(err)
		}
		store.Share()
		s, err := agentcontext.NewService(agentcontext.Config{Store: both{store, &met}, Budget: 10})
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			if _, err := s.Update(t.Context(), of, []agentcontext.Write{{Key: fmt.Sprint("k", i), Content: strings.Repeat("x", 40)}}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	s, err := agentcontext.NewService(agentcontext.Config{Store: postgres.NewAgentContexts(open(t, postgres.Config{URL: url})), Budget: 10})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), of, ""); err != nil || got.Tokens != 20 {
		t.Errorf("%d tokens (%v): the suite would not see a missing lock", got.Tokens, err)
	}
}

// both has two changes read before either writes.
type both struct {
	agentcontext.Store
	met *sync.WaitGroup
}

func (b both) Change(ctx context.Context, of agentcontext.Owner, decide func([]agentcontext.Entry) (agentcontext.Change, error)) error {
	return b.Store.Change(ctx, of, func(heads []agentcontext.Entry) (agentcontext.Change, error) {
		b.met.Done()
		b.met.Wait()
		return decide(heads)
	})
}

func TestAgentContexts_AreExportedAndErasedWithTheirUser(t *testing.T) {
	t.Parallel()
	db, url := privateSchool(t)
	s, err := agentcontext.NewService(agentcontext.Config{Store: postgres.NewAgentContexts(db)})
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []agentcontext.Owner{{Tenant: "school", UserID: "tess"}, {Tenant: "school", UserID: "a1"}} {
		if _, err := s.Update(t.Context(), of, []agentcontext.Write{{Key: "note", Content: "remember " + of.UserID}}); err != nil {
			t.Fatal(err)
		}
	}
	admin := auth.Principal{UserID: "a2", Tenant: "school", Role: auth.Admin}
	var out bytes.Buffer
	if err := privacyOf(t, db).Export(t.Context(), admin, "tess", &out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, `"agent_context"`) || !strings.Contains(text, "remember tess") || strings.Contains(text, "remember a1") {
		t.Errorf("exported %s", text)
	}
	if _, err := privacyOf(t, db).Erase(t.Context(), admin, "tess"); err != nil {
		t.Fatal(err)
	}
	if left := query(t, url, `SELECT user_id FROM agent_context_entries UNION ALL SELECT user_id FROM agent_contexts`); fmt.Sprint(left) != "[a1 a1]" {
		t.Errorf("left of contexts: %v", left)
	}
}
