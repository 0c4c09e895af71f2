package postgres_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/school"
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
	for i, sql := range slices.Concat(postgres.Statements(), lists(t), incidents(t), ledger(t), audits(t), schools(t)) {
		if _, err := conn.Prepare(t.Context(), fmt.Sprint("s", i), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// A statement that nobody prepares here is found to be wrong where it is used.
func TestStatements_AreAllHere(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	statements, listed := map[string]string{}, map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				listed[n.Name] = listed[n.Name] || strings.HasSuffix(name, "export_test.go")
			case *ast.ValueSpec:
				for i, value := range n.Values {
					if isSQL(value, listed) && !strings.HasSuffix(name, "_test.go") {
						statements[n.Names[i].Name] = name
					}
				}
			}
			return true
		})
	}
	if len(statements) < 100 {
		t.Errorf("found only %d statements: the test looks at the wrong place", len(statements))
	}
	for statement, file := range statements {
		if !listed[statement] {
			t.Errorf("%s: %s is not among Statements", file, statement)
		}
	}
}

// isSQL reports whether a constant begins as a statement does. What it is put together from is listed with it.
func isSQL(value ast.Expr, listed map[string]bool) bool {
	for {
		sum, ok := value.(*ast.BinaryExpr)
		if !ok {
			break
		}
		if part, ok := sum.Y.(*ast.Ident); ok {
			listed[part.Name] = true
		}
		value = sum.X
	}
	if first, ok := value.(*ast.Ident); ok {
		listed[first.Name] = true
	}
	text, ok := value.(*ast.BasicLit)
	return ok && regexp.MustCompile("^[`\"]\\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\\b").MatchString(text.Value)
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
		func(f *task.Filter) { f.IDs, f.Search = []string{"a", "b"}, "two words" },
		func(f *task.Filter) {
			f.Schedule, f.Workflow, f.Readable = "s", "w", &task.Readable{UserID: "u", IDs: []string{"a", "b"}}
		},
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

// incidents returns the statements of incidents with every combination of filters, in both orders, the cursor's with them.
func incidents(t *testing.T) []string {
	now := time.Now()
	filters := []func(*task.IncidentFilter){
		func(f *task.IncidentFilter) { f.UserID = "u" },
		func(f *task.IncidentFilter) { f.Kinds = []string{"quiz"} },
		func(f *task.IncidentFilter) { f.Causes = []events.Cause{events.CauseBug, events.CauseCrash} },
		func(f *task.IncidentFilter) { f.Fingerprint = "x" },
		func(f *task.IncidentFilter) { f.Search = "two words" },
		func(f *task.IncidentFilter) { f.FailedAfter, f.FailedBefore = &now, &now },
		func(f *task.IncidentFilter) { f.Order = task.ByCount },
	}
	var out []string
	for set := range 1 << len(filters) {
		f := task.IncidentFilter{Tenant: "school", Limit: 10}
		for i, apply := range filters {
			if set&(1<<i) != 0 {
				apply(&f)
			}
		}
		for _, cursor := range []string{"", postgres.IncidentCursor(f)} {
			f.Cursor = cursor
			sql, _, err := postgres.IncidentStatement(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, sql)
		}
	}
	return out
}

// ledger returns the statements over the ledger.
func ledger(t *testing.T) []string {
	var out []string
	add := func(sql string, _ []any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sql)
	}
	from, to := time.Now().Add(-time.Hour), time.Now()
	for _, scope := range []policy.Scope{policy.ScopeTenant, policy.ScopeUser, policy.ScopeWorkflow} {
		for _, tenant := range []string{"", "school"} {
			add(postgres.SpentStatement(scope, "x", tenant, from))
		}
	}
	units := []task.UsageUnit{task.UsageByTenant, task.UsageByUser, task.UsageByWorkflow, task.UsageByKind, task.UsageByModel, task.UsageByDay}
	for set := range 1 << len(units) {
		f := task.UsageFilter{From: from, To: to}
		for i, unit := range units {
			if set&(1<<i) != 0 {
				f.By = append(f.By, unit)
			}
		}
		add(postgres.UsageStatement(f))
		f.Tenant, f.UserID, f.Workflow, f.Kinds, f.Models = "school", "u", "w", []string{"quiz"}, []string{"a", "b"}
		add(postgres.UsageStatement(f))
	}
	return out
}

// schools returns the statements over users and classes with every combination of filters.
func schools(t *testing.T) (out []string) {
	add := func(sql string, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sql)
	}
	for set := range 1 << 4 {
		given := func(i int, text string) string { return text[:len(text)*(set>>i&1)] }
		add(postgres.UserStatement(school.UserFilter{
			Role: auth.Role(given(0, "student")), State: given(1, "active"), Search: given(2, "ada"), Class: given(3, "c"), Limit: 10,
		}))
		f := school.ClassFilter{CreatedBy: given(0, "u"), Archived: set&2 != 0, Limit: 10}
		if set&4 != 0 {
			f.Reader = &school.Reader{UserID: "u", Children: set&8 != 0}
		}
		add(postgres.ClassStatement(f))
	}
	return out
}

// audits returns the statements over what was done and who looked at what, without and with every filter.
func audits(t *testing.T) []string {
	now := time.Now()
	every, _ := postgres.AuditStatement(audit.Filter{Tenant: "school", Actor: "a", Action: "b", Target: "c", From: &now, To: &now, Before: 9, Limit: 10})
	none, _ := postgres.AuditStatement(audit.Filter{Tenant: "school", Limit: 10})
	out := []string{every, none}
	for _, f := range []audit.AccessFilter{{Tenant: "school", Limit: 10}, {Tenant: "school", Student: "s", Actor: "a", From: &now, To: &now, Limit: 10}} {
		sql, _, err := postgres.AccessStatement(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sql)
	}
	return out
}
