package api_test

import (
	"bufio"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/nodetest"
)

// The TypeScript SDK's client, as it comes from npm, sees what the Go client does.
func TestMCP_TypeScriptClientLivesATasksLife(t *testing.T) {
	t.Parallel()
	dir := nodetest.Install(t, filepath.Join("testdata", "mcp-client"))
	k := newKit(t)
	server := httptest.NewServer(k.handler)
	defer server.Close()
	node := exec.CommandContext(t.Context(), "node", "client.mjs")
	node.Dir = dir
	node.Env = append(os.Environ(), "MCP_URL="+server.URL+"/mcp", "MCP_TOKEN="+token(t, auth.Teacher, "ada"))
	told, err := node.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	node.Stdout = &out
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(told); lines.Scan(); {
		line := lines.Text()
		said.WriteString(line + "\n")
		if _, err := k.memory.Last(t.Context(), "school", line); err == nil && strings.Count(line, "-") == 4 {
			k.next(line, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
			k.report(line, 50)
			k.complete(line, 1)
		}
	}
	if err := node.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	var seen struct {
		Refused                   string
		Tools, Prompts, Templates []string
		Resources                 int
		Prompt                    bool
		Progress                  []float64
		State, Result             string
		Wrong                     []any
	}
	if err := json.Unmarshal([]byte(out.String()), &seen); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if !strings.Contains(seen.Refused, "401") && !strings.Contains(seen.Refused, "nauthorized") {
		t.Errorf("without a token: %q", seen.Refused)
	}
	if len(seen.Tools) != 10 || len(seen.Prompts) != 2 || seen.Resources != 4 || len(seen.Templates) != 1 || !seen.Prompt ||
		len(seen.Progress) == 0 || seen.State != "completed" || seen.Result != `{"questions":[]}` || seen.Wrong[1] != "not_found" {
		t.Errorf("it saw %+v", seen)
	}
}
