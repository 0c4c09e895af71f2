package campaign_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/schedule/scheduletest"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

func TestMemory_KeepsTheContractForCampaigns(t *testing.T) {
	t.Parallel()
	scheduletest.RunDocuments(t, func(*testing.T) scheduletest.Documents[campaign.Campaign] {
		return scheduletest.NewMemory[campaign.Campaign]()
	}, func(key string, n int) campaign.Campaign {
		return campaign.Campaign{
			ID: key, Tenant: "school", Request: request(nil), State: campaign.Running, Counts: campaign.Counts{Matched: n},
			CreatedAt: time.Date(2026, 1, n+1, 8, 0, 0, 0, time.UTC),
			Place:     campaign.Place{Saves: n, Batch: []string{"a"}, Open: []campaign.Following{{ID: "b", Seq: 7}}},
		}
	})
}

func TestService_RefusesRequestsAndNamesTheField(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	now := time.Now()
	past := now.Add(-time.Hour)
	for name, c := range map[string]struct {
		change func(*campaign.Request)
		want   string
	}{
		"Action":         {func(r *campaign.Request) { r.Action = "delete" }, "action must be one of replay, discard, cancel"},
		"Canary":         {func(r *campaign.Request) { r.Canary = 101 }, "canary is 101, must be 0 to 100"},
		"Rate":           {func(r *campaign.Request) { r.Rate = 6001 }, "rate_per_minute is 6001, must be 1 to 6000"},
		"Max":            {func(r *campaign.Request) { r.Max = 100_001 }, "max is 100001, must be 1 to 100000"},
		"Reason":         {func(r *campaign.Request) { r.Reason = " " }, "reason has 0 bytes"},
		"EditIsNoPatch":  {func(r *campaign.Request) { r.Edit = json.RawMessage(`[1]`) }, "edit must be a JSON object"},
		"EditIsNoJSON":   {func(r *campaign.Request) { r.Edit = json.RawMessage(`{"a"`) }, "edit is not valid JSON"},
		"EditTwice":      {func(r *campaign.Request) { r.Edit = json.RawMessage(`{"a":1,"a":2}`) }, "edit.a stands twice"},
		"EditOfDiscard":  {func(r *campaign.Request) { r.Action, r.Edit = campaign.Discard, json.RawMessage(`{}`) }, "edit is for replays only"},
		"CanaryOfCancel": {func(r *campaign.Request) { r.Action, r.Canary = campaign.Cancel, 1 }, "canary is for replays only"},
		"StatesOfReplay": {func(r *campaign.Request) { r.Filter.States = []task.State{task.Queued} }, "filter.states is for cancellations only"},
		"EndedStates": {func(r *campaign.Request) {
			r.Action, r.Filter.States = campaign.Cancel, []task.State{task.Queued, task.Failed}
		}, "filter.states[1] is no state of an open task"},
		"Times":       {func(r *campaign.Request) { r.Filter.CreatedAfter, r.Filter.CreatedBefore = &now, &past }, "created_before is not after created_after"},
		"UnknownKind": {func(r *campaign.Request) { r.Filter.Kinds = []string{"essay"} }, `kind "essay" is unknown`},
		"NoMatch":     {nil, "filter matches nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := p.service.Start(t.Context(), "school", "ada", "", request(c.change))
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
	if all, err := p.service.List(t.Context(), "school"); err != nil || len(all) != 0 {
		t.Errorf("%d campaigns were made: %v", len(all), err)
	}
}

func TestService_PlanCountsAndShowsAndDoesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(450, events.CauseBug, "nil map")
		p.seed(5, events.CauseProvider, "429 from the model")
		head := p.last(p.seeded[454])
		for name, c := range map[string]struct {
			filter campaign.Filter
			want   int
		}{
			"All": {campaign.Filter{}, 455}, "Cause": {campaign.Filter{Causes: []events.Cause{events.CauseProvider}}, 5},
			"Kind": {campaign.Filter{Kinds: []string{"quiz_generator"}}, 455}, "Search": {campaign.Filter{Search: "MODEL 429"}, 5},
			"Fingerprint": {campaign.Filter{Fingerprint: task.Fingerprint(events.CauseBug, "nil map")}, 450},
			"Labels":      {campaign.Filter{Labels: map[string]string{"class": "5b"}}, 0},
		} {
			plan, err := p.service.Plan(t.Context(), "school", request(func(r *campaign.Request) { r.Filter = c.filter }))
			if err != nil || plan.Matched != c.want || plan.More || len(plan.Sample) != min(c.want, campaign.MaxSample) {
				t.Errorf("%s: %d matched (more %v), %d shown, want %d: %v", name, plan.Matched, plan.More, len(plan.Sample), c.want, err)
			}
		}
		if plan, err := p.service.Plan(t.Context(), "college", request(nil)); err != nil || plan.Matched != 0 {
			t.Errorf("another tenant's plan matches %d: %v", plan.Matched, err)
		}
		if now := p.last(p.seeded[454]); now != head || len(p.replays()) != 0 {
			t.Error("a plan did something")
		}
		if all, err := p.documents.List(t.Context(), "", 0); err != nil || len(all) != 0 {
			t.Errorf("a plan made %d documents: %v", len(all), err)
		}
	})
}

func TestService_RefusesAnEditThatMakesTheSampleInvalid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(3, events.CauseInput, "x")
		bad := request(func(r *campaign.Request) { r.Edit = json.RawMessage(`{"subject":null,"level":"four"}`) })
		plan, err := p.service.Plan(t.Context(), "school", bad)
		if err != nil || len(plan.Sample) != 3 || string(plan.Sample[0].Input) != `{"level":"four"}` {
			t.Fatalf("plan %+v: %v", plan, err)
		}
		want := []fault.Detail{{Field: "input.subject", Reason: "is missing"}, {Field: "input.level", Reason: "is of type string, must be integer"}}
		if diff := cmp.Diff(want, plan.Sample[0].Problem); diff != "" {
			t.Errorf("problem (-want +got):\n%s", diff)
		}
		_, _, err = p.service.Start(t.Context(), "school", "ada", "", bad)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "edit makes the input of task task-00002 invalid; input.subject is missing") {
			t.Errorf("start: %v", err)
		}
	})
}

func TestService_StartIsIdempotentByKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(3, events.CauseBug, "x")
		first, fresh, err := p.service.Start(t.Context(), "school", "ada", "k", request(nil))
		if err != nil || !fresh {
			t.Fatalf("fresh %v: %v", fresh, err)
		}
		stop, end := p.run(), p.worker(always)
		after(time.Minute)
		stop()
		end()
		again, fresh, err := p.service.Start(t.Context(), "school", "ada", "k", request(nil))
		if err != nil || fresh || again.ID != first.ID || again.State != campaign.Done {
			t.Errorf("again: %s %s (fresh %v): %v", again.ID, again.State, fresh, err)
		}
		if _, _, err = p.service.Start(t.Context(), "school", "ada", "k", request(func(r *campaign.Request) { r.Max = 7 })); !fault.Is(err, fault.Conflict) {
			t.Errorf("another request: %v", err)
		}
	})
}

func TestService_KeepsTenantsApartAndTheirCampaignsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(3, events.CauseBug, "x")
		c := p.begin(nil)
		for _, id := range []string{c.ID, "no-such", "../x"} {
			if _, err := p.service.Get(t.Context(), "college", id); !fault.Is(err, fault.NotFound) {
				t.Errorf("get %s: %v", id, err)
			}
			if _, err := p.service.Stop(t.Context(), "college", id, "eve", ""); !fault.Is(err, fault.NotFound) {
				t.Errorf("stop %s: %v", id, err)
			}
		}
		for range campaign.MaxActive - 1 {
			p.begin(nil)
		}
		if _, _, err := p.service.Start(t.Context(), "school", "ada", "", request(nil)); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "at most 5 are allowed") {
			t.Errorf("one more: %v", err)
		}
		for n := range campaign.MaxKept {
			old := campaign.Campaign{ID: fmt.Sprintf("0190a000-0000-7000-8000-%012d", n), Tenant: "college", State: campaign.Done, CreatedAt: time.Unix(int64(n), 0)}
			if _, err := p.documents.Put(t.Context(), "college."+old.ID, old, 0); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.log.Append(t.Context(), tasktest.Event(t, "college", "dead", events.Failed{Cause: events.CauseUndecodable, Error: "x"}), 0); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		if _, _, err := p.service.Start(t.Context(), "college", "ada", "", request(nil)); err != nil {
			t.Fatal(err)
		}
		all, err := p.service.List(t.Context(), "college")
		if err != nil || len(all) != campaign.MaxKept || all[0].State != campaign.Planned || all[99].ID != "0190a000-0000-7000-8000-000000000001" {
			t.Errorf("%d campaigns are kept: %v", len(all), err)
		}
	})
}

// trail is an audit in memory.
type trail struct{ entries []audit.Entry }

func (a *trail) Append(ctx context.Context, e audit.Entry) error {
	if ctx.Err() == nil {
		a.entries = append(a.entries, e)
	}
	return ctx.Err()
}

func TestService_PutsActsOnRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(1, events.CauseBug, "x")
		var audit trail
		service, err := campaign.NewService(campaign.ServiceConfig{Documents: p.documents, Tasks: p.tasks, Audit: &audit})
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := service.Start(t.Context(), "school", "ada", "", request(nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := service.Stop(t.Context(), "school", c.ID, "bob", "oops"); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range audit.entries {
			got = append(got, strings.Join([]string{e.Tenant, e.Actor, e.Action, e.Outcome}, " "))
		}
		if diff := cmp.Diff([]string{"school ada campaign.started done", "school bob campaign.stopped done"}, got); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	})
}

// hangingUp are documents whose caller is gone when one is written.
type hangingUp struct {
	campaign.Documents
	hangUp func()
}

func (h hangingUp) Put(ctx context.Context, key string, doc campaign.Campaign, rev uint64) (uint64, error) {
	defer h.hangUp()
	return h.Documents.Put(ctx, key, doc, rev)
}

// Whoever hangs up while their act is being done leaves no gap.
func TestService_PutsOnRecordWhatIsDoneForWhoHangsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		p.seed(1, events.CauseBug, "x")
		ctx, hangUp := context.WithCancel(t.Context())
		var audit trail
		service, err := campaign.NewService(campaign.ServiceConfig{Documents: hangingUp{p.documents, hangUp}, Tasks: p.tasks, Audit: &audit})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := service.Start(ctx, "school", "ada", "", request(nil)); err != nil || len(audit.entries) != 1 {
			t.Errorf("on record is %+v (%v)", audit.entries, err)
		}
	})
}
