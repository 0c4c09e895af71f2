package llmtest_test

import (
	"context"
	"fmt"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

// A scripted provider needs no *testing.T: a whole process runs against it by OPENAI_API_BASE. This model forgets the title
// at first and corrects itself when it is told.
func ExampleNewServer() {
	server, stop := llmtest.NewServer(llmtest.OpenAI, llmtest.Say(`{"heading":"The sky"}`, `{"title":"The sky"}`))
	defer stop()

	ctx := context.Background()
	client, err := llm.Select(ctx, llm.Config{OpenAI: llm.Endpoint{Base: server.Base(), Model: "scripted"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	req := llm.Request{Prompt: "A quiz about the sky.", Schema: []byte(`{"type":"object","required":["title"]}`)}
	resp, rounds, err := llm.CompleteValid(ctx, client, req, func(text string) []fault.Detail {
		if text != `{"title":"The sky"}` {
			return []fault.Detail{{Field: "/title", Reason: "is missing"}}
		}
		return nil
	})
	fmt.Println(resp.Text, rounds, len(server.Calls()), err)
	// Output: {"title":"The sky"} 2 2 <nil>
}
