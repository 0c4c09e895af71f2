package eval_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers/agents/eval"
)

func TestRun_SaysWhatTheFirstAnswersWereWorth(t *testing.T) {
	t.Parallel()
	const noSchema, noRules, noJSON = `{"lines":[]}`, `{"lines":["bad"]}`, `no`
	for name, c := range map[string]struct {
		says          []string
		state         task.State
		schema, rules bool
		repaired      int
		calls         int
	}{
		"GoodAtOnce":       {[]string{lines(2)}, task.Completed, true, true, 0, 1},
		"BreaksASchema":    {[]string{noSchema, lines(2)}, task.Completed, false, false, 1, 2},
		"BreaksARule":      {[]string{noRules, lines(2)}, task.Completed, true, false, 1, 2},
		"IsNoJSON":         {[]string{noJSON, lines(2)}, task.Completed, false, false, 1, 2},
		"SchemaThenRules":  {[]string{noSchema, noRules, lines(1)}, task.Failed, false, false, 0, 2},
		"IsNeverAnyBetter": {[]string{noRules}, task.Failed, true, false, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := say(c.says...)
				if c.state == task.Failed { // what is tried again after a failure is not what this is about
					m = say(c.says[:min(2, len(c.says))]...)
				}
				o := run(t, eval.Config{Client: m, Cases: []string{"rain"}}).Outcomes[0]
				if o.State != c.state || o.Schema != c.schema || o.Rules != c.rules || o.Repaired != c.repaired || o.Passed != (c.state == task.Completed) {
					t.Errorf("got %+v", o)
				}
				if c.state == task.Completed && (o.Calls != c.calls || o.InputTokens != 10*c.calls || o.OutputTokens != 20*c.calls || o.CostUSD != float64(c.calls) || !o.CostKnown) {
					t.Errorf("the bill is %+v", o)
				}
				if c.state == task.Failed && (o.Cause != events.CauseInvalidOutput || o.Result != nil || o.Calls < 2 || !strings.Contains(o.Error, "answer.lines")) {
					t.Errorf("the failure is %+v", o)
				}
			})
		})
	}
}

func TestRun_HoldsScoresAgainstTheCases(t *testing.T) {
	t.Parallel()
	r := run(t, eval.Config{Client: say(lines(1)), Repeat: 2, Concurrency: 3})
	if len(r.Rows) != 3 || r.Total.Runs != 6 || r.Total.Completed != 6 || r.Total.Passed != 4 || r.Rows[2].Passed != 0 || r.Rows[2].Case != "sun" {
		t.Errorf("total %+v, rows %+v", r.Total, r.Rows)
	}
	if r.Total.Score == nil || *r.Total.Score != 0.25 || r.Total.Parts["length"] != 0.25 || r.Model != "openai/m" || r.Prompt != "poem/2" {
		t.Errorf("report %+v", r)
	}
}

func TestRun_WorksAsTheVersionThatWasAskedFor(t *testing.T) {
	t.Parallel()
	for version, want := range map[int]string{0: "version 2", 1: "version 1", 2: "version 2"} {
		var system string
		m := &model{answer: func(_ context.Context, _ int, req llm.Request) (string, error) {
			system = req.System
			return lines(1), nil
		}}
		if r := run(t, eval.Config{Client: m, Version: version, Cases: []string{"rain"}}); system != want || r.Prompt != "poem/"+want[len("version "):] {
			t.Errorf("version %d was asked by %q, and reported as %s", version, system, r.Prompt)
		}
	}
}

// Where money runs out nothing more is asked; the control has no limit.
func TestRun_StopsWhenTheMoneyIsSpent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit                   float64
		unpriced                bool
		calls, skipped, settled int
	}{
		"Limited":  {2, false, 2, 4, 2},
		"Unpriced": {2, true, 1, 5, 1},
		"Control":  {0, false, 6, 0, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := say(lines(2))
			m.unpriced = c.unpriced
			r := run(t, eval.Config{Client: m, Repeat: 2, Purse: eval.NewPurse(c.limit)})
			if m.asked() != c.calls || r.Total.Skipped != c.skipped || r.Total.Completed != c.settled {
				t.Errorf("%d calls, %+v", m.asked(), r.Total)
			}
		})
	}
}

// The money is gone in the middle of a case: its repair is not asked for.
func TestRun_DoesNotPayForARepairWithoutMoney(t *testing.T) {
	t.Parallel()
	m := say(`{"lines":[]}`)
	o := run(t, eval.Config{Client: m, Cases: []string{"rain"}, Purse: eval.NewPurse(1)}).Outcomes[0]
	if m.asked() != 1 || o.State != task.Failed || o.Cause != events.CausePolicy || !strings.Contains(o.Error, "spent") {
		t.Errorf("%d calls: %+v", m.asked(), o)
	}
}

func TestRun_EndsEachCaseInItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{answer: func(ctx context.Context, n int, _ llm.Request) (string, error) {
			if n == 1 {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return lines(2), nil
		}}
		began := time.Now()
		r := run(t, eval.Config{Client: m, Timeout: time.Minute})
		first := r.Outcomes[0]
		if first.State.Terminal() || first.Cause != events.CauseTimeout || first.Schema || r.Total.Completed != 2 || time.Since(began) != time.Minute {
			t.Errorf("after %s: %+v; %+v", time.Since(began), first, r.Total)
		}
	})
}

func TestRun_TriesAgainWhatAProviderRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{answer: func(_ context.Context, n int, _ llm.Request) (string, error) {
			if n == 1 {
				return "", fault.After(7*time.Second, "busy")
			}
			return lines(2), nil
		}}
		o := run(t, eval.Config{Client: m, Cases: []string{"rain"}}).Outcomes[0]
		if o.State != task.Completed || o.Attempts != 2 || o.Calls != 1 || !o.Schema || o.Latency < 7*time.Second {
			t.Errorf("got %+v", o)
		}
	})
}

func TestRun_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	m := &model{answer: func(ctx context.Context, _ int, _ llm.Request) (string, error) {
		cancel()
		<-ctx.Done()
		return "", ctx.Err()
	}}
	r, err := eval.Run(ctx, eval.Config{Open: poets, Kind: "poem", Client: m, Concurrency: 1})
	if !errors.Is(err, context.Canceled) || m.asked() != 1 || r.Total.Skipped != 2 || r.Total.Completed != 0 {
		t.Errorf("%v after %d calls: %+v", err, m.asked(), r.Total)
	}
}

func TestRun_RefusesWhatThereIsNot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  eval.Config
		says string
	}{
		"Kind":        {eval.Config{Kind: "song"}, `there is no kind "song"`},
		"Version":     {eval.Config{Kind: "poem", Version: 3}, "there is no poem/3, there are poem/2, poem/1"},
		"Case":        {eval.Config{Kind: "poem", Cases: []string{"fog"}}, `no case "fog", it has rain, snow, sun`},
		"Repeat":      {eval.Config{Kind: "poem", Repeat: 101}, "repeat"},
		"Concurrency": {eval.Config{Kind: "poem", Concurrency: -1}, "concurrency"},
		"Timeout":     {eval.Config{Kind: "poem", Timeout: -1}, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Open, c.cfg.Client = poets, say(lines(1))
			if _, err := eval.Run(t.Context(), c.cfg); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestCompare_SaysWhichIsBetterAtWhat(t *testing.T) {
	t.Parallel()
	a := run(t, eval.Config{Client: say(lines(1), lines(3), lines(3))})
	b := run(t, eval.Config{Client: say(lines(2), lines(3), lines(1)), Version: 1})
	c := eval.Compare(a, b)
	if len(c.Cases) != 3 || c.Cases[0].Better != "b" || c.Cases[1].Better != "" || c.Cases[2].Better != "a" || c.Total.Better != "a" {
		t.Errorf("got %+v", c)
	}
	var text strings.Builder
	if err := c.WriteTable(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a: openai/m, poem/2", "b: openai/m, poem/1", "a is better at 1: sun.", "b is better at 1: rain.", "Equal: 1.", "+0.25", "-0.50"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
}
