package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/toolboxai/orchestrator/"

// mayImport says which of our packages each package may import. A name stands for the package and what is below it, unless
// that has a row of its own. Test files and test packages (…test) may import what they like, as long as nothing but tests
// imports them.
var mayImport = map[string][]string{
	"events":                  {},
	"migrations":              {},
	"internal/fault":          {},
	"internal/task":           {"events", "internal/fault"},
	"internal/policy":         {"internal/fault"},
	"internal/dispatch":       {"events", "internal/task", "internal/policy", "internal/fault"},
	"internal/schedule":       {"events", "internal/task", "internal/audit", "internal/fault"},
	"internal/campaign":       {"events", "internal/task", "internal/audit", "internal/fault"},
	"internal/chaos":          {"events"},
	"internal/chat":           {"events", "internal/task", "internal/fault"},
	"internal/telemetry":      {"internal/task", "internal/notify", "internal/fault"},
	"internal/auth":           {"internal/fault"},
	"internal/secret":         {"internal/fault"},
	"internal/breaker":        {"internal/fault"},
	"internal/ticket":         {"internal/secret", "internal/fault"},
	"internal/audit":          {"internal/fault"},
	"internal/mail":           {"internal/breaker", "internal/fault"},
	"internal/limit":          {"internal/policy", "internal/breaker", "internal/fault"},
	"internal/apikey":         {"internal/auth", "internal/audit", "internal/secret", "internal/fault"},
	"internal/account":        {"internal/auth", "internal/audit", "internal/secret", "internal/mail", "internal/fault"},
	"internal/school":         {"internal/account", "internal/auth", "internal/audit", "internal/fault"},
	"internal/privacy":        {"internal/llm", "internal/auth", "internal/audit", "internal/fault"},
	"internal/agentcontext":   {"internal/fault"},
	"internal/mcpclient":      {"internal/llm", "internal/breaker", "internal/callback", "internal/fault"},
	"internal/markdown":       {"internal/fault"},
	"internal/llm":            {"internal/policy", "internal/breaker", "internal/fault"},
	"internal/llm/composer":   {"internal/llm", "internal/roblox", "internal/fault"},
	"internal/roblox":         {"internal/fault"},
	"internal/notify":         {"events", "internal/fault"},
	"internal/channels":       {"internal/fault"},
	"internal/callback":       {"events", "internal/fault"},
	"internal/pusher":         {"internal/notify", "internal/fault"},
	"internal/postgres":       {"events", "migrations", "internal/chat", "internal/agentcontext", "internal/task", "internal/policy", "internal/account", "internal/school", "internal/apikey", "internal/auth", "internal/audit", "internal/privacy", "internal/callback", "internal/breaker", "internal/fault"},
	"internal/redis":          {"internal/llm", "internal/limit", "internal/policy", "internal/breaker", "internal/fault"},
	"internal/postgres/local": {"internal/fault"},
	"nats":                    {"events", "internal/task", "internal/policy", "internal/dispatch", "internal/schedule", "internal/campaign", "internal/auth", "internal/audit", "internal/callback", "internal/breaker", "internal/channels", "internal/fault"},
	"api":                     {"events", "internal/task", "internal/policy", "internal/schedule", "internal/campaign", "internal/chat", "internal/account", "internal/school", "internal/apikey", "internal/auth", "internal/audit", "internal/limit", "internal/breaker", "internal/privacy", "internal/markdown", "internal/ticket", "internal/callback", "internal/agentcontext", "internal/fault"},
	"workers":                 {"events", "internal/task", "internal/fault"},
	"workers/agents":          {"events", "workers", "internal/task", "internal/chat", "internal/llm", "internal/roblox", "internal/fault"},
	"cmd/toolboxai":           {"*"},
	"bench":                   {"*"},
	"bench/rivals":            {"*"},
}

func TestImports_FollowTheFloorPlan(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	checked := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		if forTests(pkg) {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if ours, ok := strings.CutPrefix(imported, module); ok {
				checked++
				if why := refuse(pkg, ours); why != "" {
					t.Errorf("%s imports %s: %s", strings.TrimPrefix(path, root+string(filepath.Separator)), ours, why)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 50 {
		t.Errorf("only %d imports were checked: the walk misses the code", checked)
	}
}

func TestImports_RefuseWhatThePlanForbids(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pkg, imported string }{
		{"api", "nats"}, {"api", "workers"}, {"events", "internal/fault"}, {"internal/task", "nats"}, {"workers", "internal/llm"},
		{"internal/llm", "internal/task"}, {"workers/agents/quiz", "api"}, {"nats", "internal/task/tasktest"}, {"internal/new", "events"},
	} {
		if refuse(c.pkg, c.imported) == "" {
			t.Errorf("%s may import %s", c.pkg, c.imported)
		}
	}
	for _, c := range []struct{ pkg, imported string }{{"workers/agents", "workers/agents/quiz"}, {"nats", "internal/task"}, {"cmd/toolboxai", "api"}} {
		if why := refuse(c.pkg, c.imported); why != "" {
			t.Errorf("%s may not import %s: %s", c.pkg, c.imported, why)
		}
	}
}

func refuse(pkg, imported string) string {
	if forTests(imported) && pkg != "bench" {
		return "it is for tests"
	}
	row := rowOf(pkg)
	if row == "" {
		return "the package has no row in the plan"
	}
	allowed := mayImport[row]
	if slices.Contains(allowed, "*") || rowOf(imported) == row || slices.Contains(allowed, rowOf(imported)) {
		return ""
	}
	return "the plan allows " + strings.Join(allowed, ", ")
}

// rowOf returns the longest row that covers pkg.
func rowOf(pkg string) string {
	for p := pkg; p != "." && p != "/"; p = filepath.ToSlash(filepath.Dir(p)) {
		if _, ok := mayImport[p]; ok {
			return p
		}
	}
	return ""
}

func forTests(pkg string) bool {
	for part := range strings.SplitSeq(pkg, "/") {
		if strings.HasSuffix(part, "test") {
			return true
		}
	}
	return false
}
