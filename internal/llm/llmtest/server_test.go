package llmtest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func post(ctx context.Context, t *testing.T, url, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

const streamedRequest = `{"model":"m","stream":true,"max_completion_tokens":9,"temperature":0.5,"response_format":{"type":"json_object"},
	"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Hi "},{"type":"text","text":"there"}]}]}`

func TestServer_RecordsRequests(t *testing.T) {
	t.Parallel()
	s := llmtest.NewOpenAI(t, llmtest.Say("Hello."))
	post(t.Context(), t, s.Base()+"/chat/completions", streamedRequest)
	calls := s.Calls()
	if len(calls) != 1 {
		t.Fatalf("%d calls", len(calls))
	}
	c := calls[0]
	if c.Model != "m" || c.System != "Be brief." || c.Prompt != "Hi there" || !c.Stream || !c.JSONMode || c.MaxTokens != 9 || *c.Temperature != 0.5 ||
		c.Path != "/v1/chat/completions" {
		t.Errorf("got %+v", c)
	}
}

func TestServer_HoldsAnAnswerUntilItIsReleased(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply {
		return llmtest.Reply{Text: "one two three", Delta: 4, Hold: release, HoldAfter: 1}
	})
	resp := post(t.Context(), t, s.Base()+"/chat/completions", streamedRequest)
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), "one") {
	}
	if err := s.Await(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	expired, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.AwaitIdle(expired); !errors.Is(err, context.Canceled) {
		t.Errorf("the server is idle while it holds an answer: %v", err)
	}
	close(release)
	rest := ""
	for lines.Scan() {
		rest += lines.Text()
	}
	if !strings.Contains(rest, `"two "`) || !strings.HasSuffix(rest, "data: [DONE]") {
		t.Errorf("after the release came %q", rest)
	}
	if err := s.AwaitIdle(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestServer_NoticesThatTheClientLeft(t *testing.T) {
	t.Parallel()
	s := llmtest.NewOpenAI(t, func(llmtest.Call) llmtest.Reply { return llmtest.Reply{Text: "one two", Hold: make(chan struct{})} })
	ctx, cancel := context.WithCancel(t.Context())
	post(ctx, t, s.Base()+"/chat/completions", streamedRequest)
	cancel()
	if err := s.AwaitIdle(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNewServer_StopEndsHeldAnswers(t *testing.T) {
	t.Parallel()
	s, stop := llmtest.NewServer(llmtest.Anthropic, func(llmtest.Call) llmtest.Reply {
		return llmtest.Reply{Text: "one two", Hold: make(chan struct{})}
	})
	resp := post(t.Context(), t, s.Base()+"/messages", `{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}`)
	stop()
	stop()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the held answer ended in good order: %q", body)
	}
}

func TestServer_RefusesWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	s := llmtest.New(t, llmtest.Anthropic, llmtest.Say("Hello."))
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{"/messages", `{"model":"m","messages":[]}`, http.StatusBadRequest}, // Anthropic insists on max_tokens
		{"/messages", `{`, http.StatusBadRequest},
		{"/chat/completions", `{}`, http.StatusNotFound},
	} {
		if resp := post(t.Context(), t, s.Base()+c.path, c.body); resp.StatusCode != c.want {
			t.Errorf("%s %s: status %d, want %d", c.path, c.body, resp.StatusCode, c.want)
		}
	}
	if n := len(s.Calls()); n != 0 {
		t.Errorf("%d calls on record", n)
	}
}
