package postgres_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

var callbackNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// calledSchools gives two tenants an endpoint "E-of-<tenant>", the same delivery to it, and secrets for tasks.
func calledSchools(t *testing.T, c *postgres.Callbacks) {
	t.Helper()
	for _, tenant := range []string{"school", "other"} {
		e := callback.Endpoint{
			ID: "E-of-" + tenant, Tenant: tenant, URL: "https://" + tenant + ".example/", State: callback.Active, CreatedAt: callbackNow, UpdatedAt: callbackNow, Version: 1,
			Events: []events.Type{}, Secrets: callback.Secrets{Current: []byte("secret of " + tenant)},
		}
		if err := c.CreateEndpoint(t.Context(), e, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Plan(t.Context(), []callback.Delivery{deliveryOf(tenant, "d-of-"+tenant, e.ID)}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.TaskSecrets(t.Context(), tenant, callback.Secrets{Current: []byte("tasks of " + tenant)}); err != nil {
			t.Fatal(err)
		}
	}
}

func deliveryOf(tenant, id, endpoint string) callback.Delivery {
	at := callbackNow
	return callback.Delivery{
		ID: id, Tenant: tenant, EndpointID: endpoint, Target: endpoint, TaskID: "task-of-" + tenant, EventType: events.TypeCompleted, Seq: 7, State: callback.Pending,
		Body: []byte(`{}`), NextAt: &at, CreatedAt: at, ExpiresAt: at.Add(24 * time.Hour),
	}
}

func claimAll(t *testing.T, c *postgres.Callbacks, at time.Time) []callback.Job {
	t.Helper()
	jobs, err := c.Claim(t.Context(), callback.Claim{Now: at, Lease: time.Minute, Limit: 100, PerTarget: 4, PerTenant: 50, Broken: 10})
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

func TestCallbacks_ClaimSaysWhatToSend(t *testing.T) {
	t.Parallel()
	c := postgres.NewCallbacks(open(t, postgres.Config{}))
	calledSchools(t, c)
	own := deliveryOf("school", "own", "")
	own.Target, own.URL = "url-1", "https://own.example/?x"
	if n, err := c.Plan(t.Context(), []callback.Delivery{own, own, deliveryOf("school", "d-of-school", "E-of-school"), deliveryOf("school", "lost", "E-of-nobody")}); n != 1 || err != nil {
		t.Errorf("planned %d, %v", n, err)
	}
	got := map[string]string{}
	for _, j := range claimAll(t, c, callbackNow) {
		got[j.ID] = j.To + " " + string(j.Secrets.Current) + " " + string(j.State) + fmt.Sprint(" ", j.Attempt, j.ExpiresAt.Equal(callbackNow.Add(24*time.Hour)))
	}
	want := map[string]string{
		"d-of-school": "https://school.example/ secret of school active 1 true", "d-of-other": "https://other.example/ secret of other active 1 true",
		"own": "https://own.example/?x tasks of school active 1 true",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if again := claimAll(t, c, callbackNow.Add(59*time.Second)); len(again) != 0 {
		t.Errorf("claimed again: %v", again)
	}
	if again := claimAll(t, c, callbackNow.Add(time.Minute)); len(again) != 3 {
		t.Errorf("taken over are %d", len(again))
	}
}

// The outcome of a try that somebody took over counts only when it is a success.
func TestCallbacks_TakesNoFailureFromWhoLostTheLease(t *testing.T) {
	t.Parallel()
	c := postgres.NewCallbacks(open(t, postgres.Config{}))
	calledSchools(t, c)
	outcome := func(attempt int, v callback.Verdict) callback.DeliveryState {
		t.Helper()
		err := c.Finish(t.Context(), callback.Outcome{
			Tenant: "school", ID: "d-of-school", Target: "E-of-school", EndpointID: "E-of-school", To: "https://school.example/", Attempt: attempt, Verdict: v,
			At: callbackNow, NextAt: callbackNow.Add(time.Hour), Claim: callback.Claim{Broken: 10, PerTarget: 4},
		})
		if err != nil {
			t.Fatal(err)
		}
		d, err := c.Delivery(t.Context(), "school", "d-of-school")
		if err != nil {
			t.Fatal(err)
		}
		return d.State
	}
	claimAll(t, c, callbackNow)
	claimAll(t, c, callbackNow.Add(2*time.Minute))
	if got := outcome(1, callback.GaveUp); got != callback.Pending {
		t.Errorf("a try that lost its lease made it %s", got)
	}
	outcome(1, callback.LetGo)
	if due := claimAll(t, c, callbackNow.Add(2*time.Minute)); len(due) != 0 {
		t.Error("a try that lost its lease let it go")
	}
	if got := outcome(1, callback.Accepted); got != callback.Delivered {
		t.Errorf("a success is not taken: %s", got)
	}
	if got := outcome(2, callback.GaveUp); got != callback.Delivered {
		t.Errorf("what is delivered became %s", got)
	}
}

func TestCallbacks_AreBehindTheSecondLock(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url})
	c := postgres.NewCallbacks(db)
	calledSchools(t, c)
	reads := map[string]func() string{
		"endpoint": func() string {
			e, err := c.Endpoint(t.Context(), "school", "E-of-other")
			return fmt.Sprint(e.URL, isFound(err))
		},
		"list": func() string {
			all, err := c.ListEndpoints(t.Context(), "school")
			return fmt.Sprintf("%v %v", all, err)
		},
		"delivery": func() string {
			d, err := c.Delivery(t.Context(), "school", "d-of-other")
			return fmt.Sprint(d.TaskID, isFound(err))
		},
		"deliveries": func() string {
			page, err := c.ListDeliveries(t.Context(), callback.DeliveryFilter{Tenant: "school", Limit: 9})
			return fmt.Sprintf("%v %v", page, err)
		},
		"replay": func() string {
			n, err := c.Replay(t.Context(), callback.Replay{Tenant: "school", ID: "d-of-other", At: callbackNow, ExpiresAt: callbackNow, Limit: 9})
			return strings.Repeat("other", n) + fmt.Sprint(err)
		},
		"update": func() string {
			err := c.UpdateEndpoint(t.Context(), callback.Endpoint{Tenant: "school", ID: "E-of-other", URL: "https://x.example/", State: callback.Active, UpdatedAt: callbackNow, Version: 2, Secrets: callback.Secrets{Current: []byte("x")}})
			return fmt.Sprint(isFound(err))
		},
		"delete": func() string { return fmt.Sprint(isFound(c.DeleteEndpoint(t.Context(), "school", "E-of-other"))) },
	}
	for round := range 2 {
		for name, read := range reads {
			if got := read(); strings.Contains(got, "other") || strings.Contains(got, "true") {
				t.Errorf("round %d: %s finds %s", round, name, got)
			}
		}
		db.ForgetTenant()
	}
	if got := query(t, url, "SELECT url FROM callback_endpoints ORDER BY url"); len(got) != 2 || got[0] != "https://other.example/" {
		t.Errorf("the endpoints are %v", got)
	}
}

// isFound reports whether there was something: NotFound says that there was not.
func isFound(err error) bool { return !fault.Is(err, fault.NotFound) }

// A backlog of one receiver that is away costs the others nothing: claims and outcomes use indexes.
func TestCallbacks_ClaimFromIndexes(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	c := postgres.NewCallbacks(open(t, postgres.Config{URL: url}))
	calledSchools(t, c)
	execute(t, url, `INSERT INTO callback_deliveries (tenant, id, target, endpoint, task, type, seq, body, state, next_at, expires_at, created_at)
		SELECT 'other', 'x' || i, 'E-of-other', 'E-of-other', 'task', 'task.completed', i, '{}', CASE WHEN i % 2 = 0 THEN 'pending' ELSE 'delivered' END,
			$1::timestamptz + i * interval '1 second', $1, $1 FROM generate_series(1, 200000) AS i`, callbackNow)
	execute(t, url, "VACUUM ANALYZE callback_deliveries, callback_targets")
	began := time.Now()
	const rounds = 20
	for range rounds {
		for _, j := range claimAll(t, c, callbackNow.Add(48*time.Hour)) {
			err := c.Finish(t.Context(), callback.Outcome{
				Tenant: j.Tenant, ID: j.ID, Target: j.Target, EndpointID: j.EndpointID, Attempt: j.Attempt, Verdict: callback.Accepted, Status: 204,
				At: callbackNow.Add(48 * time.Hour), Claim: callback.Claim{Broken: 10, PerTarget: 4},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("%d claims and %d outcomes took %s", rounds, 4*rounds, took)
	} else {
		t.Logf("%d claims and %d outcomes beside 100,000 pending deliveries took %s", rounds, 4*rounds, took)
	}
	for _, plan := range [][]string{
		query(t, url, "EXPLAIN "+postgres.TakeDeliveries(), callbackNow, []string{"other"}, []string{"E-of-other"}, []int32{4}, []int64{0}, []int64{1}, 10, 10, callbackNow),
		query(t, url, "EXPLAIN "+postgres.SettleTargets(), callbackNow, []string{"other"}, []string{"E-of-other"}, 10, 4, false),
	} {
		if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan on callback_deliveries") {
			t.Errorf("deliveries are read from one end to the other:\n%s", text)
		}
	}
}

func TestCallbacks_GoWithTheTasksThatAreErased(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, postgres.Config{URL: url})
	calledSchools(t, postgres.NewCallbacks(db))
	if err := db.DeleteTasks(t.Context(), "school", []string{"task-of-school"}); err != nil {
		t.Fatal(err)
	}
	if got := query(t, url, "SELECT id FROM callback_deliveries"); len(got) != 1 || got[0] != "d-of-other" {
		t.Errorf("left are %v", got)
	}
}

// A task keeps its callback_url on its way through the archive: a replay has it again.
func TestRecord_KeepsTheCallbackURL(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	l := newLog(t)
	l.add("school", "t1", queued(func(q *events.Queued) { q.CallbackURL = "https://own.example/?x" }))
	l.record(db)
	got, err := db.Get(t.Context(), "school", "t1")
	if err != nil || got.CallbackURL != "https://own.example/?x" {
		t.Errorf("got %q, %v", got.CallbackURL, err)
	}
}
