package callback_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/callback"
)

func TestRunner_TriesForADayThenDiesAndIsReplayed(t *testing.T) {
	t.Parallel()
	r := receive(t, status(http.StatusInternalServerError))
	k := newKit(t, r)
	_, secret := k.endpoint(r.url("/"), events.TypeCompleted)
	k.finish("task-1", "")
	began := k.clock.Now()
	var waits []time.Duration
	for tries := 0; ; tries++ {
		if n := k.round(); n != 1 || tries > 200 {
			t.Fatalf("try %d: %d deliveries are due at %s", tries, n, k.clock.Now())
		}
		d := k.only()
		if d.State == callback.Dead {
			break
		}
		if n := k.round(); n != 0 {
			t.Fatalf("try %d: tried again before its time", tries)
		}
		waits = append(waits, d.NextAt.Sub(k.clock.Now()))
		k.clock.move(*d.NextAt)
	}
	if took := k.clock.Now().Sub(began); took != callback.RetryFor {
		t.Errorf("given up after %s", took)
	}
	if n := len(r.requests()); n < 15 || n > 100 {
		t.Errorf("%d tries in a day", n)
	}
	for i, wait := range waits {
		if wait < time.Second || wait > callback.Backoff(i+1, 0, 1) {
			t.Errorf("wait %d is %s", i, wait)
		}
	}
	t.Logf("%d tries; the first waits are %s", len(r.requests()), waits[:min(8, len(waits))])
	dead := k.only()
	if dead.LastStatus != 500 || dead.FinishedAt == nil || dead.NextAt != nil {
		t.Errorf("the dead letter is %+v", dead)
	}
	k.clock.move(k.clock.Now().Add(24 * time.Hour))
	if n := k.round(); n != 0 {
		t.Error("a dead letter is tried")
	}

	r.answerWith(nil)
	must(t, k.service.Replay(t.Context(), tenant, dead.ID))
	if n := k.round(); n != 1 || k.only().State != callback.Delivered {
		t.Errorf("replayed: %d tries, %+v", n, k.only())
	}
	for _, got := range r.requests() {
		if err := verify(secret, got); err != nil || got.id != dead.ID || got.body != r.requests()[0].body {
			t.Errorf("id %s, want %s: %v", got.id, dead.ID, err)
		}
	}
	if first, last := r.requests()[0].at, r.requests()[len(r.requests())-1].at; last.Sub(first) < callback.RetryFor {
		t.Error("the timestamp is not that of the try")
	}
	if err := k.service.Replay(t.Context(), tenant, dead.ID); err == nil {
		t.Error("what was delivered is replayed")
	}
}

func TestRunner_ComesBackWhenItIsAskedTo(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{"3600": time.Hour, "999999": 6 * time.Hour, "date": 2 * time.Hour} {
		r := receive(t, nil)
		k := newKit(t, r)
		r.answerWith(func(w http.ResponseWriter, _ *http.Request) {
			text := header
			if text == "date" {
				text = k.clock.Now().Add(2*time.Hour + time.Second).UTC().Format(http.TimeFormat)
			}
			w.Header().Set("Retry-After", text)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		k.endpoint(r.url("/"), events.TypeCompleted)
		k.finish("task-1", "")
		k.round()
		if wait := k.only().NextAt.Sub(k.clock.Now()); wait < want || wait > want+11*time.Second {
			t.Errorf("%s: waits %s", header, wait)
		}
	}
}

func TestRunner_DisablesAnEndpointThatIsGone(t *testing.T) {
	t.Parallel()
	r := receive(t, status(http.StatusGone))
	k := newKit(t, r)
	k.runner = k.newRunner(callback.RunnerConfig{Senders: 1})
	id, _ := k.endpoint(r.url("/"))
	k.finish("task-1", r.url("/task"))
	k.finish("task-2", "")
	for k.round() > 0 {
	}
	e, err := k.service.Get(t.Context(), tenant, id)
	must(t, err)
	if e.State != callback.Disabled || !strings.Contains(e.Reason, "410") || e.Version != 2 {
		t.Errorf("the endpoint is %+v", e)
	}
	all := k.log(callback.DeliveryFilter{})
	for _, d := range all {
		if d.State != callback.Dead {
			t.Errorf("left is %+v", d)
		}
	}
	if n := len(r.requests()); len(all) != 5 || n > 2 {
		t.Errorf("%d deliveries, %d requests", len(all), n)
	}
	k.finish("task-3", "")
	if n := k.round(); n != 0 {
		t.Error("a disabled endpoint is told something")
	}
	if _, err := k.service.ReplayDead(t.Context(), tenant, id); err == nil {
		t.Error("dead letters of a disabled endpoint are replayed")
	}

	r.answerWith(nil)
	_, err = k.service.Update(t.Context(), tenant, id, e.Version, callback.Spec{URL: r.url("/back")})
	must(t, err)
	n, err := k.service.ReplayDead(t.Context(), tenant, id)
	must(t, err)
	if n != 4 {
		t.Errorf("%d are replayed", n)
	}
	for k.round() > 0 {
	}
	if got := k.log(callback.DeliveryFilter{EndpointID: id, State: callback.Delivered}); len(got) != 4 {
		t.Errorf("delivered are %d", len(got))
	}
	if !slices.ContainsFunc(r.requests(), func(r request) bool { return r.path == "/back" }) {
		t.Error("the replay went to the old URL")
	}
}

// An answer of the old address must not disable the new one.
func TestRunner_GoneIsAboutTheURLThatAnswered(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	k := newKit(t, r)
	id, _ := k.endpoint(r.url("/old"), events.TypeCompleted)
	r.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := k.service.Update(context.Background(), tenant, id, 0, callback.Spec{URL: r.url("/new")}); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusGone)
	})
	k.finish("task-1", "")
	k.round()
	if e, err := k.service.Get(t.Context(), tenant, id); err != nil || e.State != callback.Active {
		t.Errorf("%+v, %v", e, err)
	}
}
