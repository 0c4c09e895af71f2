package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/workers/agents"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
)

// evaluate runs the command and returns what it printed on both streams, and its exit code.
func evaluate(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	p := start(t, "toolboxai", env, append([]string{"eval"}, args...)...)
	<-p.ended
	return p.output.String(), p.cmd.ProcessState.ExitCode()
}

func TestEval_RatesTheComposerWhereThereIsNoModel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		code int
		want []string
	}{
		{"review --cases loadstring,clean-module", exitOK, []string{"code_review by offline/composer-1", "\nclean-module ", "2/2", "code_review/loadstring: completed in "}},
		{"code_review --min-score 1 --cases javascript-eval", exitFailed, []string{"below what is wanted: 1 of 1 passed"}},
		{"all --cases injection", exitUsage, []string{`has no case "injection"`}},
		{"chat --cases thanks --min-score 0.5", exitOK, []string{"chat by offline/composer-1"}}, // its answers have no score
		{"essay", exitUsage, []string{"the kinds are"}},
		{"quiz --prompt-version 1 --prompt-version 2 --cases fractions", exitOK, []string{"  a: offline/composer-1, quiz/1\n  b: offline/composer-1, quiz/2\n", "Equal: 1."}},
		{"quiz --prompt-version 99", exitUsage, []string{"there is no quiz/99"}},
		{"all --cases one-line --model offline", exitUsage, []string{`kind content has no case "one-line"`}},
		{"quiz --prompt-version 1 --prompt-version 99", exitUsage, []string{"there is no quiz/99"}},
		{"quiz --min-passed 2", exitUsage, []string{"--min-passed"}},
		{"quiz --repeat 1000", exitUsage, []string{"repeat"}},
		{"quiz --model nobody/x", exitUsage, []string{"--model nobody/x: "}},
		{"quiz --model openai/m", exitUsage, []string{"OPENAI_API_KEY"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			out, code := evaluate(t, []string{"LLM_PROVIDER=offline"}, strings.Fields(c.args)...)
			if code != c.code {
				t.Errorf("exit %d, want %d\n%s", code, c.code, out)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}

// The whole platform's kinds, those that no caller names too.
func TestEval_RatesEveryKind(t *testing.T) {
	t.Parallel()
	all, err := kinds()
	if err != nil {
		t.Fatal(err)
	}
	out, code := evaluate(t, []string{"LLM_PROVIDER=offline"}, "all", "--min-score", "0.5")
	if code != exitOK {
		t.Errorf("exit %d\n%s", code, out)
	}
	for _, k := range all {
		if !strings.Contains(out, k.Name+" by offline/composer-1") {
			t.Errorf("nothing of %s", k.Name)
		}
	}
}

// A version that there is not is refused before one that there is has been paid for.
func TestEval_ChecksAllVersionsFirst(t *testing.T) {
	t.Parallel()
	out, code := evaluate(t, []string{"LLM_PROVIDER=offline"}, "quiz", "--prompt-version", "1", "--prompt-version", "99", "--cases", "blanks")
	if code != exitUsage || strings.Contains(out, "completed in") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// Two models beside each other: one is right at once, the other only when it is told what was wrong.
func TestEval_ComparesModels(t *testing.T) {
	t.Parallel()
	good := recordSet(t, "code_review")
	server := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		_, text := good.of(c)
		if c.Model == "hasty" && !strings.Contains(c.Prompt, "<previous_answer>") {
			text = `{"unexpected":true}`
		}
		return llmtest.Reply{Text: text, InputTokens: 100, OutputTokens: 50}
	})
	env := scripted(server)
	out, code := evaluate(t, append(env, "MAX_AGENT_RETRIES=0"), "code_review", "--model", "openai/careful", "--model", "openai/hasty", "--json", "--cases", "one-line,loadstring")
	if code != exitOK {
		t.Fatalf("exit %d\n%s", code, out)
	}
	var got evaluation
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{\n"):]), &got); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if len(got.Reports) != 2 || len(got.Comparisons) != 1 {
		t.Fatalf("got %+v", got)
	}
	careful, hasty := got.Reports[0].Total, got.Reports[1].Total
	if careful.Schema != 2 || careful.Rules != 2 || careful.Calls != 2 || careful.InputTokens != 200 || careful.Repaired != 0 {
		t.Errorf("careful: %+v", careful)
	}
	if hasty.Schema != 0 || hasty.Rules != 0 || hasty.Calls != 4 || hasty.InputTokens != 400 || hasty.Repaired != 2 || hasty.Passed != 2 {
		t.Errorf("hasty: %+v", hasty)
	}
	if c := got.Comparisons[0]; c.A != "openai/careful, code_review/1" || c.B != "openai/hasty, code_review/1" || c.Total.Better != "" {
		t.Errorf("compared: %+v", c)
	}
	out, code = evaluate(t, env, "code_review", "--model", "openai/careful", "--max-usd", "0.5", "--concurrency", "1")
	if code != exitFailed || !strings.Contains(out, "the price of this model is not known") || !strings.Contains(out, "skipped") {
		t.Errorf("without a price: exit %d\n%s", code, out)
	}
}

// recordSet keeps the composer's answers to a kind's evaluation set.
func recordSet(t *testing.T, kind string) *answers {
	t.Helper()
	all, err := agents.All(composer.New())
	if err != nil {
		t.Fatal(err)
	}
	a := newAnswers()
	for _, agent := range all {
		if set, ok := agent.(ask.Evaluated); ok && agent.Kind().Name == kind {
			for _, c := range set.Evals() {
				a.record(t, kind, c.Input)
			}
		}
	}
	return a
}
