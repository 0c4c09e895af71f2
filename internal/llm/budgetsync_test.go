package llm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/policy"
)

// books is a ledger.
type books struct {
	day, month []entry
	err        error // of the day
	asked      int
}

type entry struct {
	tenant, user, workflow string
	micro, tokens          int64
}

func (b *books) SpentAll(_ context.Context, from, to time.Time, each func(tenant, user, workflow string, microUSD, tokens int64)) error {
	b.asked++
	entries := b.month
	if to.Sub(from) == 24*time.Hour {
		if b.err != nil {
			return b.err
		}
		entries = b.day
	}
	for _, e := range entries {
		each(e.tenant, e.user, e.workflow, e.micro, e.tokens)
	}
	return nil
}

func TestSyncBudgets_RemembersWhatTheStoreForgot(t *testing.T) {
	t.Parallel()
	month := policy.Budget{Scope: policy.ScopeUser, ID: policy.Everyone, Period: policy.Month, USD: 1, Tokens: 50_000}
	p, meter := &provider{model: luna}, localMeter(t, llm.LocalConfig{}) // an empty meter: what it knew is gone
	ledger := &books{month: []entry{
		{"lakeside", teacher.User, "", 600_000, 30}, {"lakeside", "teacher-8", "", 5, 5}, {"lakeside", teacher.User, "w-9", 399_999, 10},
		{"hillside", teacher.User, "", 77, 77}, // another one of the same name
	}}
	cfg := llm.SyncConfig{Ledger: ledger, Meter: meter, Policy: budgets(month)}
	for range 2 {
		if err := llm.SyncBudgets(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	if usd, tokens := spent(t, meter, month, "usd"), spent(t, meter, month, "tokens"); usd != 999_999 || tokens != 40 || ledger.asked != 2 {
		t.Errorf("%d and %d are counted after %d questions", usd, tokens, ledger.asked)
	}
	g := govern(t, llm.GovernConfig{Client: p, Meter: meter, Policy: budgets(month)})
	_, err := g.Complete(llm.WithCaller(t.Context(), teacher), request)
	_ = exhausted(t, err)
	if _, err := g.Complete(llm.WithCaller(t.Context(), llm.Caller{Tenant: "lakeside", User: "teacher-8"}), request); err != nil {
		t.Errorf("another user: %v", err)
	}
}

func TestSyncBudgets_DoesTheOthersWhenOneFails(t *testing.T) {
	t.Parallel()
	day, month := tenantDay(1), tenantDay(1)
	month.Period = policy.Month
	meter, broken := localMeter(t, llm.LocalConfig{}), errors.New("the row is broken")
	ledger := &books{err: broken, day: []entry{{"lakeside", "u", "", 9, 9}}, month: []entry{{"lakeside", "u", "", 7, 7}, {"lakeside", "", "", 3, 3}}}
	err := llm.SyncBudgets(t.Context(), llm.SyncConfig{Ledger: ledger, Meter: meter, Policy: budgets(day, month)})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if d, m := spent(t, meter, day, "usd"), spent(t, meter, month, "usd"); d != 0 || m != 10 {
		t.Errorf("%d of the day and %d of the month are counted", d, m)
	}
	if err := llm.SyncBudgets(t.Context(), llm.SyncConfig{Meter: meter}); !fault.Is(err, fault.Invalid) {
		t.Errorf("without a ledger: %v", err)
	}
}

func TestSyncBudgets_AsksNothingWithoutBudgets(t *testing.T) {
	t.Parallel()
	ledger := &books{}
	err := llm.SyncBudgets(t.Context(), llm.SyncConfig{Ledger: ledger, Meter: localMeter(t, llm.LocalConfig{}), Policy: budgets()})
	if err != nil || ledger.asked != 0 {
		t.Errorf("%d questions, %v", ledger.asked, err)
	}
}
