package llm_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/openai"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

// bare is langchaingo as it is, behind our interface.
type bare struct{ model llms.Model }

func (b bare) Describe() string { return "bare langchaingo" }

func (b bare) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	var options []llms.CallOption
	if req.OnDelta != nil {
		options = append(options, llms.WithStreamingFunc(func(_ context.Context, delta []byte) error {
			if len(delta) > 0 {
				req.OnDelta(string(delta))
			}
			return nil
		}))
	}
	content, err := b.model.GenerateContent(ctx, messagesOf(req), options...)
	if err != nil {
		return llm.Response{}, err
	}
	resp := llm.Response{Text: content.Choices[0].Content, Provider: "openai", Model: "m"}
	for _, c := range content.Choices[0].ToolCalls {
		resp.Calls = append(resp.Calls, llm.ToolCall{ID: c.ID, Name: c.FunctionCall.Name, Arguments: json.RawMessage(c.FunctionCall.Arguments)})
	}
	return resp, nil
}

func messagesOf(req llm.Request) []llms.MessageContent {
	return []llms.MessageContent{
		llms.TextParts(llms.ChatMessageTypeSystem, req.System), llms.TextParts(llms.ChatMessageTypeHuman, req.Prompt),
	}
}

// TestRunFaults_CatchesBareLangchaingo is the negative control of the fault suite, and the list of what Remote mends: when a
// later langchaingo passes one of these, that part of exchange.go can go.
func TestRunFaults_CatchesBareLangchaingo(t *testing.T) {
	t.Parallel()
	open := func(t testing.TB, base string) llm.Client {
		model, err := openai.New(openai.WithToken(llmtest.Key), openai.WithModel("gpt-4.1-mini"), openai.WithBaseURL(base))
		if err != nil {
			t.Fatal(err)
		}
		return bare{model}
	}
	// What the suite says about the client: part of it for each fault.
	streamed := map[string]string{
		"EndsWithoutAStopReason": "no error, but the text", "EndsInTheMiddle": "no error, but the text",
		"CanceledWhileItAnswers": "", // by chance: half an answer and no error, or an error without the cause
		"StopsAtTheTokenLimit":   "no error, but the text", "ErrorWithinTheAnswer": "no error, but the text",
		"NotJSON": "no error, but the text", "Refuses": "no error, but the text",
		"RateLimitedWithSeconds": "the error is internal", "WrongKey": "the error is internal", "HugeBody": "no error, but the text",
		"ToolCalls": "the deltas make", "ToolCallsThatEndInTheMiddle": "calls came with", "ToolThatIsNotOffered": "no error, but the text",
		"ToolArgumentsThatAreNoJSON": "no error, but the text", "TooManyToolCalls": "no error, but the text",
	}
	whole := map[string]string{
		"EndsWithoutAStopReason": "no error, but the text", "StopsAtTheTokenLimit": "no error, but the text",
		"RateLimitedWithSeconds": "the error is internal", "ServerError": "the error is internal", "SlowServer": "the error is internal",
		"NoJSON": "no error, but the text", "HugeBody": "no error, but the text",
		"ToolCallsWithoutAStopReason": "calls came with", "ToolCallsAtTheTokenLimit": "no error, but the text",
		"ToolWhereNoneIsOffered": "no error, but the text", "HugeToolArguments": "no error, but the text",
	}
	for _, f := range llmtest.Faults() {
		for stream, expected := range map[bool]map[string]string{true: streamed, false: whole} {
			want, ok := expected[f.Name]
			if !ok {
				continue
			}
			t.Run(f.Name+"/"+llmtest.Mode(stream), func(t *testing.T) {
				t.Parallel()
				err := f.Check(t, llmtest.OpenAI, stream, open)
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the suite says %q, want %q", shorten(err), want)
				}
			})
		}
	}
}

func shorten(err error) string {
	if err == nil {
		return "nothing"
	}
	return err.Error()[:min(len(err.Error()), 200)]
}
