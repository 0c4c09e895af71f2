package callback_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/callback"
)

func TestRunner_SendsASignedThinMessage(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	k := newKit(t, r)
	id, secret := k.endpoint(r.url("/endpoint"), events.TypeCompleted)
	end := k.finish("task-1", r.url("/task?token=t"))
	if n := k.round(); n != 2 {
		t.Fatalf("%d tries", n)
	}
	secrets, err := k.service.TaskSecrets(t.Context(), tenant)
	must(t, err)
	for path, secret := range map[string]string{"/endpoint": secret, "/task": secrets[0]} {
		i := slices.IndexFunc(r.requests(), func(r request) bool { return r.path == path })
		if i < 0 {
			t.Fatalf("nothing came to %s", path)
		}
		got := r.requests()[i]
		if err := verify(secret, got); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if got.at.Sub(k.clock.Now()).Abs() > time.Second || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: sent at %s as %s", path, got.at, got.header.Get("Content-Type"))
		}
		var body any
		must(t, json.Unmarshal([]byte(got.body), &body))
		want := map[string]any{
			"type": "task.completed", "timestamp": end.Time.UTC().Format(time.RFC3339Nano),
			"data": map[string]any{
				"task_id": "task-1", "kind": "quiz", "state": "completed", "seq": float64(end.Seq), "tenant_id": tenant,
				"labels": map[string]any{"class": "8b"}, "url": "https://toolbox.example/api/v1/tasks/task-1",
			},
		}
		if d := cmp.Diff(want, body); d != "" {
			t.Errorf("%s: %s", path, d)
		}
	}
	if verify(secret, r.requests()[0]) == nil && verify(secrets[0], r.requests()[0]) == nil {
		t.Error("one secret signs both")
	}
	for _, d := range k.log(callback.DeliveryFilter{}) {
		if d.State != callback.Delivered || d.Attempt != 1 || d.LastStatus != 204 || d.FinishedAt == nil || d.NextAt != nil || strings.Contains(d.URL, "token") {
			t.Errorf("the log has %+v", d)
		}
	}
	if got := k.log(callback.DeliveryFilter{EndpointID: id}); len(got) != 1 {
		t.Errorf("the endpoint's log has %+v", got)
	}
	if n := k.round(); n != 0 {
		t.Errorf("%d more", n)
	}
}

func TestPlanner_TellsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	k := newKit(t, r)
	before := k.event(tenant, "early", queued(r.url("/task")))
	k.clock.move(k.clock.Now().Add(time.Minute))
	k.endpoint(r.url("/all"))
	k.endpoint(r.url("/some"), events.TypeFailed, events.TypeCompleted)
	off, _ := k.endpoint(r.url("/off"))
	_, err := k.service.Update(t.Context(), tenant, off, 0, callback.Spec{URL: r.url("/off"), Disabled: true})
	must(t, err)
	k.endpointOf("other", r.url("/other"))
	must(t, k.planner.Plan(t.Context(), before))
	var batch []events.Event
	for _, p := range []events.Payload{
		queued(r.url("/task")), events.Started{Attempt: 1, Dispatch: 1}, events.Step{Attempt: 1}, events.Retrying{Attempt: 1}, events.Waiting{Attempt: 2}, events.Signalled{Name: "x"},
		events.Failed{Attempts: 3}, events.Discarded{By: "a"}, events.Cancelled{By: "a"}, events.Completed{Attempt: 1}, events.Progress{},
	} {
		batch = append(batch, k.event(tenant, "task-1", p))
	}
	unknown := batch[0]
	unknown.ID, unknown.Type = "x", "task.invented"
	must(t, k.planner.Plan(t.Context(), append(batch, unknown)...))
	for k.round() > 0 {
	}
	got := map[string][]string{}
	for _, r := range r.requests() {
		var m struct{ Type, Data any }
		must(t, json.Unmarshal([]byte(r.body), &m))
		got[r.path] = append(got[r.path], m.Type.(string))
	}
	for path := range got {
		slices.Sort(got[path])
	}
	want := map[string][]string{
		"/all":  {"task.cancelled", "task.completed", "task.discarded", "task.failed", "task.queued", "task.retrying", "task.started", "task.waiting"},
		"/some": {"task.completed", "task.failed"},
		"/task": {"task.cancelled", "task.completed", "task.discarded", "task.failed"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A planner that starts anew, or gets a batch again, plans nothing new: not while deliveries wait, and not when they are done.
func TestPlanner_PlansOnceHoweverOftenItIsTold(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	k := newKit(t, r)
	k.endpoint(r.url("/all"))
	var batch []events.Event
	for i := range 20 {
		task := fmt.Sprint("task-", i)
		batch = append(batch, k.event(tenant, task, queued(r.url("/task"))), k.event(tenant, task, events.Completed{Attempt: 1}))
	}
	for range 2 {
		for range 3 {
			other, err := callback.NewPlanner(callback.PlannerConfig{Feed: noFeed{}, Lookup: k.history, Queue: k.store, Allow: k.allow, Now: k.clock.Now})
			must(t, err)
			must(t, other.Plan(t.Context(), batch...))
			must(t, other.Plan(t.Context(), batch[7:]...))
		}
		for k.round() > 0 {
		}
	}
	ids := map[string]bool{}
	for _, r := range r.requests() {
		ids[r.id] = true
	}
	if n := len(r.requests()); n != 60 || len(ids) != 60 {
		t.Errorf("%d requests with %d ids, want 60", n, len(ids))
	}
}

func TestRunner_SignsWithBothSecretsWhileOneRotates(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	k := newKit(t, r)
	id, old := k.endpoint(r.url("/"), events.TypeCompleted)
	_, next, err := k.service.Rotate(t.Context(), tenant, id, time.Hour)
	must(t, err)
	secrets, err := k.service.TaskSecrets(t.Context(), tenant)
	must(t, err)
	ofTasks, err := k.service.RotateTaskSecret(t.Context(), tenant, time.Hour)
	must(t, err)
	check := func(both bool) {
		t.Helper()
		for _, got := range r.requests()[len(r.requests())-2:] {
			previous, present := old, next
			if got.path == "/task" {
				previous, present = secrets[0], ofTasks
			}
			if err := verify(present, got); err != nil {
				t.Error(err)
			}
			if err := verify(previous, got); (err == nil) != both || strings.Count(got.signature, "v1,") != 1+strings.Count(fmt.Sprint(both), "true") {
				t.Errorf("the old secret: %v, signatures %s", err, got.signature)
			}
		}
	}
	k.finish("task-1", r.url("/task"))
	k.round()
	check(true)
	k.clock.move(k.clock.Now().Add(time.Hour))
	k.finish("task-2", r.url("/task"))
	k.round()
	check(false)
	if e, err := k.service.Get(t.Context(), tenant, id); err != nil || e.RotatingUntil != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestRunner_BuriesAndPurges(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	k := newKit(t, r)
	k.endpoint(r.url("/"), events.TypeCompleted)
	k.finish("late", "")
	k.clock.move(k.clock.Now().Add(callback.RetryFor + 2*time.Hour))
	must(t, k.runner.SweepOnce(t.Context()))
	if d := k.only(); d.State != callback.Dead || !strings.Contains(d.LastError, "time was over") {
		t.Errorf("got %+v", d)
	}
	if s := k.runner.Stats(); s.Dead != 1 || s.Pending != 0 || s.GaveUp != 1 {
		t.Errorf("stats %+v", s)
	}
	must(t, k.service.Replay(t.Context(), tenant, k.only().ID))
	end := k.finish("new", "")
	k.clock.move(k.clock.Now().Add(time.Minute))
	must(t, k.runner.SweepOnce(t.Context()))
	if s := k.runner.Stats(); s.Pending != 2 || s.Dead != 0 || s.Lag < time.Minute {
		t.Errorf("stats %+v", s)
	}
	k.round()
	k.clock.move(k.clock.Now().Add(callback.Retention - 24*time.Hour - time.Hour))
	must(t, k.runner.SweepOnce(t.Context()))
	if d := k.only(); d.TaskID != "new" {
		t.Errorf("kept is %+v", d)
	}
	k.clock.move(k.clock.Now().Add(48 * time.Hour))
	must(t, k.runner.SweepOnce(t.Context()))
	if got := k.log(callback.DeliveryFilter{}); len(got) != 0 {
		t.Errorf("kept are %+v", got)
	}
	// What is forgotten is not planned anew.
	must(t, k.planner.Plan(t.Context(), end))
	if got := k.log(callback.DeliveryFilter{}); len(got) != 0 {
		t.Errorf("planned again: %+v", got)
	}
}
