package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/nats"
)

// audited runs 'audit verify' and returns what it says, and its exit code.
func (s *site) audited(args ...string) (string, int) {
	s.t.Helper()
	p := start(s.t, "toolboxai", s.env, append([]string{"audit", "verify"}, args...)...)
	<-p.ended
	return p.output.String(), p.cmd.ProcessState.ExitCode()
}

// What was done goes from the broker to Postgres, and whoever changes it in either place is found out.
func TestAuditVerify_TellsWhoHasBeenTamperedWith(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	s := newSite(t, database)
	nc, err := natsgo.Connect(fmt.Sprint("nats://127.0.0.1:", s.natsPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	record := nats.NewAudit(js, nats.AuditConfig{})
	write := func(tenant string, n int) {
		for i := range n {
			if err := record.Append(t.Context(), audit.Entry{Tenant: tenant, Actor: "admin", Action: "user.disabled", Target: fmt.Sprint("u", i), Outcome: audit.Done}); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("school", 5)
	write("other", 2)
	recorder := s.role("recorder")
	var said struct {
		OK     bool      `json:"ok"`
		Chains []verdict `json:"chains"`
	}
	eventually(t, "all is archived", func() error {
		out, code := s.audited("--json")
		if code != exitOK {
			return fmt.Errorf("exit %d: %s", code, out)
		}
		if err := json.Unmarshal([]byte(out), &said); err != nil {
			return err
		}
		if len(said.Chains) != 2 || said.Chains[0].Archive.Entries != 2 || said.Chains[1].Archive.Entries != 5 {
			return fmt.Errorf("verified %+v", said)
		}
		return nil
	})
	head := said.Chains[1].Archive.Head.String()
	if out, code := s.audited("--tenant", "school", "--head", head); code != exitOK || !strings.Contains(out, "school: 5 entries from 1 on are as they were; head 5:") {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, code := s.audited("--head", head); code != exitUsage {
		t.Errorf("exit %d: %s", code, out)
	}
	recorder.kill()
	if _, err := js.Publish(t.Context(), "audit.other", []byte(`{"n":3}`)); err != nil {
		t.Fatal(err)
	}
	if out, code := s.audited(); code != exitFailed || !strings.Contains(out, "other: on the broker entry 3 is inserted: what is no entry stands in its place") || !strings.Contains(out, "school: 5 entries") {
		t.Errorf("exit %d: %s", code, out)
	}
	db, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	tamper := func(sql string) {
		t.Helper()
		if _, err := db.Exec(t.Context(), "ALTER TABLE audit_log DISABLE TRIGGER USER; "+sql+"; ALTER TABLE audit_log ENABLE TRIGGER USER"); err != nil {
			t.Fatal(err)
		}
	}
	tamper(`DELETE FROM audit_log WHERE tenant = 'school' AND n = 5`)
	for want, args := range map[string][]string{
		"school: between the two entry 5 is missing": {"--tenant", "school"},
		"school: in Postgres entry 5 is missing":     {"--tenant", "school", "--head", head},
	} {
		if out, code := s.audited(args...); code != exitFailed || !strings.Contains(out, want) {
			t.Errorf("exit %d, no %q in %s", code, want, out)
		}
	}
	tamper(`UPDATE audit_log SET actor = 'somebody' WHERE tenant = 'school' AND n = 2`)
	if out, code := s.audited("--tenant", "school"); code != exitFailed || !strings.Contains(out, "in Postgres entry 2 is changed") {
		t.Errorf("exit %d: %s", code, out)
	}
}
