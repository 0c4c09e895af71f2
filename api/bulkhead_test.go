package api_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/task"
)

// heldList answers lists once it is let go.
type heldList struct {
	api.Tasks
	letGo chan struct{}
}

func (h heldList) List(ctx context.Context, _ task.Filter) (task.Page, error) {
	select {
	case <-h.letGo:
	case <-ctx.Done():
	}
	return task.Page{}, ctx.Err()
}

func TestBulkhead_QueuesAFewForAMomentAndRefusesTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		held := heldList{letGo: make(chan struct{})}
		k := newKit(t, func(c *api.Config) {
			held.Tasks = c.Tasks
			c.Tasks, c.Bulkheads = held, map[string]api.Bulkhead{"read": {Slots: 2, Queue: 1}}
		})
		id := k.submit().ID
		type outcome struct {
			got  answer
			took time.Duration
		}
		list := func(into chan<- outcome) {
			began := time.Now()
			got := k.raw(ask{method: "GET", path: "/api/v1/tasks"})
			into <- outcome{got, time.Since(began)}
		}
		served, queued := make(chan outcome, 2), make(chan outcome, 1)
		var wait sync.WaitGroup
		defer wait.Wait()
		for range 2 {
			wait.Go(func() { list(served) })
		}
		synctest.Wait()
		wait.Go(func() { list(queued) })
		synctest.Wait()

		refused := make(chan outcome, 1)
		list(refused)
		if o := <-refused; o.got.status != http.StatusServiceUnavailable || o.took != 0 || o.got.header.Get("Retry-After") != "1" {
			t.Errorf("beyond the queue: %d after %v, %v", o.got.status, o.took, o.got.header)
		}
		k.want(k.raw(ask{method: "POST", path: "/api/v1/tasks", body: goodItem}), http.StatusAccepted, "") // another group
		k.want(k.raw(ask{method: "GET", path: "/health/live", as: "-"}), http.StatusOK, "")
		k.want(k.raw(ask{method: "GET", path: "/api/v1/admin/audit", as: token(t, auth.Admin, "root")}), http.StatusOK, "")
		if o := <-queued; o.got.status != http.StatusServiceUnavailable || o.took != 500*time.Millisecond {
			t.Errorf("in the queue: %d after %v", o.got.status, o.took)
		}
		wait.Go(func() { list(queued) }) // this one gets the place that becomes free
		synctest.Wait()
		close(held.letGo)
		if o := <-queued; o.got.status != http.StatusOK {
			t.Errorf("with a place: %d", o.got.status)
		}
		for range 2 {
			if o := <-served; o.got.status != http.StatusOK {
				t.Errorf("served: %d", o.got.status)
			}
		}
		k.want(k.raw(ask{method: "GET", path: "/api/v1/tasks/" + id}), http.StatusOK, "") // the places are free
	})
}

func TestBulkhead_APanicLeavesItsPlace(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *api.Config) {
		c.Tasks, c.Bulkheads = broken{c.Tasks}, map[string]api.Bulkhead{"admin": {Slots: 1}}
	})
	for range 3 {
		got := k.raw(ask{method: "POST", path: "/api/v1/admin/dead-letters/x/discard", as: token(t, auth.Admin, "root")})
		k.want(got, http.StatusInternalServerError, "internal")
	}
}

func TestNew_ChecksBulkheads(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, bad := range []map[string]api.Bulkhead{{"reed": {Slots: 1}}, {"read": {}}, {"read": {Slots: 1, Queue: -1}}} {
		cfg := k.config
		cfg.Bulkheads = bad
		if _, err := api.New(cfg); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
