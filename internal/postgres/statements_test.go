package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Every statement, and every combination of filters, stands the server's parser against the schema.
func TestStatements_FitTheSchema(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for i, sql := range append(postgres.Statements(), lists(t)...) {
		if _, err := conn.Prepare(t.Context(), fmt.Sprint("s", i), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// lists returns the statements of lists with every combination of filters.
func lists(t *testing.T) []string {
	now := time.Now()
	filters := []func(*task.Filter){
		func(f *task.Filter) { f.UserID = "u" },
		func(f *task.Filter) { f.Kinds = []string{"quiz"} },
		func(f *task.Filter) { f.Kinds = []string{"quiz", "terrain"} },
		func(f *task.Filter) { f.States = []task.State{task.Queued} },
		func(f *task.Filter) { f.States = task.States() },
		func(f *task.Filter) { f.Causes = []events.Cause{events.CauseBug} },
		func(f *task.Filter) { f.Causes = []events.Cause{events.CauseBug, events.CauseCrash} },
		func(f *task.Filter) { f.Fingerprint = "x" },
		func(f *task.Filter) { f.Labels = map[string]string{"a": "b"} },
		func(f *task.Filter) { f.CreatedAfter, f.CreatedBefore = &now, &now },
		func(f *task.Filter) { f.DeadLetters = true },
	}
	seen := map[string]bool{}
	var out []string
	for set := range 1 << len(filters) {
		f := task.Filter{Tenant: "school", Limit: 10}
		for i, apply := range filters {
			if set&(1<<i) != 0 {
				apply(&f)
			}
		}
		sql, _, err := postgres.ListStatement(f)
		if err != nil {
			t.Fatal(err)
		}
		if !seen[sql] {
			seen[sql] = true
			out = append(out, sql)
		}
	}
	return out
}
