package nats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func newAudit(broker *natstest.Broker) *nats.Audit {
	return nats.NewAudit(broker.JS, nats.AuditConfig{})
}

func act(tenant, target string) audit.Entry {
	return audit.Entry{Tenant: tenant, Actor: "admin", Action: "user.disabled", Target: target, Outcome: audit.Done}
}

// mustVerify returns a chain of the stream, in which nothing may be wrong.
func mustVerify(t testing.TB, a *nats.Audit, tenant string) []audit.Entry {
	t.Helper()
	report, entries := verifyChain(t, a, tenant)
	if report.Finding != nil {
		t.Fatalf("the chain of %s: %v", tenant, report.Finding)
	}
	return entries
}

func verifyChain(t testing.TB, a *nats.Audit, tenant string) (audit.Report, []audit.Entry) {
	t.Helper()
	var entries []audit.Entry
	for row, err := range a.Rows(t.Context(), tenant) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := row.Entry()
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	report, err := audit.Verify(a.Rows(t.Context(), tenant), audit.Claim{Tenant: tenant, From: &audit.Anchor{}})
	if err != nil {
		t.Fatal(err)
	}
	return report, entries
}

func TestAudit_ChainsWhatWasDone(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	record := newAudit(broker)
	want := audit.Entry{
		ID: "e-1", At: time.Date(2031, 2, 3, 4, 5, 6, 7000, time.UTC), Tenant: "school", Actor: "u-1", Action: "policy.changed", Target: "policy",
		Detail: json.RawMessage(`{"revision":3}`), Outcome: audit.Done,
	}
	if err := record.Append(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	from := audit.From{Actor: "u-2", IP: "192.0.2.7", RequestID: "r", SessionID: "s", KeyID: "k"}
	if err := record.Append(audit.WithFrom(t.Context(), from), audit.Entry{Tenant: "school", Action: "user.disabled", Outcome: "forbidden"}); err != nil {
		t.Fatal(err)
	}
	if err := record.Append(t.Context(), act("other", "x")); err != nil {
		t.Fatal(err)
	}
	entries := mustVerify(t, record, "school")
	want.N, want.Prev = 1, audit.Sum{}.String()
	second := audit.Entry{
		N: 2, Tenant: "school", Actor: "u-2", Action: "user.disabled", Outcome: "forbidden", IP: "192.0.2.7", RequestID: "r", SessionID: "s", KeyID: "k", Prev: entries[0].Hash,
	}
	if diff := cmp.Diff([]audit.Entry{want, second}, entries, cmpopts.IgnoreFields(audit.Entry{}, "Hash", "ID"), cmpopts.IgnoreFields(audit.Entry{}, "At")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if entries[0].ID != "e-1" || !entries[0].At.Equal(want.At) || entries[1].ID == "" || time.Since(entries[1].At) > time.Minute {
		t.Errorf("got %+v", entries)
	}
	found, err := record.Since(t.Context(), "school", audit.Place{})
	if diff := cmp.Diff(entries, found); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if tenants, err := record.Tenants(t.Context()); err != nil || !slices.Equal(tenants, []string{"other", "school"}) {
		t.Errorf("chains of %v, %v", tenants, err)
	}
	stream, err := broker.JS.Stream(t.Context(), nats.StreamAudit)
	if err != nil {
		t.Fatal(err)
	}
	if stream.DeleteMsg(t.Context(), 1) == nil || stream.Purge(t.Context()) == nil {
		t.Error("the record was changed")
	}
}

func TestAudit_RefusesWhatCannotBeKept(t *testing.T) {
	t.Parallel()
	record := newAudit(natstest.Start(t))
	for name, e := range map[string]audit.Entry{
		"tenant": {Tenant: "a.b", Action: "policy.changed"}, "none": {}, "no action": {Tenant: "school"},
		"control characters": {Tenant: "school", Action: "user.disabled", Target: "a\x00b"},
		"a long target":      {Tenant: "school", Action: "user.disabled", Target: strings.Repeat("x", audit.MaxField+1)},
		"no JSON":            {Tenant: "school", Action: "user.disabled", Detail: json.RawMessage(`{`)},
	} {
		if err := record.Append(t.Context(), e); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
	for _, size := range []int{audit.MaxDetail, 2 << 20} {
		large := json.RawMessage(`"` + strings.Repeat("x", size) + `"`)
		if err := record.Append(t.Context(), audit.Entry{Tenant: "school", Action: "policy.changed", Detail: large}); !fault.Is(err, fault.TooLarge) {
			t.Errorf("%d bytes: got %v, want TooLarge", size, err)
		}
	}
	if _, err := record.Since(t.Context(), "*", audit.Place{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("what every tenant did: got %v, want Invalid", err)
	}
	if _, err := record.Unchained(t.Context(), "*", 0); !fault.Is(err, fault.Invalid) {
		t.Errorf("what every tenant did: got %v, want Invalid", err)
	}
}

// archiveAt stands for an archive whose chains all end at one entry.
type archiveAt struct {
	audit.Anchor
	err error
}

func (a archiveAt) Head(context.Context, string) (audit.Anchor, error) { return a.Anchor, a.err }

func TestAudit_GoesOnWhereTheArchiveEnds(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	head := audit.Anchor{N: 41, Hash: audit.Sum{7}}
	away := nats.NewAudit(broker.JS, nats.AuditConfig{Archive: archiveAt{err: fault.New(fault.Invalid, "broken")}})
	if err := away.Append(t.Context(), act("school", "x")); err == nil {
		t.Error("a chain begins although nobody knows where it ended")
	}
	record := nats.NewAudit(broker.JS, nats.AuditConfig{Archive: archiveAt{Anchor: head}})
	for i := range 3 {
		if err := record.Append(t.Context(), act("school", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	report, err := audit.Verify(record.Rows(t.Context(), "school"), audit.Claim{Tenant: "school"})
	if err != nil || report.Finding != nil || report.First != 42 || report.Head.N != 44 {
		t.Errorf("%+v, %v, %v", report, report.Finding, err)
	}
	for row, err := range record.Rows(t.Context(), "school") {
		if err != nil || row.N == 42 && row.Prev != head.Hash {
			t.Errorf("entry %d follows %s, %v", row.N, row.Prev, err)
		}
	}
}

// What a release before the chain wrote stays readable, and is in nobody's way.
func TestAudit_KeepsWhatIsInNoChainApart(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	record := newAudit(broker)
	for _, topic := range []string{"policy", "schedules"} {
		if _, err := broker.JS.Publish(t.Context(), "audit.school."+topic, fmt.Appendf(nil, `{"seq":0,"at":"2026-01-02T03:04:05Z","tenant_id":"school","actor":"u","action":"%s.changed","outcome":"done"}`, topic)); err != nil {
			t.Fatal(err)
		}
		if err := record.Append(t.Context(), act("school", topic)); err != nil {
			t.Fatal(err)
		}
	}
	if entries := mustVerify(t, record, "school"); len(entries) != 2 {
		t.Errorf("the chain has %+v", entries)
	}
	old, err := record.Unchained(t.Context(), "school", 0)
	if err != nil || len(old) != 2 || old[0].N != 1 || old[1].N != 3 || old[1].Action != "schedules.changed" || old[1].Hash != "" {
		t.Errorf("got %+v, %v", old, err)
	}
	if rest, err := record.Unchained(t.Context(), "school", 1); err != nil || len(rest) != 1 {
		t.Errorf("got %+v, %v", rest, err)
	}
	rows, last, err := record.Read(t.Context(), 0, 10)
	if err != nil || len(rows) != 2 || last != 4 {
		t.Errorf("read %d rows up to %d, %v", len(rows), last, err)
	}
}

// What somebody else put there is passed over by who copies, and found by who verifies.
func TestAudit_DoesNotStumbleOverWhatIsNone(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	var book logBook
	record := nats.NewAudit(broker.JS, nats.AuditConfig{Logger: book.logger()})
	if err := record.Append(t.Context(), act("school", "x")); err != nil {
		t.Fatal(err)
	}
	if _, err := broker.JS.Publish(t.Context(), "audit.school", []byte(`{"n":2}`)); err != nil {
		t.Fatal(err)
	}
	rows, last, err := record.Read(t.Context(), 0, 10)
	if err != nil || len(rows) != 1 || last != 2 || book.count("audit entry cannot be read and is passed over") != 1 {
		t.Errorf("read %d rows up to %d, %v", len(rows), last, err)
	}
	report, err := audit.Verify(record.Rows(t.Context(), "school"), audit.Claim{Tenant: "school", From: &audit.Anchor{}})
	if err != nil || report.Finding == nil || report.Entries != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if err := record.Append(t.Context(), act("school", "y")); err == nil {
		t.Error("an entry follows what is none")
	}
}

func TestAccessLog_KeepsWhoLookedOnce(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	log := nats.NewAccessLog(broker.JS, nil)
	ctx := audit.WithFrom(t.Context(), audit.From{Actor: "teacher", IP: "192.0.2.7"})
	for range 2 {
		if err := log.RecordAccess(ctx, audit.Access{ID: "a-1", Tenant: "school", Student: "s", Resource: "task t", Route: "GET /tasks/{id}"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.RecordAccess(t.Context(), audit.Access{Tenant: "other", Actor: "a", Student: "s"}); err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]audit.Access{"no tenant": {Student: "s"}, "control characters": {Tenant: "school", Resource: "a\nb"}} {
		if err := log.RecordAccess(t.Context(), a); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
	found, last, err := log.Read(t.Context(), 0, 10)
	want := []audit.Access{
		{ID: "a-1", Tenant: "school", Actor: "teacher", Student: "s", Resource: "task t", Route: "GET /tasks/{id}", IP: "192.0.2.7"},
		{Tenant: "other", Actor: "a", Student: "s"},
	}
	ignore := cmpopts.IgnoreFields(audit.Access{}, "At")
	if err != nil || last != 2 || len(found) != 2 || found[1].ID == "" || time.Since(found[0].At) > time.Minute {
		t.Fatalf("got %+v, %v", found, err)
	}
	want[1].ID = found[1].ID
	if diff := cmp.Diff(want, found, ignore); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if place, err := log.State(t.Context()); err != nil || place.Seq != 2 || place.Epoch.IsZero() {
		t.Errorf("the stream ends at %+v, %v", place, err)
	}
}

func BenchmarkAudit_Append(b *testing.B) {
	broker := natstest.Start(b)
	record := newAudit(broker)
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			if err := record.Append(b.Context(), act("one", "x")); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("together", func(b *testing.B) {
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if err := record.Append(b.Context(), act("together", "x")); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
