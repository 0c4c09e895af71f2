package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/redis/redistest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// A hundred clients ask for the same review at once, and two workers ask the model once. Without caches it is asked a hundred times.
func TestCaches_AHundredClientsCostOneCall(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env   string
		calls int
	}{
		"On":      {"LLM_CACHE=semantic", 1},
		"Control": {"LLM_CACHE=off", 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRush(t, c.env)
			ids := r.submit("north", 100, "")
			close(r.release)
			hits := 0
			for _, got := range r.completed("north", ids) {
				if got.Provenance.CacheHit {
					hits++
					if u := got.Usage; u.Calls != 0 || u.InputTokens+u.OutputTokens != 0 || u.CostUSD != 0 || got.Provenance.Cache == "" {
						t.Errorf("a hit cost %+v, and is labelled %q", u, got.Provenance.Cache)
					}
				} else if got.Usage.Calls != 1 {
					t.Errorf("a task that asked has %+v", got.Usage)
				}
			}
			if n := r.calls(); n != c.calls || hits != 100-c.calls {
				t.Errorf("%d calls and %d hits, want %d and %d", n, hits, c.calls, 100-c.calls)
			}
			if c.calls > 1 {
				return
			}
			r.completed("north", r.submit("north", 1, `"cache":false,`))
			if n := r.calls(); n != 2 {
				t.Errorf("%d calls after a task that wants its own answer, want 2", n)
			}
			r.completed("south", r.submit("south", 2, ""))
			if n := r.calls(); n != 3 {
				t.Errorf("%d calls after another tenant's tasks, want one more: 3", n)
			}
		})
	}
}

// rush is a site with two workers and one Redis, whose model holds its answers back until release is closed.
type rush struct {
	*site
	secret  string
	body    string
	model   *llmtest.Server
	release chan struct{}
}

func newRush(t *testing.T, env string) *rush {
	t.Helper()
	all, err := kinds()
	if err != nil {
		t.Fatal(err)
	}
	review := all[slices.IndexFunc(all, func(k task.Kind) bool { return k.Name == "code_review" })]
	good := newAnswers()
	good.record(t, review.Name, review.Example)
	r := &rush{secret: strings.Repeat("s", 40), body: `{"kind":"code_review","input":` + string(review.Example) + `}`, release: make(chan struct{})}
	r.model = llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		<-r.release
		_, text := good.of(c)
		return llmtest.Reply{Text: text}
	})
	t.Cleanup(func() { r.open() })
	store := redistest.Start(t)
	r.site = newSite(t, pgtest.New(t), "SKIP_AUTH=false", "JWT_SECRET_KEY="+r.secret, "ENCRYPTION_KEY="+r.secret, "REDIS_URL="+store.URL, env,
		"EMBEDDING_MODEL=offline", "MAX_CONCURRENT_GENERATIONS=50", "TASK_ACK_WAIT=30s")
	r.api()
	for range 2 {
		r.role("worker", scripted(r.model)...)
	}
	return r
}

// open lets the model answer.
func (r *rush) open() {
	select {
	case <-r.release:
	default:
		close(r.release)
	}
}

// calls returns how often the model was asked.
func (r *rush) calls() int { return len(r.model.Calls()) }

// submit lets n clients of a tenant submit the same review at once.
func (r *rush) submit(tenant string, n int, more string) []string {
	r.t.Helper()
	header, ids := bearer(r.t, r.secret, tenant), make([]string, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			status, answer, err := r.request(http.MethodPost, "/api/v1/tasks", header, "{"+more+strings.TrimPrefix(r.body, "{"))
			var got submitted
			if err != nil || status != http.StatusAccepted || json.Unmarshal(answer.Data, &got) != nil {
				r.t.Errorf("submit: %d, %s, %v", status, answer.Message, err)
			}
			ids[i] = got.Task.ID
		})
	}
	group.Wait()
	if r.t.Failed() {
		r.t.FailNow()
	}
	return ids
}

// completed waits until the tasks are completed and returns them.
func (r *rush) completed(tenant string, ids []string) []task.Task {
	r.t.Helper()
	header, all := bearer(r.t, r.secret, tenant), make([]task.Task, len(ids))
	for i, id := range ids {
		eventually(r.t, "task "+id+" is completed", func() error {
			_, answer, err := r.request(http.MethodGet, "/api/v1/tasks/"+id, header, "")
			if err != nil {
				return err
			}
			if err := json.Unmarshal(answer.Data, &all[i]); err != nil {
				return err
			}
			if all[i].State == task.Failed {
				r.t.Fatalf("task %s failed: %+v", id, all[i].Failure)
			}
			if all[i].State != task.Completed {
				return errNotCompleted
			}
			return nil
		})
	}
	return all
}
