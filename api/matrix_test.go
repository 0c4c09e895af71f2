package api_test

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/golang-jwt/jwt/v5"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/auth"
)

// A sort of caller is a column of the matrix.
const (
	nobody      = "none"
	expired     = "expired"
	forged      = "wrong signature"
	algNone     = "alg none"
	revoked     = "revoked"
	stranger    = "other tenant" // an admin of another school
	trespasser  = "X-Tenant-ID"  // an admin of the school who names another one
	student     = "student"
	parent      = "parent"
	teacher     = "teacher" // who made what the paths name
	admin       = "admin"
	platform    = "platform admin"
	unenrolled  = "unenrolled" // a platform admin who has yet to set up their second factor
	stale       = "stale"      // a platform admin who signed in an hour ago
	narrowKey   = "key without scope"
	broadKey    = "key with scope"
	maySign     = "may"
	missingSign = "404"
)

func callers() []string {
	return []string{
		nobody, expired, forged, algNone, revoked, stranger, trespasser, student, parent, teacher, admin, platform, unenrolled, stale, narrowKey, broadKey,
	}
}

// expected is what the document says of an operation and a caller. It shares no code with the server.
func expected(a *access, caller string) string {
	switch {
	case a.Public:
		return maySign
	case slices.Contains([]string{nobody, expired, forged, algNone, revoked}, caller):
		return "401"
	case caller == trespasser:
		return "403"
	}
	role := map[string]string{
		stranger: "admin", student: "student", parent: "parent", teacher: "teacher", admin: "admin",
		platform: "platform_admin", unenrolled: "platform_admin", stale: "platform_admin", narrowKey: "platform_admin", broadKey: "platform_admin",
	}[caller]
	switch {
	case a.Roles[role] == "",
		caller == unenrolled && !a.BeforeEnrolment,
		caller == stale && a.StepUp,
		caller == narrowKey,
		caller == broadKey && len(a.Scopes) == 0:
		return "403"
	}
	return maySign
}

// matrixOperations are those of a server with kinds of all sorts.
func matrixOperations(t *testing.T) []operation {
	t.Helper()
	return newKitOf(t, append(kinds(), lessonKind(), terrainKind())).operations()
}

// matrix asks every operation as every caller, and returns what became of it, by operation in the order of operations.
func matrix(t *testing.T, operations []operation, change ...func(*api.Config)) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for _, caller := range callers() {
		c := newColumn(t, caller, change...)
		inOrder := slices.Clone(operations) // what deletes comes last
		slices.SortStableFunc(inOrder, func(a, b operation) int {
			return cmp.Compare(strings.Count(a.Method, "DELETE"), strings.Count(b.Method, "DELETE"))
		})
		for _, op := range inOrder {
			rows[op.Method+" "+op.Path] = append(rows[op.Method+" "+op.Path], c.decision(op))
		}
	}
	return rows
}

// column is a server on which one caller asks everything.
type column struct {
	*kit
	caller string
	bodies map[string]string // by method and path as it is asked
	ids    [6]string         // what stands behind named
}

func newColumn(t *testing.T, caller string, change ...func(*api.Config)) *column {
	t.Helper()
	k := newKitOf(t, append(kinds(), lessonKind(), terrainKind()), change...)
	id, dead := k.submit().ID, k.submit().ID
	k.fail(dead, "bug")
	c := &column{kit: k, caller: caller, bodies: map[string]string{}, ids: [6]string{
		id, dead, k.schedule().ID, k.campaign().ID, k.lesson(`{}`).ID, k.completed("terrain", places()).ID,
	}}
	for _, a := range guarded(c.ids[0], c.ids[1], c.ids[2], c.ids[3]) {
		path, _, _ := strings.Cut(a.path, "?")
		c.bodies[a.method+" "+path] = a.body
	}
	k.revoked.Add(auth.Revocation{Kind: auth.RevokedSession, ID: "ended", Before: time.Now()})
	return c
}

// path puts ids of the school into a path of the document.
func (c *column) path(op operation) string {
	id := "01890000-0000-7000-8000-000000000000"
	for i, part := range named() {
		if strings.Contains(op.Path, part) { // the last one counts
			id = c.ids[i]
		}
	}
	segments := strings.Split(op.Path, "/")
	for i, s := range segments {
		switch {
		case s == "{kind}":
			segments[i] = "quiz"
		case s == "{view}":
			segments[i] = "top"
		case s == "{name}":
			segments[i] = "approved"
		case strings.HasPrefix(s, "{"):
			segments[i] = id
		}
	}
	return "/api/v1" + strings.Join(segments, "/")
}

// decision asks an operation and returns "401", "403", "404", or "may" for whatever else shows that the caller came through.
func (c *column) decision(op operation) string {
	c.t.Helper()
	path := c.path(op)
	a := ask{method: op.Method, path: path, as: "-", header: c.credentials(op), body: c.bodies[op.Method+" "+path]}
	if a.body == "" && (op.Method == http.MethodPost || op.Method == http.MethodPut || op.Method == http.MethodPatch) {
		a.body = "{}"
	}
	got := c.raw(a)
	switch {
	case got.status >= 500:
		c.t.Errorf("%s asks %s %s: %d %s", c.caller, a.method, a.path, got.status, got.raw)
	case got.status == http.StatusUnauthorized || got.status == http.StatusForbidden || got.status == http.StatusNotFound:
		return fmt.Sprint(got.status)
	}
	return maySign
}

// credentials are the headers by which the caller says who they are.
func (c *column) credentials(op operation) http.Header {
	now := time.Now()
	p := auth.Principal{UserID: "root", Tenant: "school", Role: auth.PlatformAdmin, AuthAt: now}
	header := http.Header{}
	claims := jwt.MapClaims{"sub": "root", "tenant_id": "school", "role": "platform_admin", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "auth_at": now.Unix()}
	sign := func(method jwt.SigningMethod, key any) http.Header {
		s, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			c.t.Fatal(err)
		}
		return http.Header{"Authorization": {"Bearer " + s}}
	}
	switch c.caller {
	case nobody:
		return header
	case expired:
		claims["exp"] = now.Add(-time.Hour).Unix()
		return sign(jwt.SigningMethodHS256, secret)
	case forged:
		return sign(jwt.SigningMethodHS256, otherSecret)
	case algNone:
		return sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType)
	case narrowKey, broadKey:
		p.KeyID, p.Scopes = "k", []auth.Scope{}
		for _, scope := range auth.Scopes() {
			if slices.Contains(op.Access.Scopes, string(scope)) == (c.caller == broadKey) {
				p.Scopes = append(p.Scopes, scope)
			}
		}
		c.keys["tbai_matrix"] = p
		return http.Header{"X-Api-Key": {"tbai_matrix"}}
	case revoked:
		p.SessionID = "ended"
	case stranger:
		p.Tenant, p.Role = "college", auth.Admin
	case trespasser:
		p.Role = auth.Admin
		header.Set("X-Tenant-ID", "college")
	case student, parent:
		p.UserID, p.Role = "eve", auth.Role(c.caller)
	case teacher:
		p.UserID, p.Role = "ada", auth.Teacher
	case admin:
		p.Role = auth.Admin
	case unenrolled:
		p.Enroll = true
	case stale:
		p.AuthAt = now.Add(-time.Hour)
	}
	header.Set("Authorization", "Bearer "+issue(c.t, p, 30*time.Minute))
	return header
}

// otherSecret signs what an attacker makes.
var otherSecret = []byte("an attacker has made up this one")

// wrong returns the decisions that are not as the document has them.
func wrong(operations []operation, rows map[string][]string) []string {
	var found []string
	for _, op := range operations {
		for i, caller := range callers() {
			want, got := expected(op.Access, caller), rows[op.Method+" "+op.Path][i]
			known := slices.ContainsFunc(named(), func(part string) bool { return strings.Contains(op.Path, part) })
			if want == maySign && known && (caller == stranger || caller == student || caller == parent) {
				want = missingSign // it is another school's, or not shared
			}
			if unknown := !known && got == missingSign && strings.Contains(op.Path, "{"); got != want && (want != maySign || !unknown) {
				found = append(found, fmt.Sprintf("%s asks %s %s: %s, want %s", caller, op.Method, op.Path, got, want))
			}
		}
	}
	return found
}

// named are the parts of paths behind which column.ids stand.
func named() []string {
	return []string{"/tasks/{", "/dead-letters/{", "/schedules/{", "/campaigns/{", "/html", "/preview/"}
}

func TestMatrix_DecidesAsTheDocumentAndTheGoldenFileSay(t *testing.T) {
	t.Parallel()
	operations := matrixOperations(t)
	rows := matrix(t, operations)
	for _, w := range wrong(operations, rows) {
		t.Error(w)
	}
	file := filepath.Join("testdata", "matrix.golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(drawn(operations, rows)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), drawn(operations, rows)); diff != "" {
		t.Errorf("%s: who may do what has changed; when that is meant, UPDATE_GOLDEN=1 writes it anew:\n%s", file, diff)
	}
}

// drawn is a line for each operation and a column for each caller.
func drawn(operations []operation, rows map[string][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\t%s\n", strings.Join(callers(), "\t"))
	for _, op := range operations {
		row := op.Method + " " + op.Path
		fmt.Fprintf(w, "%s\t%s\n", row, strings.Join(rows[row], "\t"))
	}
	_ = w.Flush() // into memory
	return b.String()
}

// TestMatrix_ShowsABrokenGuard breaks the guard in several ways: a matrix that sees nothing of it would prove nothing.
func TestMatrix_ShowsABrokenGuard(t *testing.T) {
	t.Parallel()
	operations := matrixOperations(t)
	for name, c := range map[string]struct {
		caller string // who comes through
		breaks func(*api.Config)
	}{
		"nobody is revoked": {revoked, func(cfg *api.Config) { cfg.Verifier = verifierOf(t, secret) }},
		"anybody's keys":    {forged, func(cfg *api.Config) { cfg.Verifier = verifierOf(t, otherSecret) }},
		"no proof needed":   {nobody, func(cfg *api.Config) { cfg.DevPrincipal = dev() }},
		"keys have no scopes": {narrowKey, func(cfg *api.Config) {
			cfg.Authenticator = scopeless{cfg.Authenticator.(apiKeys)}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen []string
			column := newColumn(t, c.caller)
			cfg := column.config
			c.breaks(&cfg)
			server, err := api.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			column.handler = server.Handler()
			for _, op := range operations {
				if want, got := expected(op.Access, c.caller), column.decision(op); want == "401" && got != want || want == "403" && got != want {
					seen = append(seen, op.ID)
				}
			}
			if len(seen) < 40 {
				t.Errorf("%s came through to %d operations only: %v", c.caller, len(seen), seen)
			}
		})
	}
}

// TestMatrix_ShowsAChangedTable lets students change the policy: document and server agree on that, the golden file does not.
func TestMatrix_ShowsAChangedTable(t *testing.T) {
	t.Parallel()
	column := newColumn(t, student)
	server, err := api.NewWithAccess(column.config, func(rules map[string]auth.Rule) {
		rules["GetPolicy"] = auth.Rule{Admin: auth.Tenant, Student: auth.Own, Group: "admin"}
	})
	if err != nil {
		t.Fatal(err)
	}
	column.handler = server.Handler()
	golden, err := os.ReadFile(filepath.Join("testdata", "matrix.golden"))
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range column.operations() {
		if op.ID != "GetPolicy" {
			continue
		}
		got := column.decision(op)
		if want := expected(op.Access, student); got != want || got != maySign {
			t.Errorf("the document says %s, the server %s", want, got)
		}
		for line := range strings.Lines(string(golden)) {
			cells := strings.Fields(line)
			if len(cells) > 8 && cells[0]+" "+cells[1] == "GET /admin/policy" && cells[2+slices.Index(callers(), student)] == got {
				t.Errorf("the golden file does not show it: %s", line)
			}
		}
		return
	}
	t.Error("there is no operation GetPolicy")
}

func verifierOf(t *testing.T, secret []byte) *auth.Verifier {
	t.Helper()
	key, err := auth.ParseKey(string(secret))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := auth.NewKeyring(auth.KeyringConfig{Signing: key})
	if err != nil {
		t.Fatal(err)
	}
	v, err := auth.NewVerifier(auth.VerifierConfig{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
