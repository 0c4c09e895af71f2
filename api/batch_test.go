package api_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

const goodItem = `{"kind":"quiz","input":` + quizInput + `}`

func (k *kit) batch(body, contentType string, header http.Header) (answer, api.Batch) {
	k.t.Helper()
	got := k.do(ask{method: "POST", path: "/api/v1/tasks/batch", body: body, contentType: contentType, header: header})
	if got.status != http.StatusMultiStatus {
		return got, api.Batch{}
	}
	return got, decode[api.Batch](k.t, got)
}

func TestBatch_GivesEachItemItsVerdict(t *testing.T) {
	t.Parallel()
	items := []struct {
		body, field string
		status      int
	}{
		{goodItem, "", 202},
		{`{"kind":"poem","input":{}}`, "kind", 400},
		{`{"kind":"quiz","input":{"subject":"x","objectives":[]}}`, "input.objectives", 400},
		{`{"kind":"quiz","kind":"quiz","input":` + quizInput + `}`, "kind", 400},
		{`{"kind":"quiz","input":` + quizInput + `,"when":"2999-01-01T00:00:00Z"}`, "when", 400},
		{`"quiz"`, "body", 400},
		{`null`, "body", 400},
		{`{"kind":"review","input":{"code":"` + strings.Repeat("x", 256<<10) + `"}}`, "body", 413},
		{`{"kind":"review","input":{"code":"a\u0000"}}`, "input.code", 400},
		{`{"kind":"generate_quiz","input":` + quizInput + `,"priority":"urgent","labels":{"a":"b"},"idempotency_key":"mine"}`, "", 202},
	}
	for _, contentType := range []string{"application/json", "application/x-ndjson"} {
		t.Run(contentType, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			bodies := make([]string, len(items))
			for i, item := range items {
				bodies[i] = item.body
			}
			body := "[" + strings.Join(bodies, ",\n") + "]"
			if contentType == "application/x-ndjson" {
				body = strings.Join(bodies, "\r\n\n") + "\n"
			}
			_, b := k.batch(body, contentType, nil)
			if b.Accepted != 2 || b.Rejected != len(items)-2 || len(b.Items) != len(items) {
				t.Fatalf("got %+v", b)
			}
			for i, v := range b.Items {
				if v.Index != i || v.Status != items[i].status || (v.Task == nil) != (items[i].field != "") {
					t.Errorf("item %d: got %+v, want %d", i, v, items[i].status)
					continue
				}
				if v.Task == nil {
					if v.Message == "" || v.Error.Details[0].Field != items[i].field {
						t.Errorf("item %d: got %q %+v, want %s", i, v.Message, v.Error, items[i].field)
					}
					continue
				}
				if stored, err := k.service.Get(t.Context(), "school", v.Task.ID); err != nil || stored.Kind != "quiz" || stored.UserID != "ada" || v.Task.Input != nil {
					t.Errorf("item %d: %+v, %v", i, stored, err)
				}
			}
		})
	}
}

func TestBatch_ABadLineIsOneBadItem(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	_, b := k.batch(goodItem+"\n{\"kind\":\n\xff\n"+goodItem, "application/x-ndjson", nil)
	if b.Accepted != 2 || b.Rejected != 2 || b.Items[1].Status != 400 || b.Items[2].Status != 400 {
		t.Errorf("got %+v", b)
	}
	got, _ := k.batch("["+goodItem+`,{"kind":]`, "application/json", nil)
	k.want(got, http.StatusBadRequest, "invalid")
	k.wantDetail(got, "body", "is not a JSON array")
}

func TestBatch_CanBeRepeated(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	body := "[" + goodItem + "," + goodItem + `,{"kind":"quiz","input":` + quizInput + `,"idempotency_key":"mine"}]`
	key := http.Header{"Idempotency-Key": {"monday"}}
	_, first := k.batch(body, "", key)
	_, again := k.batch(body, "", key)
	ids := map[string]bool{}
	for i := range first.Items {
		ids[first.Items[i].Task.ID] = true
		if first.Items[i].Status != 202 || again.Items[i].Status != 200 || again.Items[i].Task.ID != first.Items[i].Task.ID {
			t.Errorf("item %d: %+v, then %+v", i, first.Items[i], again.Items[i])
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d tasks, want 3", len(ids))
	}
	single := k.do(ask{method: "POST", path: "/api/v1/tasks", body: goodItem, header: http.Header{"Idempotency-Key": {"mine"}}})
	k.want(single, http.StatusOK, "")
	_, without := k.batch("["+goodItem+","+goodItem+"]", "", nil)
	if without.Items[0].Task.ID == without.Items[1].Task.ID {
		t.Error("without a key two items share a task")
	}
}

func TestBatch_BoundsItsSize(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	of := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(goodItem+",", n), ",") + "]" }
	if _, b := k.batch(of(1000), "", nil); b.Accepted != 1000 {
		t.Errorf("1,000 items: %d accepted", b.Accepted)
	}
	for _, body := range []string{of(1001), "[]"} {
		got, _ := k.batch(body, "", nil)
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, "body", "must have 1 to 1000")
	}
	for _, body := range []string{strings.Repeat(goodItem+"\n", 1001), "\n\n"} {
		got, _ := k.batch(body, "application/x-ndjson", nil)
		k.wantDetail(got, "body", "must have 1 to 1000")
	}
	for _, contentType := range []string{"", "application/x-ndjson"} {
		r := k.request(ask{method: "POST", path: "/api/v1/tasks/batch", body: "[" + strings.Repeat(" ", 8<<20) + goodItem + "]", contentType: contentType})
		k.want(k.serve(r), http.StatusRequestEntityTooLarge, "too_large")
		r = k.request(ask{method: "POST", path: "/api/v1/tasks/batch", body: "[" + strings.Repeat(" ", 8<<20) + goodItem + "]", contentType: contentType})
		r.ContentLength = -1
		got := k.serve(r)
		k.want(got, http.StatusRequestEntityTooLarge, "too_large")
		k.wantDetail(got, "body", "8388608")
	}
	got, _ := k.batch("", "", nil)
	k.wantDetail(got, "body", "0 items")
}

func TestBatch_OneOutageIsEnough(t *testing.T) {
	t.Parallel()
	tries := &countingOutage{}
	k := newKit(t, func(c *api.Config) { tries.Tasks = c.Tasks; c.Tasks = tries })
	_, b := k.batch("["+strings.TrimSuffix(strings.Repeat(goodItem+",", 500), ",")+"]", "", nil)
	if b.Rejected != 500 || b.Items[499].Status != http.StatusServiceUnavailable || !b.Items[499].Error.Retryable {
		t.Errorf("got %d rejected, the last %+v", b.Rejected, b.Items[499])
	}
	if tries.n > 32 {
		t.Errorf("%d items were tried on a service that is away", tries.n)
	}
}

func TestBatch_WorksOnAFewItemsAtATime(t *testing.T) {
	t.Parallel()
	gauge := &concurrency{gate: make(chan struct{})}
	k := newKit(t, func(c *api.Config) { gauge.Tasks = c.Tasks; c.Tasks = gauge })
	_, b := k.batch("["+strings.TrimSuffix(strings.Repeat(goodItem+",", 200), ",")+"]", "", nil)
	if b.Accepted != 200 || gauge.most != 16 {
		t.Errorf("%d accepted, at most %d at a time, want 200 and 16", b.Accepted, gauge.most)
	}
}

// countingOutage is away, and counts who asks.
type countingOutage struct {
	api.Tasks
	mu sync.Mutex
	n  int
}

func (c *countingOutage) Submit(context.Context, task.Submission) (task.Task, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return task.Task{}, false, fault.After(0, "the broker is away")
}

// concurrency lets submissions pass once as many are in it as ever will be.
type concurrency struct {
	api.Tasks
	mu        sync.Mutex
	now, most int
	gate      chan struct{}
}

func (c *concurrency) Submit(ctx context.Context, sub task.Submission) (task.Task, bool, error) {
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	if c.now == 16 && c.gate != nil {
		close(c.gate)
		c.gate = nil
	}
	gate := c.gate
	c.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	defer func() {
		c.mu.Lock()
		c.now--
		c.mu.Unlock()
	}()
	return c.Tasks.Submit(ctx, sub)
}

func TestBatch_GoldenBody(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	got, _ := k.batch("["+goodItem+`,{"kind":"poem","input":{}}]`, "", nil)
	golden(t, "batch", got.raw)
}
