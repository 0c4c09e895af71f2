package nats_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// updater is what keeps itself up to date in the background.
type updater interface {
	Run(ctx context.Context) error
}

// keep runs r until the test ends.
func keep(t testing.TB, r updater) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func wait(t testing.TB, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("waited %s in vain until %s", patience, what)
	}
}

func newPolicyStore(t testing.TB, js jetstream.JetStream) *nats.PolicyStore {
	t.Helper()
	store, err := nats.NewPolicyStore(js, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func limited(maximum int, revision uint64) policy.Policy {
	return policy.Policy{Revision: revision, Limits: []policy.Limit{{Name: "all", Max: maximum}}}
}

func TestPolicyStore_TellsEveryProcessOfAChange(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	here, there := newPolicyStore(t, broker.JS), newPolicyStore(t, mustJetStream(t, connect(t, broker)))
	keep(t, here)
	keep(t, there)
	wait(t, "the other process knows that there is no policy", there.Ready())
	changed := there.Changed()
	saved, err := here.Save(t.Context(), limited(3, 0))
	if err != nil || saved.Revision == 0 || here.Current().Revision != saved.Revision {
		t.Fatalf("saved %+v (%v), current is %+v", saved, err, here.Current())
	}
	wait(t, "the other process hears of it", changed)
	if got := there.Current(); got.Revision != saved.Revision || got.Limits[0].Max != 3 {
		t.Errorf("the other process has %+v", got)
	}
	if _, err := there.Save(t.Context(), limited(4, 0)); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second first policy: got %v, want Conflict", err)
	}
	changed = here.Changed()
	saved, err = there.Save(t.Context(), limited(4, saved.Revision))
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "the change comes back", changed)
	if got := here.Current(); got.Revision != saved.Revision || got.Limits[0].Max != 4 {
		t.Errorf("the first process has %+v", got)
	}
	fresh := newPolicyStore(t, broker.JS)
	if p, err := fresh.Load(t.Context()); err != nil || p.Revision != saved.Revision || fresh.Current().Revision != saved.Revision {
		t.Errorf("loaded %+v (%v)", p, err)
	}
}

func TestPolicyStore_KeepsItsLastRevisions(t *testing.T) {
	t.Parallel()
	store := newPolicyStore(t, natstest.Start(t).JS)
	if past, err := store.History(t.Context()); err != nil || len(past) > 0 {
		t.Errorf("before the first: %v, %v", past, err)
	}
	if p, err := store.Load(t.Context()); err != nil || p.Revision != 0 {
		t.Errorf("before the first: loaded %+v, %v", p, err)
	}
	var last policy.Policy
	for i := range 20 {
		var err error
		if last, err = store.Save(t.Context(), limited(i, last.Revision)); err != nil {
			t.Fatal(err)
		}
	}
	past, err := store.History(t.Context())
	if err != nil || len(past) != 16 {
		t.Fatalf("got %d revisions (%v), want 16", len(past), err)
	}
	for i, was := range past {
		if was.Policy.Limits[0].Max != 19-i || was.Policy.Revision != last.Revision-uint64(i) || time.Since(was.At) > time.Minute {
			t.Errorf("%d ago: %+v at %s", i, was.Policy, was.At)
		}
	}
}

func TestPolicyStore_KnowsTheLastOneWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	broker := startMortal(t)
	client := broker.connect(t)
	until(t, "the broker is provisioned", func() bool {
		_, err := nats.Provision(t.Context(), client.JS, nats.Topology{})
		return err == nil
	})
	store := newPolicyStore(t, client.JS)
	keep(t, store)
	wait(t, "the policy is known", store.Ready())
	saved, err := store.Save(t.Context(), limited(3, 0))
	if err != nil {
		t.Fatal(err)
	}
	broker.kill(t)
	until(t, "the connection is lost", func() bool { return !client.Conn.IsConnected() })
	if got := store.Current(); got.Revision != saved.Revision {
		t.Errorf("without a broker it has %+v", got)
	}
	if _, err := store.Save(t.Context(), limited(4, saved.Revision)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("saved without a broker: %v", err)
	}
	changed := store.Changed()
	broker.start(t)
	other := newPolicyStore(t, broker.connect(t).JS)
	until(t, "another process changes it", func() bool {
		_, err := other.Save(t.Context(), limited(5, saved.Revision))
		return err == nil
	})
	wait(t, "the change is known", changed)
	if got := store.Current(); got.Limits[0].Max != 5 {
		t.Errorf("it has %+v", got)
	}
}
