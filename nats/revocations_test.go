package nats_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/auth/authtest"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func newRevocations(t testing.TB, js jetstream.JetStream) *nats.Revocations {
	t.Helper()
	r, err := nats.NewRevocations(js, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// runRevocations returns a set that holds all that the broker has, and follows it.
func runRevocations(t testing.TB, js jetstream.JetStream) *auth.Revocations {
	t.Helper()
	return fillFrom(t, newRevocations(t, js))
}

func fillFrom(t testing.TB, r *nats.Revocations) *auth.Revocations {
	t.Helper()
	set, ready := auth.NewRevocations(), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx, set, func() { close(ready) }); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	wait(t, "the revocations are read", ready)
	return set
}

func publishRevocation(t testing.TB, r *nats.Revocations, kind, id string) {
	t.Helper()
	if err := r.Publish(t.Context(), auth.Revocation{Kind: kind, ID: id}); err != nil {
		t.Fatal(err)
	}
}

// Two processes check tokens. What the first revokes, the second refuses within a second, for the token that it has verified already
// and remembers; a third process that does not follow the revocations, the negative control, goes on taking it.
func TestRevocations_ReachEveryProcessWithinASecond(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	here := newRevocations(t, broker.JS)
	there := runRevocations(t, mustJetStream(t, connect(t, broker)))
	keys, err := authtest.Keyring(strings.Repeat("k", 32))
	if err != nil {
		t.Fatal(err)
	}
	verifier := func(set *auth.Revocations) *auth.Verifier {
		v, err := auth.NewVerifier(auth.VerifierConfig{Keys: keys, Revocations: set})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	follows, deaf := verifier(there), verifier(auth.NewRevocations())
	slack := busy(t, broker)
	var took []time.Duration
	for i, kind := range []string{auth.RevokedUser, auth.RevokedSession, auth.RevokedTenant} {
		p := auth.Principal{UserID: fmt.Sprint("user@", i), Tenant: fmt.Sprint("school-", i), Role: auth.Teacher, SessionID: fmt.Sprint("s", i)}
		token, err := keys.Issue(p, 15*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []*auth.Verifier{follows, deaf} {
			if _, err := v.Verify(token); err != nil {
				t.Fatal(err)
			}
		}
		id := map[string]string{auth.RevokedUser: p.UserID, auth.RevokedSession: p.SessionID, auth.RevokedTenant: p.Tenant}[kind]
		began := time.Now()
		if err := here.Publish(t.Context(), auth.Revocation{Kind: kind, ID: id, Before: time.Now().Add(time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
		until(t, kind+" is revoked", func() bool {
			_, err := follows.Verify(token)
			return fault.Is(err, fault.Unauthorized)
		})
		took = append(took, time.Since(began))
		if _, err := deaf.Verify(token); err != nil {
			t.Errorf("%s: revoked without a watch: %v", kind, err)
		}
	}
	t.Logf("published and refused elsewhere within %v", took)
	late := slack()
	for i, d := range took {
		if d > time.Second+late {
			t.Errorf("revocation %d took %v, and this machine is %v late", i, d, late)
		}
	}
}

func TestRevocations_AreThereForANewProcess(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	here := newRevocations(t, broker.JS)
	const many = 700 // more than one pull brings
	for i := range many {
		publishRevocation(t, here, auth.RevokedSession, fmt.Sprint(i))
	}
	publishRevocation(t, here, auth.RevokedUser, "ada@school.example;x,y")
	cut := time.Now()
	set := runRevocations(t, mustJetStream(t, connect(t, broker)))
	if set.Len() != many+1 || !set.Revoked(auth.Principal{SessionID: "0"}) || !set.Revoked(auth.Principal{SessionID: fmt.Sprint(many - 1)}) {
		t.Errorf("a new process knows %d", set.Len())
	}
	ada := auth.Principal{UserID: "ada@school.example;x,y", Tenant: "school", IssuedAt: cut.Add(-time.Minute)}
	if !set.Revoked(ada) {
		t.Error("the user is not revoked")
	}
	if ada.IssuedAt = cut.Add(time.Millisecond); set.Revoked(ada) {
		t.Error("a new process revokes what was issued since")
	}
}

// The broker is killed. Meanwhile the process that revokes refuses at once and says that others do not know it; what was published
// before is still there, and what is published after it is back arrives at who was connected all the time.
func TestRevocations_SurviveTheBroker(t *testing.T) {
	t.Parallel()
	broker := startMortal(t)
	client := broker.connect(t)
	until(t, "the broker is provisioned", func() bool {
		_, err := nats.Provision(t.Context(), client.JS, nats.Topology{})
		return err == nil
	})
	here := newRevocations(t, client.JS)
	own := fillFrom(t, here)
	there := runRevocations(t, broker.connect(t).JS)
	publishRevocation(t, here, auth.RevokedSession, "before")
	until(t, "the other process knows", func() bool { return there.Revoked(auth.Principal{SessionID: "before"}) })
	broker.kill(t)
	until(t, "the connection is lost", func() bool { return !client.Conn.IsConnected() })
	if err := here.Publish(t.Context(), auth.Revocation{Kind: auth.RevokedSession, ID: "meanwhile"}); !fault.KindOf(err).Retryable() {
		t.Errorf("published without a broker: %v", err)
	}
	if !own.Revoked(auth.Principal{SessionID: "meanwhile"}) || !there.Revoked(auth.Principal{SessionID: "before"}) || there.Revoked(auth.Principal{SessionID: "meanwhile"}) {
		t.Error("without a broker: the own process does not know, the other one forgot, or knows what it cannot")
	}
	broker.start(t)
	until(t, "it is published", func() bool {
		return here.Publish(t.Context(), auth.Revocation{Kind: auth.RevokedSession, ID: "meanwhile"}) == nil
	})
	until(t, "the other process knows", func() bool { return there.Revoked(auth.Principal{SessionID: "meanwhile"}) })
	fresh := runRevocations(t, broker.connect(t).JS)
	if !fresh.Revoked(auth.Principal{SessionID: "before"}) || !fresh.Revoked(auth.Principal{SessionID: "meanwhile"}) {
		t.Errorf("a new process knows only %d", fresh.Len())
	}
}

func TestRevocations_TakeEffectAtOnceWherePublished(t *testing.T) {
	t.Parallel()
	here := newRevocations(t, natstest.Start(t).JS)
	first, second := fillFrom(t, here), fillFrom(t, here)
	var heard atomic.Int64
	first.OnKey(func(string) { heard.Add(1) })
	for i := range 50 {
		id := fmt.Sprint(i)
		publishRevocation(t, here, auth.RevokedKey, id)
		if !first.Revoked(auth.Principal{KeyID: id}) || !second.Revoked(auth.Principal{KeyID: id}) {
			t.Fatalf("key %s is not revoked when Publish has returned", id)
		}
	}
	publishRevocation(t, here, auth.RevokedSession, "last")
	if got := heard.Load(); got != 50 {
		t.Errorf("heard of 50 keys %d times", got)
	}
}

func TestRevocations_Refuse(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	here, set := newRevocations(t, broker.JS), runRevocations(t, broker.JS)
	for name, r := range map[string]auth.Revocation{
		"kind": {Kind: "role", ID: "x"}, "no kind": {ID: "x"}, "no id": {Kind: auth.RevokedUser}, "long id": {Kind: auth.RevokedUser, ID: strings.Repeat("x", 150)},
	} {
		if err := here.Publish(t.Context(), r); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What others put into the bucket harms nobody.
	for _, subject := range []string{"$KV.REVOCATIONS.user.x", "$KV.REVOCATIONS.x"} {
		if _, err := broker.JS.PublishMsg(t.Context(), &natsgo.Msg{Subject: subject, Data: []byte("{")}); err != nil {
			t.Fatal(err)
		}
	}
	publishRevocation(t, here, auth.RevokedUser, "ada")
	until(t, "the good one arrives", func() bool { return set.Len() == 1 })
	if err := newBucket(t, broker.JS).Delete(t.Context(), "user.YWRh", 0); err != nil {
		t.Fatal(err)
	}
	until(t, "it is taken back", func() bool { return set.Len() == 0 })
}

// newBucket looks at the bucket from outside.
func newBucket(t testing.TB, js jetstream.JetStream) *nats.Documents[auth.Revocation] {
	t.Helper()
	docs, err := nats.NewDocuments[auth.Revocation](js, nats.BucketRevocations, nil)
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func TestRevocations_AreForgottenByTheBroker(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	stream, err := broker.JS.Stream(t.Context(), "KV_"+nats.BucketRevocations)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if cfg.MaxAge != time.Hour || cfg.MaxMsgs != 100_000 || cfg.Discard != jetstream.DiscardOld || cfg.MaxMsgsPerSubject != 1 {
		t.Errorf("the bucket keeps %d for %v, discards %v, %d of each", cfg.MaxMsgs, cfg.MaxAge, cfg.Discard, cfg.MaxMsgsPerSubject)
	}
	if changes, err := nats.Provision(t.Context(), broker.JS, nats.Topology{Kinds: natstest.Kinds(), InMemory: true}); err != nil || len(changes) != 0 {
		t.Errorf("provisioning it again changes %q, %v", changes, err)
	}
}

func TestRevocations_SayThatTheBucketIsMissing(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	if err := broker.JS.DeleteStream(t.Context(), "KV_"+nats.BucketRevocations); err != nil {
		t.Fatal(err)
	}
	if err := newRevocations(t, broker.JS).Run(t.Context(), auth.NewRevocations(), nil); err == nil {
		t.Error("it follows a bucket that does not exist")
	}
}
