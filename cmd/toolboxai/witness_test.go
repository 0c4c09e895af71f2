package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
)

// witness sees every event of a site, in the order of the log.
type witness struct {
	t    *testing.T
	mu   sync.Mutex
	seen []events.Event
}

// witness watches the log until the test ends. It is there before the first task is.
func (s *site) witness() *witness {
	s.t.Helper()
	conn, js, err := nats.Connect(nats.ConnectConfig{URL: fmt.Sprintf("nats://127.0.0.1:%d", s.natsPort)})
	if err != nil {
		s.t.Fatal(err)
	}
	w := &witness{t: s.t}
	ctx, stop := context.WithCancel(context.Background())
	synced, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		err := nats.NewLog(js, nats.LogConfig{}).WatchSynced(ctx, func(e events.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen = append(w.seen, e)
		}, func() { close(synced) })
		if err != nil {
			s.t.Errorf("the log cannot be watched: %v", err)
		}
	}()
	s.t.Cleanup(func() {
		stop()
		<-ended
		conn.Close()
	})
	select {
	case <-synced:
	case <-ended:
	}
	return w
}

// all returns what was seen so far.
func (w *witness) all() []events.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// count returns how many events of a type there are, of one task or of all when id is empty.
func (w *witness) count(typ events.Type, id string) (n int) {
	for _, e := range w.all() {
		if e.Type == typ && (id == "" || e.Task == id) {
			n++
		}
	}
	return n
}

// first returns the first event of a type of a task once it is there.
func (w *witness) first(id string, typ events.Type) (found events.Event) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("task %s has a %s", id, typ), func() error {
		all := w.all()
		i := slices.IndexFunc(all, func(e events.Event) bool { return e.Task == id && e.Type == typ })
		if i < 0 {
			return fmt.Errorf("not among %d events", len(all))
		}
		found = all[i]
		return nil
	})
	return found
}

// reaches waits until there are so many events of a type.
func (w *witness) reaches(typ events.Type, n int) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%d times %s", n, typ), func() error {
		if got := w.count(typ, ""); got < n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
}

// lateness sends requests to a site until late is called, which returns how late a guarantee of time may be seen on this machine now: several
// times the slowest answer meanwhile, which is milliseconds on one that has nothing else to do.
func (s *site) lateness() (late func() time.Duration) {
	done, slowest := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		worst := time.Duration(0)
		for {
			began := time.Now()
			select {
			case <-done:
				slowest <- worst
				return
			case <-time.After(20 * time.Millisecond):
			}
			_ = s.get("/api/v1/agents", nil) // one that fails took its time, too
			worst = max(worst, time.Since(began))
		}
	}()
	late = sync.OnceValue(func() time.Duration {
		close(done)
		return 5 * <-slowest
	})
	s.t.Cleanup(func() { late() })
	return late
}

// mostAtOnce returns how many tasks ran at once at the most, by the log.
func mostAtOnce(all []events.Event) (most int) {
	running := map[string]bool{}
	for _, e := range all {
		switch e.Type {
		case events.TypeStarted:
			running[e.Task] = true
		case events.TypeCompleted, events.TypeFailed, events.TypeRetrying, events.TypeWaiting, events.TypeCancelled:
			delete(running, e.Task)
		}
		most = max(most, len(running))
	}
	return most
}

// lasting returns a script whose answers take so long each.
func lasting(answers *answers, each time.Duration) llmtest.Script {
	return func(c llmtest.Call) llmtest.Reply {
		_, text := answers.of(c)
		return llmtest.Reply{Text: text, Hold: after(each)}
	}
}

// after returns a channel that is closed after d.
func after(d time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	return done
}

// batch submits n tasks at once and returns their ids. body is that of one; more are fields that are put in front of its own.
func (s *site) batch(header map[string]string, n int, body, more string) (ids []string) {
	s.t.Helper()
	item := "{" + more + strings.TrimPrefix(body, "{")
	status, answer, err := s.request("POST", "/api/v1/tasks/batch", header, "["+strings.Repeat(item+",", n-1)+item+"]")
	if err != nil || status != http.StatusMultiStatus {
		s.t.Fatalf("batch: %d, %+v, %v", status, answer, err)
	}
	var got struct {
		Items []struct {
			Task task.Task `json:"task"`
		} `json:"items"`
	}
	if err := json.Unmarshal(answer.Data, &got); err != nil {
		s.t.Fatal(err)
	}
	for _, item := range got.Items {
		if item.Task.ID == "" {
			s.t.Fatalf("not every item is a task: %s", answer.Data)
		}
		ids = append(ids, item.Task.ID)
	}
	return ids
}

// submitWith submits the quiz with further fields in front of its own.
func (s *site) submitWith(more string) task.Task {
	s.t.Helper()
	return s.submitAs(nil, "{"+more+strings.TrimPrefix(quizBody, "{"))
}

func (s *site) submitAs(header map[string]string, body string) task.Task {
	s.t.Helper()
	var got submitted
	s.post(header, "/tasks", body, &got)
	return got.Task
}

// post sends a request that has to succeed.
func (s *site) post(header map[string]string, path, body string, out any) {
	s.t.Helper()
	s.do("POST", header, path, body, out)
}

func (s *site) do(method string, header map[string]string, path, body string, out any) {
	s.t.Helper()
	status, answer, err := s.request(method, "/api/v1"+path, header, body)
	if err != nil || status >= 300 {
		s.t.Fatalf("%s %s: %d, %s %+v, %v", method, path, status, answer.Message, answer.Error, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(answer.Data, out); err != nil {
		s.t.Fatal(err)
	}
}

// changePolicy reads the policy, edits it and puts it in its place.
func (s *site) changePolicy(edit func(*policy.Policy)) {
	s.t.Helper()
	var p policy.Policy
	s.do("GET", nil, "/admin/policy", "", &p)
	edit(&p)
	body, err := json.Marshal(p)
	if err != nil {
		s.t.Fatal(err)
	}
	s.do("PUT", nil, "/admin/policy", string(body), nil)
}

// explained waits until the platform gives a reason of this kind for where a task is.
func (s *site) explained(id string, want task.Reason) task.Explanation {
	s.t.Helper()
	var x task.Explanation
	eventually(s.t, fmt.Sprintf("task %s is explained as %s", id, want), func() error {
		x = task.Explanation{}
		if err := s.get("/api/v1/tasks/"+id+"/explain", &x); err != nil {
			return err
		}
		if x.Code != want {
			return fmt.Errorf("it is %s: %s", x.Code, x.Message)
		}
		return nil
	})
	return x
}

// serves waits until the dispatcher knows of workers that have so many slots for a kind. It has nobody else's word for that than its own.
func (s *site) serves(kind string, slots int) {
	s.t.Helper()
	want := fmt.Sprintf("toolboxai_kind_slots{kind=%q} %d\n", kind, slots)
	eventually(s.t, "the dispatcher knows of its workers", func() error {
		res, err := http.Get(s.base + "/metrics")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err == nil && !strings.Contains(string(text), want) {
			err = fmt.Errorf("no %q", want)
		}
		return err
	})
}

// says waits until a process has said something.
func (p *process) says(what string) {
	p.t.Helper()
	eventually(p.t, p.name+" says "+what, func() error {
		select {
		case <-p.ended:
			return fmt.Errorf("it has ended: %w", p.err)
		default:
		}
		if !contains(p.output.String(), what) {
			return fmt.Errorf("not yet")
		}
		return nil
	})
}
