package llmtest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// patience bounds every wait of the suites; none of them takes that long unless it fails.
const patience = 20 * time.Second

// Requests are two that any model can serve: one for text, one for JSON.
func Requests() []llm.Request {
	return []llm.Request{
		{Purpose: "content.summary", System: "You write for schools.", Prompt: "Say in two sentences why the sky is blue."},
		{
			Purpose: "quiz.draft", System: "You write quizzes.", Prompt: "One question about the sky.", Temperature: 0.2,
			Input:  json.RawMessage(`{"subject":"Science","num_questions":1}`),
			Schema: json.RawMessage(`{"type":"object","required":["title"],"properties":{"title":{"type":"string"}}}`),
		},
	}
}

// Compliant answers the requests of Requests as a good model does.
func Compliant(c Call) Reply {
	if strings.Contains(c.System, "JSON Schema") {
		return Reply{Text: `{"title":"The sky – é, 空, 🌤 – and \"why\" it is blue"}`}
	}
	return Reply{Text: "Air scatters blue light more than red. So blue reaches us from all sides – é, 空, 🌤."}
}

// Run checks what every llm.Client promises. open returns the client, ready to answer each of the requests (those of
// Requests when none are given).
func Run(t *testing.T, open func(t *testing.T) llm.Client, requests ...llm.Request) {
	t.Helper()
	if len(requests) == 0 {
		requests = Requests()
	}
	for _, c := range []struct {
		name  string
		check func(*testing.T, llm.Client, llm.Request)
	}{
		{"Answers", checkAnswers},
		{"StreamsInOrder", checkStreams},
		{"EndsWithACanceledContext", checkCanceled},
		{"EndsWithAnExpiredContext", checkExpired},
		{"ServesManyAtOnce", checkConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client := open(t)
			if line := client.Describe(); line == "" || strings.ContainsAny(line, "\r\n") {
				t.Errorf("Describe returned %q, want one line", line)
			}
			for _, req := range requests {
				c.check(t, client, req)
			}
		})
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func checkAnswers(t *testing.T, c llm.Client, req llm.Request) {
	resp, err := c.Complete(within(t), req)
	if err != nil {
		t.Fatalf("%s: %v", req.Purpose, err)
	}
	checkResponse(t, req, resp)
}

func checkResponse(t *testing.T, req llm.Request, resp llm.Response) {
	t.Helper()
	if strings.TrimSpace(resp.Text) == "" || resp.Provider == "" || resp.Model == "" {
		t.Errorf("%s: the response lacks text, provider or model: %+v", req.Purpose, resp)
	}
	if req.Schema != nil && !json.Valid([]byte(resp.Text)) {
		t.Errorf("%s: the text is not one JSON value: %q", req.Purpose, resp.Text)
	}
	u := resp.Usage
	if u.InputTokens < 0 || u.OutputTokens < 0 || u.CostUSD < 0 || !u.CostKnown && u.CostUSD != 0 {
		t.Errorf("%s: impossible usage %+v", req.Purpose, u)
	}
	if resp.Offline != (resp.Provider == "offline") {
		t.Errorf("%s: offline is %v for provider %q", req.Purpose, resp.Offline, resp.Provider)
	}
	if resp.Offline && (u.InputTokens != 0 || u.OutputTokens != 0 || u.CostUSD != 0 || !u.CostKnown) {
		t.Errorf("%s: the offline client charges %+v", req.Purpose, u)
	}
}

func checkStreams(t *testing.T, c llm.Client, req llm.Request) {
	var text strings.Builder // not guarded: deltas come from one goroutine, and none after Complete
	req.OnDelta = func(delta string) {
		if delta == "" {
			t.Errorf("%s: an empty delta", req.Purpose)
		}
		text.WriteString(delta)
	}
	resp, err := c.Complete(within(t), req)
	if err != nil {
		t.Fatalf("%s: %v", req.Purpose, err)
	}
	checkResponse(t, req, resp)
	if req.Schema == nil && text.String() != resp.Text {
		t.Errorf("%s: the deltas make %q, the answer is %q", req.Purpose, text.String(), resp.Text)
	}
	if !strings.Contains(text.String(), resp.Text) {
		t.Errorf("%s: the deltas %q do not hold the answer %q", req.Purpose, text.String(), resp.Text)
	}
}

func checkCanceled(t *testing.T, c llm.Client, req llm.Request) {
	reason := errors.New("the task was withdrawn")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(reason)
	resp, err := c.Complete(ctx, req)
	if !fault.Is(err, fault.Canceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("%s: got %v, want a Canceled fault", req.Purpose, err)
	}
	if resp.Text != "" {
		t.Errorf("%s: text came with an error: %q", req.Purpose, resp.Text)
	}
}

func checkExpired(t *testing.T, c llm.Client, req llm.Request) {
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	resp, err := c.Complete(ctx, req)
	if !fault.Is(err, fault.Timeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s: got %v, want a Timeout fault", req.Purpose, err)
	}
	if resp.Text != "" {
		t.Errorf("%s: text came with an error: %q", req.Purpose, resp.Text)
	}
}

func checkConcurrent(t *testing.T, c llm.Client, req llm.Request) {
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			r := req
			if i%2 == 0 {
				r.OnDelta = func(string) {}
			}
			resp, err := c.Complete(within(t), r)
			if err != nil {
				t.Errorf("%s: %v", r.Purpose, err)
				return
			}
			checkResponse(t, r, resp)
		})
	}
	group.Wait()
}
