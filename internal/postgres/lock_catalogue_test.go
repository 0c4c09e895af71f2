package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

// ofNobody are the tables that hold no tenant's rows.
func ofNobody() []string { return []string{"goose_db_version", "recorder_position", "audit_places"} }

const (
	// listTables says of each table, or view, whether row-level security is on, and which column names the tenant.
	listTables = `
		SELECT c.relname || ' ' || c.relrowsecurity || ' ' || coalesce(string_agg(a.attname, ',' ORDER BY a.attname), '')
		FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND (a.attname = 'tenant' OR c.relname = 'tenants' AND a.attname = 'id')
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
		GROUP BY c.oid ORDER BY 1`

	// listBound are the views that show the rows of the present tenant alone, which they do in their owner's rights.
	listBound = `
		SELECT viewname::text FROM pg_views WHERE schemaname = 'public'
			AND definition ~ E'FROM \\w+\n\\s+WHERE \\((\\w+\\.)?tenant = current_setting\\(''toolboxai.tenant''::text, true\\)\\);$'`

	listPolicies = `
		SELECT concat_ws(' ', permissive, cmd, array_to_string(roles, ','), qual, with_check)
		FROM pg_policies WHERE schemaname = 'public' AND tablename = $1`

	// listExcess are rights that the role of the second lock must not have.
	listExcess = `
		SELECT privilege_type || ' on ' || table_name FROM information_schema.role_table_grants
		WHERE grantee IN ('toolboxai_tenant', 'PUBLIC') AND table_schema = 'public' AND (privilege_type IN ('TRUNCATE', 'TRIGGER', 'REFERENCES')
			OR privilege_type <> 'SELECT' AND table_name IN ('tasks', 'results', 'task_events', 'ledger', 'recorder_position', 'tenants', 'audit_log',
				'access_log', 'audit_anchors', 'audit_places', 'goose_db_version'))
		UNION ALL SELECT 'attributes of ' || rolname FROM pg_roles
		WHERE rolname = 'toolboxai_tenant' AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolcanlogin)
		UNION ALL SELECT 'membership in ' || roleid::regrole FROM pg_auth_members WHERE member = 'toolboxai_tenant'::regrole
		UNION ALL SELECT 'ownership of ' || relname FROM pg_class WHERE relowner = 'toolboxai_tenant'::regrole`
)

// openTables are those that show a tenant more than its own rows, or might.
func openTables(tb testing.TB, url string) (wrong []string) {
	tb.Helper()
	bound := query(tb, url, listBound)
	for _, row := range query(tb, url, listTables) {
		table, rest, _ := strings.Cut(row, " ")
		secured, column, _ := strings.Cut(rest, " ")
		if slices.Contains(bound, table) {
			continue
		}
		if column == "" {
			if !slices.Contains(ofNobody(), table) {
				wrong = append(wrong, table+" has no column tenant")
			}
			continue
		}
		if secured != "true" {
			wrong = append(wrong, table+" has no row-level security")
		}
		want := fmt.Sprintf("PERMISSIVE ALL toolboxai_tenant (%s = current_setting('toolboxai.tenant'::text, true))", column)
		if policies := query(tb, url, listPolicies, table); !slices.Equal(policies, []string{want}) {
			wrong = append(wrong, fmt.Sprintf("%s has the policies %q", table, policies))
		}
	}
	return append(wrong, query(tb, url, listExcess)...)
}

func TestSecondLock_IsOnEveryTableOfTenants(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	if tables := query(t, url, listTables); len(tables) < 20 {
		t.Errorf("only %v are there: the test looks at the wrong place", tables)
	}
	if wrong := openTables(t, url); len(wrong) > 0 {
		t.Errorf("these are not locked: %q", wrong)
	}
}

func TestSecondLock_IsMissedWhereItIsMissing(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	for sql, want := range map[string]string{
		"CREATE TABLE forgotten (tenant text, secret text)":                                                        "forgotten has no row-level security",
		"CREATE TABLE anonymous (secret text)":                                                                     "anonymous has no column tenant",
		"CREATE VIEW around AS SELECT name FROM users":                                                             "around has no column tenant",
		"CREATE VIEW wide AS SELECT * FROM tasks WHERE tenant = current_setting('toolboxai.tenant', true) OR true": "wide has no row-level security",
		"ALTER TABLE users DISABLE ROW LEVEL SECURITY":                                                             "users has no row-level security",
		"CREATE POLICY wide ON classes TO toolboxai_tenant USING (true)":                                           "classes has the policies",
		"ALTER POLICY of_tenant ON shares USING (true)":                                                            "shares has the policies",
		"DROP POLICY of_tenant ON guardians":                                                                       "guardians has the policies []",
		"GRANT UPDATE ON tasks TO toolboxai_tenant":                                                                "UPDATE on tasks",
		"GRANT TRUNCATE ON sessions TO PUBLIC":                                                                     "TRUNCATE on sessions",
		"CREATE TABLE owned (tenant text); ALTER TABLE owned OWNER TO toolboxai_tenant":                            "ownership of owned",
	} {
		execute(t, url, sql)
		if wrong := openTables(t, url); !slices.ContainsFunc(wrong, func(w string) bool { return strings.HasPrefix(w, want) }) {
			t.Errorf("%s: got %q, want %q", sql, wrong, want)
		}
	}
}
