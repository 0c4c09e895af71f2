package audit_test

import (
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
)

// chain returns n entries of a tenant, sealed behind last.
func chain(t testing.TB, tenant string, last audit.Anchor, n int) []audit.Row {
	t.Helper()
	rows := make([]audit.Row, n)
	for i := range rows {
		rows[i] = seal(t, last, entry(tenant, fmt.Sprint("user-", last.N+1)))
		last = rows[i].Anchor()
	}
	return rows
}

func entry(tenant, target string) audit.Entry {
	return audit.Entry{
		ID: "id-" + target, At: time.Date(2031, 2, 3, 4, 5, 6, 7000, time.UTC), Tenant: tenant, Actor: "admin", Action: "user.disabled", Target: target,
		Outcome: audit.Done, Detail: []byte(`{"why":"<left>"}`),
	}
}

func seal(t testing.TB, last audit.Anchor, e audit.Entry) audit.Row {
	t.Helper()
	row, err := audit.Seal(last, e)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// each yields rows as a store does.
func each(rows []audit.Row) iter.Seq2[audit.Row, error] {
	return func(yield func(audit.Row, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

func verify(t testing.TB, rows []audit.Row, claim audit.Claim) audit.Report {
	t.Helper()
	report, err := audit.Verify(each(rows), claim)
	if err != nil {
		t.Fatal(err)
	}
	return report
}
