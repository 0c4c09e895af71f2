package mcpclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/mcpclient"
	"github.com/toolboxai/orchestrator/internal/privacy"
)

// school is a server that remembers what it was called with, and answers about it.
type school struct {
	mu   sync.Mutex
	told []string
}

// serve returns a client of s, whose entry goes on with more.
func (s *school) serve(t *testing.T, more string, answer func(arguments string) string) *mcpclient.Client {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "ext", Version: "1"}, nil)
	server.AddTool(&mcp.Tool{Name: "echo", InputSchema: anything}, func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = append(s.told, string(r.Params.Arguments))
		return says(answer(string(r.Params.Arguments)))(), nil
	})
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true, DisableLocalhostProtection: true})
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	u, err := url.Parse(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	allow, err := callback.ParseAllow("mcp.test:" + u.Port())
	if err != nil {
		t.Fatal(err)
	}
	servers, err := mcpclient.ParseServers(fmt.Sprintf(`[{"name":"ext","url":"http://mcp.test:%s/mcp","tools":["echo"],"kinds":["content"]%s}]`, u.Port(), more), allow)
	if err != nil {
		t.Fatal(err)
	}
	c, err := mcpclient.New(mcpclient.Config{Servers: servers, Allow: allow, Resolver: loopback{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// asker asks for a tool with each of arguments, one in an answer, and then says the last result that it saw.
type asker struct {
	arguments []string
	saw       []llm.Request
}

func (a *asker) Describe() string { return "asker" }

func (a *asker) Complete(_ context.Context, req llm.Request) (llm.Response, error) {
	a.saw = append(a.saw, req)
	if n := len(a.saw); n <= len(a.arguments) {
		return llm.Response{Calls: []llm.ToolCall{{ID: fmt.Sprint(n), Name: "ext_echo", Arguments: json.RawMessage(a.arguments[n-1])}}}, nil
	}
	_, text, _ := strings.Cut(req.Messages[len(req.Messages)-1].Text, "<tool_data>\n")
	text, _, _ = strings.Cut(text, "\n</tool_data>")
	return llm.Response{Text: text}, nil
}

// ask has a model that is told of nobody call the tools of c, and returns what its caller reads.
func (a *asker) ask(t *testing.T, c *mcpclient.Client) string {
	t.Helper()
	ctx := llm.WithCaller(t.Context(), llm.Caller{Names: []string{"Ada Lovelace", "Max Born"}})
	req := llm.Request{Prompt: "Find out about Max Born and Ada Lovelace, ada@school.example, +44 20 7946 0958."}
	resp, _, err := llm.CompleteWithTools(ctx, privacy.NewPseudonyms(a), req, c.Tools(ctx, "content"), llm.ToolLimits{})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Text
}

// identities is what nobody outside is told.
var identities = []string{"Ada", "Lovelace", "Max", "Born", "school.example", "7946"}

func mentions(text string) (found []string) {
	for _, s := range identities {
		if strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
			found = append(found, s)
		}
	}
	return found
}

// A server is told of people under the pseudonyms that the model has for them, and what it says of them is the caller's to read in full.
func TestCall_TellsServersOfNobody(t *testing.T) {
	t.Parallel()
	said := []string{`{"about":"PERSON_1s friend person_2","to":["EMAIL_1"],"PHONE_1":"PERSON_1A"}`, `{"about":"PERSON_1 again, EMAIL_1"}`}
	for name, c := range map[string]struct {
		more  string
		known bool
	}{"ByDefault": {"", false}, "WhereItIsSaid": {`,"names":false`, false}, "NotTheSchoolsOwn": {`,"names":true`, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s school
			model := &asker{arguments: said}
			got := model.ask(t, s.serve(t, c.more, func(arguments string) string { return arguments }))
			if len(s.told) != 2 {
				t.Fatalf("called %d times: %q", len(s.told), s.told)
			}
			if found := mentions(strings.Join(s.told, "\n")); (len(found) > 0) != c.known {
				t.Errorf("the server was told %q in %q", found, s.told)
			}
			if !c.known && (!strings.Contains(s.told[0], "PERSON_1s friend person_2") || s.told[1] != said[1]) {
				t.Errorf("the server was told %q", s.told)
			}
			if got != `{"about":"Ada Lovelace again, ada@school.example"}` {
				t.Errorf("the caller reads %q", got)
			}
			for i, req := range model.saw {
				for _, m := range append(req.Messages, llm.Message{Text: req.Prompt}) {
					if found := mentions(m.Text); len(found) > 0 {
						t.Errorf("round %d: the model is told %q in %q", i+1, found, m.Text)
					}
					if strings.Contains(m.Text, "PERSON_3") || strings.Contains(m.Text, "EMAIL_2") {
						t.Errorf("round %d: somebody has a second pseudonym in %q", i+1, m.Text)
					}
				}
			}
		})
	}
}

// A server that makes the model write pseudonyms in ways that hide no more learns nothing by it, and neither does the model.
func TestCall_TellsNobodyByWordsThatAServerPutTogether(t *testing.T) {
	t.Parallel()
	for _, trick := range []string{
		"xPERSON_1x", "PERSON_1Ax", "PERSON_1s", "9PERSON_1", "PERSON_19", `PERSON_1\u0061`, "+1 1 1 1 1 1 1 1 1 PHONE_1", "_EMAIL_1_", "EMAIL_1x", `\u0041EMAIL_1`, "PERSON_1A\u200bPERSON_1B",
	} {
		t.Run(trick, func(t *testing.T) {
			t.Parallel()
			var s school
			quoted, err := json.Marshal(map[string]string{"a": trick})
			if err != nil {
				t.Fatal(err)
			}
			model := &asker{arguments: []string{`{}`, string(quoted), string(quoted)}}
			model.ask(t, s.serve(t, "", func(string) string { return "Call again with " + trick }))
			if found := mentions(strings.Join(s.told, "\n")); len(found) > 0 {
				t.Errorf("the server was told %q in %q", found, s.told)
			}
			for _, req := range model.saw {
				for _, m := range req.Messages {
					for _, c := range m.Calls {
						m.Text += string(c.Arguments)
					}
					if found := mentions(m.Text); len(found) > 0 {
						t.Errorf("the model was told %q in %q", found, m.Text)
					}
				}
			}
		})
	}
}
