package api_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

const deadLetters = "/api/v1/admin/dead-letters"

// admin asks as an admin.
func (k *kit) admin(method, path, body string) answer {
	k.t.Helper()
	return k.do(ask{method: method, path: path, body: body, as: token(k.t, auth.Admin, "root")})
}

// deadLettersOf makes n dead letters of cause bug and returns their ids, oldest first.
func (k *kit) deadLettersOf(n int) []string {
	k.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = k.submit().ID
		k.fail(ids[i], events.CauseBug)
	}
	return ids
}

// What is tried is on record, whatever it was tried on.
func TestDeadLetters_ATryOnWhatCannotBeIsOnRecord(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := strings.Repeat("x", 2000)
	k.want(k.admin("POST", deadLetters+"/"+id+"/discard", ""), http.StatusNotFound, "not_found")
	if n := len(k.engine.entries); n != 1 {
		t.Fatalf("%d entries are on record", n)
	}
	if err := k.engine.entries[0].Check(); err != nil {
		t.Errorf("the recorder would refuse it: %v", err)
	}
}

func TestDeadLetters_ListAndGet(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	bug := k.deadLettersOf(2)
	provider := k.submit().ID
	k.fail(provider, events.CauseProvider)
	alive := k.submit().ID
	for query, want := range map[string][]string{
		"":                                     {provider, bug[1], bug[0]},
		"?cause=bug":                           {bug[1], bug[0]},
		"?cause=bug&cause=provider":            {provider, bug[1], bug[0]},
		"?kind=review":                         nil,
		"?tenant=school&limit=1":               {provider},
		"?created_before=2001-01-01T00:00:00Z": nil,
	} {
		got := k.admin("GET", deadLetters+query, "")
		k.want(got, http.StatusOK, "")
		var ids []string
		for _, d := range decode[api.TaskPage](t, got).Tasks {
			ids = append(ids, d.ID)
		}
		if !slices.Equal(ids, want) {
			t.Errorf("%q: got %v, want %v", query, ids, want)
		}
	}
	got := k.admin("GET", deadLetters+"?cause=weather", "")
	k.want(got, http.StatusBadRequest, "invalid")
	k.wantDetail(got, "cause[0]", "'bug'")
	d := decode[task.Task](t, k.admin("GET", deadLetters+"/"+provider, ""))
	if d.Failure == nil || d.Failure.Cause != events.CauseProvider || string(d.Input) != quizInput {
		t.Errorf("got %+v", d)
	}
	k.want(k.admin("GET", deadLetters+"/"+alive, ""), http.StatusNotFound, "not_found")
}

func TestDeadLetters_Replay(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	ids := k.deadLettersOf(3)
	got := k.admin("POST", deadLetters+"/"+ids[0]+"/replay", "")
	k.want(got, http.StatusAccepted, "")
	if r := decode[task.Task](t, got); r.State != task.Queued || r.Dispatch != 2 || r.Replay.By != "root" || r.Replay.Edited {
		t.Errorf("got %+v", r)
	}
	if got.header.Get("Location") != "/api/v1/tasks/"+ids[0] {
		t.Errorf("Location %q", got.header.Get("Location"))
	}
	k.want(k.admin("POST", deadLetters+"/"+ids[0]+"/replay", ""), http.StatusConflict, "conflict")
	edited := k.admin("POST", deadLetters+"/"+ids[1]+"/replay", `{"reason":"typo","input":{"subject":"Art","objectives":["a"]}}`)
	if r := decode[task.Task](t, edited); !r.Replay.Edited || r.Replay.Reason != "typo" || !strings.Contains(string(r.Input), "Art") {
		t.Errorf("got %+v", r)
	}
	for body, field := range map[string]string{
		`{"input":{"subject":""}}`: "input.subject", `{"input":[]}`: "input", `{"reason":"` + strings.Repeat("x", 501) + `"}`: "reason", `{"why":1}`: "why", `[]`: "body",
	} {
		bad := k.admin("POST", deadLetters+"/"+ids[2]+"/replay", body)
		k.want(bad, http.StatusBadRequest, "invalid")
		k.wantDetail(bad, field, "")
	}
	k.want(k.admin("GET", deadLetters+"/"+ids[2], ""), http.StatusOK, "")
}

func TestDeadLetters_OfManyWhoReplayOneSucceeds(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.deadLettersOf(1)[0]
	var accepted, conflicts atomic.Int32
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			switch got := k.raw(ask{method: "POST", path: deadLetters + "/" + id + "/replay", as: token(t, auth.Admin, "root")}); got.status {
			case http.StatusAccepted:
				accepted.Add(1)
			case http.StatusConflict:
				conflicts.Add(1)
			default:
				t.Errorf("got %d %s", got.status, got.raw)
			}
		})
	}
	wait.Wait()
	if accepted.Load() != 1 || conflicts.Load() != 15 {
		t.Errorf("%d accepted, %d conflicts", accepted.Load(), conflicts.Load())
	}
}

func TestDeadLetters_Discard(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	ids := k.deadLettersOf(2)
	got := k.admin("POST", deadLetters+"/"+ids[0]+"/discard", `{"reason":"test data"}`)
	k.want(got, http.StatusOK, "")
	if d := decode[task.Task](t, got); d.Discard == nil || d.Discard.By != "root" || d.Discard.Reason != "test data" {
		t.Errorf("got %+v", d)
	}
	k.want(k.admin("POST", deadLetters+"/"+ids[0]+"/discard", ""), http.StatusOK, "")
	k.want(k.admin("POST", deadLetters+"/"+ids[0]+"/replay", ""), http.StatusConflict, "conflict")
	k.want(k.admin("GET", deadLetters+"/"+ids[0], ""), http.StatusNotFound, "not_found")
	k.want(k.admin("POST", deadLetters+"/"+k.submit().ID+"/discard", "{}"), http.StatusConflict, "conflict")
}

func TestReplayByFilter_DryRunChangesNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	ids := k.deadLettersOf(3)
	got := k.admin("POST", deadLetters+"/replay", `{"dry_run":true,"causes":["bug"],"max":2}`)
	k.want(got, http.StatusOK, "")
	r := decode[api.ReplayReport](t, got)
	if r.Matched != 2 || !r.More || r.Replayed != 0 || !r.Complete || r.Items[0].TaskID != ids[2] || r.Items[0].Outcome != "would_replay" {
		t.Errorf("got %+v", r)
	}
	for _, id := range ids {
		k.want(k.admin("GET", deadLetters+"/"+id, ""), http.StatusOK, "")
	}
}

func TestReplayByFilter_KeepsTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.deadLettersOf(7)
		began := time.Now()
		r := decode[api.ReplayReport](t, k.admin("POST", deadLetters+"/replay", `{"rate":2,"max":5,"reason":"fixed"}`))
		if took := time.Since(began); took < 2*time.Second || took > 2*time.Second+100*time.Millisecond {
			t.Errorf("5 replays at 2 a second took %v, want 2 s", took)
		}
		if r.Replayed != 5 || r.Matched != 5 || !r.More || !r.Complete || len(r.Items) != 5 {
			t.Errorf("got %+v", r)
		}
		rest := decode[api.ReplayReport](t, k.admin("POST", deadLetters+"/replay", `{}`))
		if rest.Replayed != 2 || rest.More {
			t.Errorf("got %+v", rest)
		}
	})
}

func TestReplayByFilter_BoundsItself(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for body, field := range map[string]string{
		`{"max":501}`: "max", `{"max":0}`: "max", `{"rate":0}`: "rate", `{"rate":0.01}`: "rate", `{"rate":101}`: "rate", `{"rate":1,"max":61}`: "rate",
		`{"max":1.5}`: "max", `{"kinds":["poem"]}`: "kind", `{"causes":["weather"]}`: "causes[0]", `{"dry_run":"yes"}`: "dry_run", `{"kind":"quiz"}`: "kind", ``: "body",
	} {
		got := k.admin("POST", deadLetters+"/replay", body)
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, field, "")
	}
	k.want(k.admin("POST", deadLetters+"/replay", `{"rate":1,"max":60,"kinds":["generate_quiz"]}`), http.StatusOK, "")
}

func TestReplayByFilter_WalksAllPages(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.deadLettersOf(205)
	r := decode[api.ReplayReport](t, k.admin("POST", deadLetters+"/replay", `{"dry_run":true,"max":500}`))
	seen := map[string]bool{}
	for _, i := range r.Items {
		seen[i.TaskID] = true
	}
	if r.Matched != 205 || len(seen) != 205 || r.More {
		t.Errorf("matched %d, %d different, more %t", r.Matched, len(seen), r.More)
	}
}

func TestReplayByFilter_SaysWhatBecameOfEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		moody := &moodyReplay{errs: []error{nil, fault.New(fault.Conflict, "decided a moment ago"), fault.New(fault.Invalid, "no such kind any more"), fault.After(0, "away")}}
		k := newKit(t, func(c *api.Config) { moody.Tasks = c.Tasks; c.Tasks = moody })
		k.deadLettersOf(6)
		r := decode[api.ReplayReport](t, k.admin("POST", deadLetters+"/replay", `{}`))
		var outcomes []string
		for _, i := range r.Items {
			outcomes = append(outcomes, i.Outcome+" "+i.Message)
		}
		want := []string{"replayed ", "skipped decided a moment ago", "failed no such kind any more", "failed away"}
		if !slices.Equal(outcomes, want) || r.Complete || r.Replayed != 1 || r.Skipped != 1 || r.Failed != 2 || r.Matched != 6 {
			t.Errorf("got %v, %+v", outcomes, r)
		}
	})
}

func TestReplayByFilter_StopsWhenTheClientIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.deadLettersOf(10)
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		got := k.serve(k.request(ask{method: "POST", path: deadLetters + "/replay", body: `{"rate":1,"max":10}`, as: token(t, auth.Admin, "root")}).WithContext(ctx))
		if r := decode[api.ReplayReport](t, got); r.Replayed != 3 || r.Complete {
			t.Errorf("got %+v, want 3 replayed and not complete", r)
		}
		left := decode[api.TaskPage](t, k.admin("GET", deadLetters, ""))
		if len(left.Tasks) != 7 {
			t.Errorf("%d dead letters are left, want 7", len(left.Tasks))
		}
	})
}

// moodyReplay answers each replay with the next of its errors.
type moodyReplay struct {
	api.Tasks
	errs []error
}

func (m *moodyReplay) Replay(ctx context.Context, tenant, id string, req task.ReplayRequest) (task.Task, error) {
	if len(m.errs) == 0 {
		return task.Task{}, fmt.Errorf("one replay too many")
	}
	err := m.errs[0]
	m.errs = m.errs[1:]
	if err != nil {
		return task.Task{}, err
	}
	return m.Tasks.Replay(ctx, tenant, id, req)
}
