package api_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/auth"
)

// access is what the served document says of who may do an operation.
type access struct {
	Public          bool              `json:"public"`
	Roles           map[string]string `json:"roles"` // how far each reaches
	Scopes          []string          `json:"scopes"`
	StepUp          bool              `json:"step_up"`
	BeforeEnrolment bool              `json:"before_enrolment"`
	Limits          []string          `json:"limits"`
}

// operation is one of the served document.
type operation struct {
	Method, Path string // such as "GET" and "/tasks/{id}"
	ID           string `json:"operationId"`
	Summary      string
	Kind         string           `json:"x-kind"`
	Access       *access          `json:"x-access"`
	Security     *json.RawMessage `json:"security"`
	Tags         []string
}

// operations returns those of the document, by path and method.
func (k *kit) operations() []operation {
	k.t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(k.document(), &doc); err != nil {
		k.t.Fatal(err)
	}
	var all []operation
	for path, item := range doc.Paths {
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			if item[method] == nil {
				continue
			}
			op := operation{Method: strings.ToUpper(method), Path: path}
			if err := json.Unmarshal(item[method], &op); err != nil {
				k.t.Fatal(err)
			}
			all = append(all, op)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method)) })
	return all
}

func TestNew_WantsARuleForEachOperationAndAnOperationForEachRule(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(map[string]auth.Rule){
		`the operation "GetTask" has no rule`:                              func(rules map[string]auth.Rule) { delete(rules, "GetTask") },
		"the rule for GetTusk has no operation in the OpenAPI document":    func(rules map[string]auth.Rule) { rules["GetTusk"] = rules["GetTask"] },
		"the operation GetTask: access.go and the security of the OpenAPI": func(rules map[string]auth.Rule) { rules["GetTask"] = auth.Rule{Public: true} },
		"the operation GetHealth: access.go and the security":              func(rules map[string]auth.Rule) { rules["GetHealth"] = rules["GetTask"] },
	} {
		if _, err := api.NewWithAccess(newKit(t).config, change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestDocument_SaysWhoMay(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	byID := map[string]operation{}
	for _, op := range k.operations() {
		if op.Access == nil {
			t.Errorf("%s does not say who may", op.ID)
			continue
		}
		byID[op.ID] = op
		if keys := op.Security != nil && strings.Contains(string(*op.Security), "apiKey"); keys != (len(op.Access.Scopes) > 0) {
			t.Errorf("%s: API keys may is %v, its scopes are %v", op.ID, keys, op.Access.Scopes)
		}
	}
	for id, want := range map[string]access{
		"GetHealth":  {Public: true, Limits: []string{}},
		"GetTask":    {Roles: map[string]string{"platform_admin": "tenant", "admin": "tenant", "teacher": "tenant", "student": "shared", "parent": "shared"}, Scopes: []string{"tasks:read"}, Limits: []string{}},
		"CancelTask": {Roles: map[string]string{"platform_admin": "tenant", "admin": "tenant", "teacher": "own"}, Scopes: []string{"tasks:write"}, Limits: []string{}},
		"PutPolicy":  {Roles: map[string]string{"platform_admin": "tenant"}, Scopes: []string{"admin"}, Limits: []string{}},
		"SubmitQuiz": {Roles: map[string]string{"platform_admin": "tenant", "admin": "tenant", "teacher": "own"}, Scopes: []string{"tasks:write"}, Limits: []string{"quiz"}},
	} {
		if diff := gocmp.Diff(&want, byID[id].Access); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
}

// TestAccessPage_IsWhatTheTableSays holds docs/ACCESS.md against the served document. UPDATE_GOLDEN=1 writes it.
func TestAccessPage_IsWhatTheTableSays(t *testing.T) {
	t.Parallel()
	page := accessPage(newKit(t).operations(), socketAccess(t))
	file := filepath.Join("..", "docs", "ACCESS.md")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), string(page)); diff != "" {
		t.Errorf("%s is not what access.go says; UPDATE_GOLDEN=1 writes it anew:\n%s", file, diff)
	}
}

const accessHead = `# Who may do what

Made from api/access.go by its tests; do not edit. The served OpenAPI document says the same at each operation, as ` + "`x-access`" + `.

How far a role reaches: **own** is what they made, **shared** also what was shared with a class of theirs (for parents: what their
children may read), **tenant** all of their school; – means that they may not. A platform admin has a home tenant like anybody and acts in
another one by naming it in ` + "`X-Tenant-ID`" + `, which goes on that tenant's record first.

An API key acts for a user: it may what that user's role may and its own **scope** allows; where no scope stands, API keys may not.
**Fresh** operations need a proof of who one is (password, code or passkey) from the last 10 minutes. Who has yet to set up the second
factor that their role demands, or a password of their own in place of a temporary one, may use only what is marked **enrol**.

**Counted** names the rate limits that a request counts against, beside its user's or key's own and the one for all requests together.
Submissions count against their kind's: content, quiz, terrain, script, code_review, roblox, or generation for any other.
`

// socketAccess returns the WebSockets as if they were operations, by path.
func socketAccess(t *testing.T) []operation {
	t.Helper()
	data, err := json.Marshal(api.SocketAccess())
	if err != nil {
		t.Fatal(err)
	}
	var found map[string]*access
	if err := json.Unmarshal(data, &found); err != nil {
		t.Fatal(err)
	}
	var all []operation
	for _, path := range slices.Sorted(maps.Keys(found)) {
		all = append(all, operation{Method: "GET", Path: path, Access: found[path]})
	}
	return all
}

func accessPage(operations, sockets []operation) []byte {
	var b bytes.Buffer
	b.WriteString(accessHead)
	byTag := map[string][]operation{}
	for _, op := range operations {
		if op.Kind == "" { // as SubmitTask
			byTag[op.Tags[0]] = append(byTag[op.Tags[0]], op)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(byTag)) {
		accessRows(&b, tag, byTag[tag])
	}
	accessRows(&b, "WebSockets, outside of /api/v1", sockets)
	return b.Bytes()
}

func accessRows(b *bytes.Buffer, title string, operations []operation) {
	fmt.Fprintf(b, "\n## %s\n\n| operation | platform admin | admin | teacher | student | parent | API key scope | needs | counted |\n|---|---|---|---|---|---|---|---|---|\n", title)
	for _, op := range operations {
		a := op.Access
		cells := []string{"`" + op.Method + " " + op.Path + "`"}
		for _, role := range auth.Roles() {
			reach := cmp.Or(a.Roles[string(role)], "–")
			if a.Public {
				reach = "anybody"
			}
			cells = append(cells, reach)
		}
		var needs []string
		if a.StepUp {
			needs = append(needs, "fresh")
		}
		if a.BeforeEnrolment {
			needs = append(needs, "enrol")
		}
		cells = append(cells, strings.Join(a.Scopes, ", "), strings.Join(needs, ", "), strings.Join(a.Limits, ", "))
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}
