package schedule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/schedule"
)

func TestService_RefusesDefinitionsAndNamesTheField(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	past := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		change func(*schedule.Definition)
		want   string
	}{
		"Neither":         {func(d *schedule.Definition) { d.Cron = "" }, "cron or every must be set, and not both"},
		"Both":            {func(d *schedule.Definition) { d.Every = schedule.Duration(time.Hour) }, "cron or every must be set"},
		"TooOften":        {func(d *schedule.Definition) { d.Cron, d.Every = "", schedule.Duration(9*time.Second) }, "every is 9s, must be 10s to"},
		"CronTooOften":    {func(d *schedule.Definition) { d.Cron = "0,5 */30 * * * *" }, "5s later; ticks must be at least 10s apart"},
		"EverySecond":     {func(d *schedule.Definition) { d.Cron = "@everysecond" }, "1s later"},
		"Impossible":      {func(d *schedule.Definition) { d.Cron = "0 0 31 2 *" }, "cron never comes: no date in the next 10 years fits"},
		"ImpossibleToo":   {func(d *schedule.Definition) { d.Cron = "0 0 31 4,6,9,11 *" }, "cron never comes"},
		"UnknownZone":     {func(d *schedule.Definition) { d.TimeZone = "Mars/Olympus" }, `time_zone "Mars/Olympus" is no IANA time zone`},
		"LocalZone":       {func(d *schedule.Definition) { d.TimeZone = "Local" }, "time_zone"},
		"ZoneOfInterval":  {func(d *schedule.Definition) { d.Cron, d.Every, d.TimeZone = "", schedule.Duration(time.Hour), "UTC" }, "time_zone is for cron only"},
		"EndsBeforeStart": {func(d *schedule.Definition) { now := time.Now(); d.StartAt, d.EndAt = &now, &past }, "end_at is not after start_at"},
		"Ended":           {func(d *schedule.Definition) { d.EndAt = &past }, "end_at leaves no tick to come"},
		"Overlap":         {func(d *schedule.Definition) { d.Overlap = "allow" }, `overlap "allow" is none of`},
		"LargeInput": {func(d *schedule.Definition) {
			d.Input = json.RawMessage(`{"x":"` + strings.Repeat("x", schedule.MaxInput) + `"}`)
		}, "at most 32768 are allowed in a schedule"},
		"Backfill": {func(d *schedule.Definition) { d.Backfill = 101 }, "backfill is 101, must be 0 to 100"},
		"Jitter":   {func(d *schedule.Definition) { d.Jitter = schedule.Duration(2 * time.Hour) }, "jitter is 2h0m0s"},
		"JitterOfEvery": {func(d *schedule.Definition) {
			d.Cron, d.Every, d.Jitter = "", schedule.Duration(time.Minute), schedule.Duration(time.Hour)
		}, "jitter is longer than every"},
		"Timeout":  {func(d *schedule.Definition) { d.Timeout = schedule.Duration(48 * time.Hour) }, "timeout is 48h0m0s"},
		"Deadline": {func(d *schedule.Definition) { d.Deadline = schedule.Duration(time.Millisecond) }, "deadline is 1ms"},
		"Name":     {func(d *schedule.Definition) { d.Name = " " }, "name has 0 characters"},
		"Priority": {func(d *schedule.Definition) { d.Priority = "asap" }, `priority "asap"`},
		"Kind":     {func(d *schedule.Definition) { d.Kind = "essay" }, `kind "essay" is unknown`},
		"Input":    {func(d *schedule.Definition) { d.Input = json.RawMessage(`{}`) }, "input.subject is missing"},
		"Labels":   {func(d *schedule.Definition) { d.Labels = map[string]string{"": "x"} }, "labels."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := p.service.Create(t.Context(), "school", "ada", "", definition(c.change))
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
}

func TestService_CreateIsIdempotentByKey(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	first, fresh, err := p.service.Create(t.Context(), "school", "ada", "k1", definition(nil))
	if err != nil || !fresh {
		t.Fatalf("fresh %v: %v", fresh, err)
	}
	again, fresh, err := p.service.Create(t.Context(), "school", "ada", "k1", definition(nil))
	if err != nil || fresh || again.ID != first.ID {
		t.Errorf("again: %s (fresh %v), want %s: %v", again.ID, fresh, first.ID, err)
	}
	_, _, err = p.service.Create(t.Context(), "school", "ada", "k1", definition(func(d *schedule.Definition) { d.Cron = "@daily" }))
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("another definition: %v", err)
	}
	other, fresh, err := p.service.Create(t.Context(), "college", "ada", "k1", definition(nil))
	if err != nil || !fresh || other.ID == first.ID {
		t.Errorf("another tenant: %s (fresh %v): %v", other.ID, fresh, err)
	}
}

func TestService_KeepsTenantsApart(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	s := p.create(nil)
	ctx := t.Context()
	for name, call := range map[string]func(id string) error{
		"Get": func(id string) error { _, err := p.service.Get(ctx, "college", id); return err },
		"Update": func(id string) error {
			_, err := p.service.Update(ctx, "college", id, "eve", 0, definition(nil))
			return err
		},
		"Pause":    func(id string) error { _, err := p.service.Pause(ctx, "college", id, "eve", ""); return err },
		"Resume":   func(id string) error { _, err := p.service.Resume(ctx, "college", id, "eve"); return err },
		"Trigger":  func(id string) error { _, err := p.service.Trigger(ctx, "college", id, "eve", ""); return err },
		"Upcoming": func(id string) error { _, err := p.service.Upcoming(ctx, "college", id, 1); return err },
		"Delete":   func(id string) error { return p.service.Delete(ctx, "college", id, "eve") },
	} {
		for _, id := range []string{s.ID, "no-such", "../x"} {
			if err := call(id); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s %s: %v", name, id, err)
			}
		}
	}
	if all, err := p.service.List(ctx, "college"); err != nil || len(all) != 0 {
		t.Errorf("the other tenant lists %d: %v", len(all), err)
	}
	if all, err := p.service.List(ctx, "school"); err != nil || len(all) != 1 || len(p.made()) != 0 {
		t.Errorf("the tenant lists %d: %v", len(all), err)
	}
}

func TestService_RefusesMoreThanATenantMayHave(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	for n := range schedule.MaxPerTenant {
		id := fmt.Sprintf("0190a000-0000-7000-8000-%012d", n)
		doc := schedule.Schedule{ID: id, Tenant: "school", Definition: schedule.Definition{Every: schedule.Duration(time.Hour)}}
		if _, err := p.documents.Put(t.Context(), "school."+id, doc, 0); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := p.service.Create(t.Context(), "school", "ada", "", definition(nil))
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "at most 1000 are allowed") {
		t.Errorf("got %v", err)
	}
	if _, _, err := p.service.Create(t.Context(), "college", "ada", "", definition(nil)); err != nil {
		t.Errorf("another tenant: %v", err)
	}
}

func TestService_PreviewAndUpcomingTellTheTicks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform(t)
		began := time.Now().UTC()
		want := []time.Time{began.Add(time.Hour), began.Add(2 * time.Hour), began.Add(3 * time.Hour)}
		got, err := p.service.Preview(t.Context(), "school", definition(nil), 3)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("preview (-want +got):\n%s%v", diff, err)
		}
		s := p.create(nil)
		got, err = p.service.Upcoming(t.Context(), "school", s.ID, 3)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("upcoming (-want +got):\n%s%v", diff, err)
		}
		if _, err := p.service.Preview(t.Context(), "school", definition(nil), 101); !fault.Is(err, fault.Invalid) {
			t.Errorf("preview of 101: %v", err)
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
	p := newPlatform(t)
	var audit trail
	service, err := schedule.NewService(schedule.ServiceConfig{Documents: p.documents, Tasks: p.tasks, Checker: p.tasks, Audit: &audit})
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := service.Create(t.Context(), "school", "ada", "", definition(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.Pause(t.Context(), "school", s.ID, "bob", "incident"); err != nil {
		t.Fatal(err)
	}
	if err := service.Delete(t.Context(), "school", s.ID, "bob"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range audit.entries {
		if e.Target != s.ID || e.Tenant != "school" || e.Outcome != "done" || e.At.IsZero() {
			t.Errorf("entry %+v", e)
		}
		got = append(got, e.Actor+" "+e.Action)
	}
	if diff := cmp.Diff([]string{"ada schedule.created", "bob schedule.paused", "bob schedule.deleted"}, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// hangingUp are documents whose caller is gone when one is written.
type hangingUp struct {
	schedule.Documents
	hangUp func()
}

func (h hangingUp) Put(ctx context.Context, key string, doc schedule.Schedule, rev uint64) (uint64, error) {
	defer h.hangUp()
	return h.Documents.Put(ctx, key, doc, rev)
}

// Whoever hangs up while their act is being done leaves no gap.
func TestService_PutsOnRecordWhatIsDoneForWhoHangsUp(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	ctx, hangUp := context.WithCancel(t.Context())
	var audit trail
	service, err := schedule.NewService(schedule.ServiceConfig{Documents: hangingUp{p.documents, hangUp}, Tasks: p.tasks, Checker: p.tasks, Audit: &audit})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := service.Create(ctx, "school", "ada", "", definition(nil)); err != nil || len(audit.entries) != 1 {
		t.Errorf("on record is %+v (%v)", audit.entries, err)
	}
}
