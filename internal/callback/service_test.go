package callback_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestService_NamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for name, spec := range map[string]callback.Spec{
		"url":         {URL: "https://localhost/"},
		"description": {URL: "https://hooks.example.org/", Description: strings.Repeat("é", callback.MaxDescription+1)},
		"events":      {URL: "https://hooks.example.org/", Events: []events.Type{events.TypeCompleted, events.TypeStep}},
		"all three":   {URL: "", Description: "a\x00b", Events: []events.Type{"x"}},
	} {
		_, _, err := k.service.Create(t.Context(), tenant, spec)
		fields := []string{name}
		if name == "all three" {
			fields = []string{"url", "description", "events"}
		}
		for _, field := range fields {
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), field+" ") {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
	if err := k.service.CheckURL("http://10.0.0.1/"); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "callback_url") {
		t.Errorf("got %v", err)
	}
	for _, overlap := range []time.Duration{-1, callback.MaxOverlap + 1} {
		if _, _, err := k.service.Rotate(t.Context(), tenant, "x", overlap); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "overlap") {
			t.Errorf("got %v", err)
		}
	}
	for _, f := range []callback.DeliveryFilter{{Limit: -1}, {Limit: callback.MaxPage + 1}, {State: "x"}, {Cursor: "x"}} {
		f.Tenant = tenant
		if _, err := k.service.Deliveries(t.Context(), f); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: got %v", f, err)
		}
	}
	for name, err := range map[string]error{
		"get": second(k.service.Get(t.Context(), tenant, "none")), "delete": k.service.Delete(t.Context(), tenant, "none"), "test": second(k.service.Test(t.Context(), tenant, "none")),
		"update":   second(k.service.Update(t.Context(), tenant, "none", 0, callback.Spec{URL: "https://hooks.example.org/"})),
		"delivery": second(k.service.Delivery(t.Context(), tenant, "none")), "replay": k.service.Replay(t.Context(), tenant, "none"), "replay all": second(k.service.ReplayDead(t.Context(), tenant, "none")),
	} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: got %v, want NotFound", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestService_KeepsEndpoints(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	made, secret, err := k.service.Create(t.Context(), tenant, callback.Spec{
		URL: "https://HOOKS.example.org/a?b=c", Description: " the library ", Events: []events.Type{events.TypeFailed, events.TypeCompleted, events.TypeFailed},
	})
	must(t, err)
	want := callback.Endpoint{
		ID: made.ID, Tenant: tenant, URL: "https://hooks.example.org/a?b=c", Description: "the library", Events: []events.Type{events.TypeCompleted, events.TypeFailed},
		State: callback.Active, CreatedAt: k.clock.Now().UTC(), UpdatedAt: k.clock.Now().UTC(), Version: 1, Secrets: made.Secrets,
	}
	got, err := k.service.Get(t.Context(), tenant, made.ID)
	must(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !strings.HasPrefix(secret, "whsec_") || strings.Contains(string(got.Secrets.Current), secret[6:]) {
		t.Errorf("the secret is %s", secret)
	}
	if _, err := k.service.Update(t.Context(), tenant, made.ID, 7, callback.Spec{URL: want.URL}); !fault.Is(err, fault.Conflict) {
		t.Errorf("another version: %v", err)
	}
	if _, err := k.service.Get(t.Context(), "other", made.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("another tenant's: %v", err)
	}
	var wins atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := k.service.Update(t.Context(), tenant, made.ID, 1, callback.Spec{URL: fmt.Sprintf("https://hooks.example.org/%d", i)}); err == nil {
				wins.Add(1)
			} else if !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := wins.Load(); n != 1 {
		t.Errorf("%d changes of one version won", n)
	}
	rotated, next, err := k.service.Rotate(t.Context(), tenant, made.ID, time.Hour)
	if err != nil || next == secret || rotated.RotatingUntil == nil || rotated.Version != 3 {
		t.Errorf("%+v, %v", rotated, err)
	}

	var created atomic.Int32
	for range 2 * callback.MaxEndpoints {
		wg.Go(func() {
			_, _, err := k.service.Create(t.Context(), tenant, callback.Spec{URL: "https://hooks.example.org/"})
			if err == nil {
				created.Add(1)
			} else if !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := k.service.List(t.Context(), tenant)
	must(t, err)
	if len(all) != callback.MaxEndpoints || created.Load() != callback.MaxEndpoints-1 || all[0].ID != made.ID {
		t.Errorf("%d endpoints, %d created", len(all), created.Load())
	}
	must(t, k.service.Delete(t.Context(), tenant, made.ID))
	if _, err := k.service.Get(t.Context(), tenant, made.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("deleted: %v", err)
	}
}

func TestService_DeletesAnEndpointWithItsLog(t *testing.T) {
	t.Parallel()
	r := receive(t, status(http.StatusTeapot))
	k := newKit(t, r)
	id, _ := k.endpoint(r.url("/"))
	keep, _ := k.endpoint(r.url("/keep"))
	for i := range 5 {
		k.finish(fmt.Sprint("task-", i), "")
	}
	k.round()
	must(t, k.service.Delete(t.Context(), tenant, id))
	if got := k.log(callback.DeliveryFilter{EndpointID: id}); len(got) != 0 {
		t.Errorf("left are %+v", got)
	}
	if got := k.log(callback.DeliveryFilter{EndpointID: keep}); len(got) != 10 {
		t.Errorf("of the other one %d are left", len(got))
	}
}

func TestService_TestsAnEndpointOnce(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	k := newKit(t, r)
	id, secret := k.endpoint(r.url("/"), events.TypeFailed)
	sent, err := k.service.Test(t.Context(), tenant, id)
	must(t, err)
	k.round()
	got := r.requests()
	if len(got) != 1 || got[0].id != sent.ID || verify(secret, got[0]) != nil || !strings.Contains(got[0].body, `"type":"callback.test"`) || !strings.Contains(got[0].body, id) {
		t.Errorf("got %+v", got)
	}
	r.answerWith(status(http.StatusNotFound))
	sent, err = k.service.Test(t.Context(), tenant, id)
	must(t, err)
	k.round()
	if d, err := k.service.Delivery(t.Context(), tenant, sent.ID); err != nil || d.State != callback.Dead || d.LastStatus != 404 {
		t.Errorf("got %+v, %v", d, err)
	}
	_, err = k.service.Update(t.Context(), tenant, id, 0, callback.Spec{URL: r.url("/"), Disabled: true})
	must(t, err)
	if _, err := k.service.Test(t.Context(), tenant, id); !fault.Is(err, fault.Conflict) {
		t.Errorf("a disabled one: %v", err)
	}
}

func TestService_ListsDeliveriesInPages(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	k := newKit(t, r)
	id, _ := k.endpoint(r.url("/"), events.TypeCompleted)
	for i := range 23 {
		k.finish(fmt.Sprint("task-", i), r.url("/task?token=x"))
		if i%3 == 0 {
			k.clock.move(k.clock.Now().Add(time.Second))
		}
	}
	for name, f := range map[string]callback.DeliveryFilter{"all": {}, "endpoint": {EndpointID: id}, "pending": {State: callback.Pending}, "task": {TaskID: "task-3"}, "none": {State: callback.Dead}} {
		f.Tenant = tenant
		want := map[string]int{"all": 46, "endpoint": 23, "pending": 46, "task": 2}[name]
		seen := map[string]bool{}
		last := time.Now().Add(time.Hour)
		for f.Limit = 5; ; {
			page, err := k.service.Deliveries(t.Context(), f)
			must(t, err)
			for _, d := range page.Deliveries {
				if seen[d.ID] || d.CreatedAt.After(last) || strings.Contains(d.URL, "token") {
					t.Errorf("%s: %+v comes out of turn, or twice", name, d)
				}
				seen[d.ID], last = true, d.CreatedAt
			}
			if f.Cursor = page.Next; f.Cursor == "" {
				break
			}
			other := f
			if other.EndpointID = "another"; second(k.service.Deliveries(t.Context(), other)) == nil {
				t.Errorf("%s: the cursor of another list is taken", name)
			}
		}
		if len(seen) != want {
			t.Errorf("%s: %d of %d", name, len(seen), want)
		}
	}
}

// The control of the test that two processes deliver nothing twice: without a lease both take it.
func TestClaim_WithoutALeaseTwoTakeTheSame(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.endpoint("https://hooks.example.org/", events.TypeCompleted)
	k.finish("task-1", "")
	for lease, want := range map[time.Duration]int{0: 2, time.Minute: 1} {
		got := 0
		for range 2 {
			got += k.claim(lease)
		}
		if got != want {
			t.Errorf("with a lease of %s it was taken %d times, want %d", lease, got, want)
		}
		k.clock.move(k.clock.Now().Add(time.Hour))
	}
}
