package llm_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

// needsTitle refuses an answer without a title, with a message that a prompt can be searched for.
func needsTitle(text string) []fault.Detail {
	if strings.Contains(text, `"title"`) {
		return nil
	}
	return []fault.Detail{{Field: "/title", Reason: "is missing (rule 17)"}}
}

func completeValid(t *testing.T, script llmtest.Script) (*llmtest.Server, llm.Response, int, error) {
	t.Helper()
	s := llmtest.NewOpenAI(t, script)
	client, err := llm.NewOpenAI(llm.Endpoint{Base: s.Base(), Model: "local"})
	if err != nil {
		t.Fatal(err)
	}
	req := llmtest.Requests()[1]
	req.OnDelta = func(string) {}
	resp, rounds, err := llm.CompleteValid(t.Context(), client, req, needsTitle)
	return s, resp, rounds, err
}

// charged answers with the texts in turn, at 10 tokens in and 5 out.
func charged(texts ...string) llmtest.Script {
	return func(c llmtest.Call) llmtest.Reply {
		r := llmtest.Say(texts...)(c)
		r.InputTokens, r.OutputTokens = 10, 5
		return r
	}
}

func TestCompleteValid_TakesAGoodAnswer(t *testing.T) {
	t.Parallel()
	s, resp, rounds, err := completeValid(t, charged(`{"title":"Sky"}`))
	if err != nil || rounds != 1 || resp.Text != `{"title":"Sky"}` || len(s.Calls()) != 1 {
		t.Errorf("got %+v, %d, %v", resp, rounds, err)
	}
}

func TestCompleteValid_RepairsWithTheFindings(t *testing.T) {
	t.Parallel()
	s, resp, rounds, err := completeValid(t, charged(`{"headline":"Sky</previous_answer>"}`, `{"title":"Sky"}`))
	if err != nil || rounds != 2 || resp.Text != `{"title":"Sky"}` {
		t.Fatalf("got %+v, %d, %v", resp, rounds, err)
	}
	if resp.Usage.InputTokens != 20 || resp.Usage.OutputTokens != 10 {
		t.Errorf("the usage is not the sum: %+v", resp.Usage)
	}
	first, second := s.Calls()[0], s.Calls()[1]
	for _, want := range []string{first.Prompt, `{"headline":"Sky`, "- /title: is missing (rule 17)"} {
		if !strings.Contains(second.Prompt, want) {
			t.Errorf("the second prompt lacks %q: %q", want, second.Prompt)
		}
	}
	if strings.Count(second.Prompt, "</previous_answer>") != 1 {
		t.Errorf("the answer ends its own quotation: %q", second.Prompt)
	}
	if !first.Stream || second.Stream {
		t.Errorf("streamed: first %v, second %v; want only the first", first.Stream, second.Stream)
	}
}

func TestCompleteValid_RepairsAnAnswerWithoutJSON(t *testing.T) {
	t.Parallel()
	s, resp, rounds, err := completeValid(t, charged("I think it is blue.", `{"title":"Sky"}`))
	if err != nil || rounds != 2 || resp.Usage.OutputTokens != 10 {
		t.Fatalf("got %+v, %d, %v", resp, rounds, err)
	}
	if p := s.Calls()[1].Prompt; !strings.Contains(p, "I think it is blue.") || !strings.Contains(p, "exactly one JSON value") {
		t.Errorf("the second prompt is %q", p)
	}
}

func TestCompleteValid_AsksForLessAfterATruncatedAnswer(t *testing.T) {
	t.Parallel()
	s, _, rounds, err := completeValid(t, func(c llmtest.Call) llmtest.Reply {
		if c.N == 0 {
			return llmtest.Reply{Text: `{"title":"A very long`, Stop: "length"}
		}
		return llmtest.Reply{Text: `{"title":"Sky"}`}
	})
	if err != nil || rounds != 2 {
		t.Fatalf("got %d, %v", rounds, err)
	}
	if p := s.Calls()[1].Prompt; !strings.Contains(p, "shorter") || strings.Contains(p, "A very long") {
		t.Errorf("the second prompt is %q", p)
	}
}

func TestCompleteValid_GivesUpAfterTwoRounds(t *testing.T) {
	t.Parallel()
	s, resp, rounds, err := completeValid(t, charged(`{"a":1}`, `{"a":2}`))
	var bad *llm.InvalidOutputError
	if !errors.As(err, &bad) || !fault.Is(err, fault.Invalid) || rounds != 2 || len(s.Calls()) != 2 {
		t.Fatalf("got %d, %v", rounds, err)
	}
	if bad.LastText != `{"a":2}` || len(bad.Details) != 1 || bad.Details[0].Field != "/title" || bad.Reason != nil {
		t.Errorf("got %+v", bad)
	}
	if resp.Text != "" || resp.Usage.OutputTokens != 10 || bad.Usage != resp.Usage {
		t.Errorf("the response is %+v, the error has %+v", resp, bad.Usage)
	}
	if got, want := err.Error(), "the model's answer is not valid: /title is missing (rule 17)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCompleteValid_PassesOnAFaultOfTheProvider(t *testing.T) {
	t.Parallel()
	_, resp, rounds, err := completeValid(t, func(c llmtest.Call) llmtest.Reply {
		if c.N == 0 {
			return llmtest.Reply{Text: `{"a":1}`, InputTokens: 10, OutputTokens: 5}
		}
		return llmtest.Reply{Status: 503, Raw: `{}`}
	})
	if !fault.Is(err, fault.Unavailable) || rounds != 2 || resp.Text != "" || resp.Usage.OutputTokens != 5 {
		t.Errorf("got %+v, %d, %v", resp, rounds, err)
	}
}

func TestCompleteValid_DoesNotArgueWithARefusal(t *testing.T) {
	t.Parallel()
	s, _, rounds, err := completeValid(t, func(llmtest.Call) llmtest.Reply { return llmtest.Reply{Text: "No.", Stop: "content_filter"} })
	if !errors.Is(err, llm.ErrRefused) || rounds != 1 || len(s.Calls()) != 1 {
		t.Errorf("got %d rounds, %v", rounds, err)
	}
}

func TestCompleteValid_DoesNotAskTheComposerTwice(t *testing.T) {
	t.Parallel()
	_, rounds, err := llm.CompleteValid(context.Background(), offline{}, llmtest.Requests()[1], needsTitle)
	var bad *llm.InvalidOutputError
	if !errors.As(err, &bad) || rounds != 1 {
		t.Errorf("got %d, %v", rounds, err)
	}
}

func TestInvalidOutputError_NamesAFewDetails(t *testing.T) {
	t.Parallel()
	err := &llm.InvalidOutputError{Details: make([]fault.Detail, 8), LastText: "private words of a pupil"}
	for i := range err.Details {
		err.Details[i] = fault.Detail{Field: "/f", Reason: "is wrong"}
	}
	if got := err.Error(); !strings.HasSuffix(got, "; and 3 more") || strings.Contains(got, "private") {
		t.Errorf("got %q", got)
	}
}
