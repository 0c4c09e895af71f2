package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

// news is a log of many tasks in memory.
type news struct {
	mu      sync.Mutex
	all     []events.Event
	first   uint64        // what is before it is gone
	changed chan struct{} // closed and replaced
	torn    error         // why readers end
}

func newNews() *news { return &news{changed: make(chan struct{})} }

func (n *news) change(do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	do()
	close(n.changed)
	n.changed = make(chan struct{})
}

// tell adds an event of a task.
func (n *news) tell(t testing.TB, tenant, id string, p events.Payload) {
	t.Helper()
	e := tasktest.Event(t, tenant, id, p)
	n.change(func() {
		e.Seq = n.headLocked() + 1
		n.all = append(n.all, e)
	})
}

func (n *news) headLocked() uint64 {
	if len(n.all) == 0 {
		return 0
	}
	return n.all[len(n.all)-1].Seq
}

func (n *news) since(tenant string, after uint64) (found []events.Event, changed <-chan struct{}, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.torn != nil {
		return nil, nil, n.torn
	}
	if after > 0 && after+1 < n.first || after > n.headLocked() {
		return nil, nil, fault.New(fault.NotFound, "history is gone")
	}
	for _, e := range n.all {
		if e.Tenant == tenant && e.Seq > after {
			found = append(found, e)
		}
	}
	return found, n.changed, nil
}

func (n *news) Head(context.Context) (uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.headLocked(), nil
}

func (n *news) History(_ context.Context, tenant string, after uint64, limit int) ([]events.Event, uint64, bool, error) {
	found, _, err := n.since(tenant, after)
	if err != nil {
		return nil, 0, false, err
	}
	if len(found) > limit {
		return found[:limit], found[limit-1].Seq, true, nil
	}
	head, _ := n.Head(context.Background())
	return found, head, false, nil
}

func (n *news) Tenant(ctx context.Context, tenant string, after uint64) (<-chan events.Event, func() error, error) {
	return n.read(ctx, tenant, "", after)
}

func (n *news) read(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, func() error, error) {
	if after == math.MaxUint64 {
		after, _ = n.Head(ctx)
	}
	if _, _, err := n.since(tenant, after); err != nil {
		return nil, nil, err
	}
	out := make(chan events.Event)
	var ended error
	go func() {
		defer close(out)
		for {
			found, changed, err := n.since(tenant, after)
			if ended = err; err != nil {
				return
			}
			for _, e := range found {
				if id != "" && e.Task != id {
					continue
				}
				select {
				case out <- e:
					after = e.Seq
				case <-ctx.Done():
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, func() error { return ended }, nil
}

// withNews returns a kit whose log of many tasks is n.
func withNews(t testing.TB) (*kit, *news) {
	n := newNews()
	return newKit(t, func(c *api.Config) { c.News = n }), n
}

func (n *news) queued(t testing.TB, tenant, id, user string) {
	t.Helper()
	n.tell(t, tenant, id, events.Queued{Kind: "quiz", Input: []byte(quizInput), Priority: events.Normal, Dispatch: 1, UserID: user})
}

type newsPage struct {
	Events []struct {
		Seq  uint64 `json:"seq"`
		Task string `json:"task_id"`
	} `json:"events"`
	Next  uint64 `json:"next"`
	More  bool   `json:"more"`
	Reset bool   `json:"reset"`
}

// page asks for a page of events as a user of a role.
func (k *kit) page(role auth.Role, user, query string) (p newsPage) {
	k.t.Helper()
	got := k.do(ask{method: "GET", path: "/api/v1/events" + query, as: token(k.t, role, user)})
	if err := json.Unmarshal(got.Data, &p); err != nil || got.status != http.StatusOK {
		k.t.Fatalf("%s: %d %s", query, got.status, got.raw)
	}
	return p
}

func (p newsPage) seqs() (all []uint64) {
	for _, e := range p.Events {
		all = append(all, e.Seq)
	}
	return all
}

func TestNews_ShowsEachWhatIsTheirs(t *testing.T) {
	t.Parallel()
	k, n := withNews(t)
	for i, user := range []string{"ada", "lin", "ada", "lin", "ada"} { // 1 to 5
		n.queued(t, "school", fmt.Sprint("t", i), user)
	}
	n.queued(t, "college", "t9", "ada") // 6: somebody else who is called so
	n.tell(t, "school", "t0", events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
	n.tell(t, "school", k.submit().ID, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"}) // ada's, of which the beginning was not seen
	for _, c := range []struct {
		role  auth.Role
		user  string
		query string
		want  []uint64
		next  uint64
		more  bool
	}{
		{auth.Teacher, "ada", "", []uint64{1, 3, 5, 7, 8}, 8, false},
		{auth.Teacher, "ada", "?scope=user&after=3", []uint64{5, 7, 8}, 8, false},
		{auth.Teacher, "ada", "?limit=2", []uint64{1, 3}, 3, true},
		{auth.Teacher, "ada", "?limit=2&after=3", []uint64{5, 7}, 7, true},
		{auth.Teacher, "lin", "?limit=1&after=4", nil, 8, false},
		{auth.Teacher, "ada", "?scope=org&after=2", []uint64{3, 4, 5, 7, 8}, 8, false},
		{auth.Admin, "root", "?scope=org&limit=3", []uint64{1, 2, 3}, 3, true},
		{auth.Student, "eve", "", nil, 8, false},
		{auth.Parent, "eve", "?after=8", nil, 8, false},
	} {
		got := k.page(c.role, c.user, c.query)
		if !slices.Equal(got.seqs(), c.want) || got.Next != c.next || got.More != c.more || got.Reset {
			t.Errorf("%s %s: got %v, next %d, more %v", c.user, c.query, got.seqs(), got.Next, got.More)
		}
	}
	for _, role := range []auth.Role{auth.Student, auth.Parent} {
		k.want(k.do(ask{method: "GET", path: "/api/v1/events?scope=org", as: token(t, role, "eve")}), http.StatusForbidden, "forbidden")
	}
	n.change(func() { n.first = 5 })
	if got := k.page(auth.Teacher, "ada", "?after=2"); !got.Reset || got.Next != 8 || len(got.Events) > 0 {
		t.Errorf("history is gone: %+v", got)
	}
	if got := k.page(auth.Teacher, "ada", "?after=4"); got.Reset || !slices.Equal(got.seqs(), []uint64{5, 7, 8}) {
		t.Errorf("history is there: %+v", got)
	}
}

// newsStream opens the stream of /events over a connection.
func (k *kit) newsStream(t testing.TB, client *http.Client, query, last string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, inMemory+"/api/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer "+token(t, auth.Teacher, "ada"))
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return &stream{answer, cancel, bufio.NewReader(answer.Body)}
}

func TestNews_StreamGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	var n *news
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		old := k.submit().ID // ada's
		n.queued(t, "school", old, "ada")
		expect := func(s *stream, want ...string) {
			t.Helper()
			for _, w := range want {
				f, err := s.next()
				if err != nil || f.event+" "+f.id != w {
					t.Fatalf("got %q %v, want %s", f.event+" "+f.id, err, w)
				}
			}
		}
		s := k.newsStream(t, client, "", "")
		expect(s, " ", "ready 1")
		n.queued(t, "school", "t1", "lin")
		n.queued(t, "school", "t2", "ada")
		n.queued(t, "college", "t3", "ada")
		n.tell(t, "school", old, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
		expect(s, "task.queued 3", "task.started 5")
		s.close()
		n.tell(t, "school", "t2", events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
		s = k.newsStream(t, client, "?scope=org", "2")
		expect(s, " ", "ready 2", "task.queued 3", "task.started 5", "task.started 6")
		n.change(func() { n.torn = fault.New(fault.NotFound, "the log was replaced") })
		expect(s, "reset 6")
		if f, err := s.next(); err == nil {
			t.Errorf("it goes on with %+v", f)
		}
		n.change(func() { n.torn, n.first = nil, 4 })
		s = k.newsStream(t, client, "", "2")
		expect(s, " ", "reset 6")
		n.tell(t, "school", "t2", events.Cancelled{})
		expect(s, "task.cancelled 7")
		n.change(func() { n.torn = fault.New(fault.Unavailable, "the reader is too slow") })
		if f, err := s.next(); err != nil || !strings.Contains(f.comment, "try again") {
			t.Errorf("got %+v, %v", f, err)
		}
		s.close()
	}, func(c *api.Config) { n = newNews(); c.News = n })
}
