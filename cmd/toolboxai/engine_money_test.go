package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// A provider that asks to be left alone is left alone, and that is held against no task: for a moment the call waits, for longer the task does.
func TestEngine_WaitsForAProviderWithoutBurningAttempts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asks     string // seconds
		dispatch int
	}{
		"InPlace":   {"2", 1},
		"GivesBack": {"7", 2}, // longer than a call waits in place
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers := recordAnswers(t)
			refused := make(chan time.Time, 1)
			model := llmtest.NewOpenAI(t, func(call llmtest.Call) llmtest.Reply {
				if call.N == 0 {
					refused <- time.Now()
					return llmtest.Reply{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {c.asks}}, Raw: `{"error":{"message":"slow down"}}`}
				}
				_, text := answers.of(call)
				return llmtest.Reply{Text: text}
			})
			s := newSite(t, pgtest.New(t))
			s.api()
			w := s.witness()
			s.role("worker", scripted(model)...)
			got := s.mustSubmit("")
			if c.dispatch > 1 {
				x := s.explained(got.ID, task.ReasonProvider)
				s.expect(exitOK, []string{"waiting: "}, "tasks", "explain", got.ID)
				if now, err := s.read(got.ID); err != nil || now.State == task.Waiting && (now.Wait.For != events.WaitProvider || x.Until == nil) {
					t.Errorf("it waits for %+v until %v: %v", now.Wait, x.Until, err)
				}
			}
			done := s.await(got.ID, task.Completed, task.Failed)
			if done.State != task.Completed || done.Attempt != 1 || done.Dispatch != c.dispatch || len(done.Failures) != 0 {
				t.Errorf("%s in attempt %d of dispatch %d with failures %v", done.State, done.Attempt, done.Dispatch, done.Failures)
			}
			asked, err := time.ParseDuration(c.asks + "s")
			if err != nil {
				t.Fatal(err)
			}
			if waited := w.first(got.ID, events.TypeStep).Time.Sub(<-refused); waited < asked {
				t.Errorf("the provider was asked again after %s, it asked for %s", waited, asked)
			}
			if n := w.count(events.TypeRetrying, got.ID); n != 0 {
				t.Errorf("%d attempts failed", n)
			}
		})
	}
}

// A tenant's tokens are spent: its tasks wait, say so, and go on when somebody tops up.
func TestEngine_WaitsForMoney(t *testing.T) {
	t.Parallel()
	answers := recordAnswers(t)
	model := llmtest.NewOpenAI(t, lasting(answers, 0))
	s := newSite(t, pgtest.New(t))
	s.api()
	s.role("recorder")
	w := s.witness()
	s.role("worker", scripted(model)...)
	awayFromMidnight(2 * time.Minute) // a day's budget begins anew then

	out := s.expect(exitOK, []string{`"revision"`}, "policy", "get")
	edited := strings.Replace(out, `"fairness"`, `"budgets": [{"scope": "tenant", "id": "dev", "period": "day", "tokens": 100}], "fairness"`, 1)
	file := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(file, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	s.expect(exitOK, []string{"holds from now on"}, "policy", "set", file)
	late := filepath.Join(t.TempDir(), "late.json")
	if err := os.WriteFile(late, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	s.expect(exitFailed, []string{"at revision 1, not 0", "begin again from 'toolboxai policy get'"}, "policy", "set", late)
	// The policy reaches the worker within a second. What begins later finds it there.
	got := s.submitWith(`"delay_seconds":2,`)
	waiting := s.await(got.ID, task.Waiting, task.Completed, task.Failed)
	if waiting.State != task.Waiting || waiting.Wait.For != events.WaitBudget {
		t.Fatalf("it is %s and waits for %+v", waiting.State, waiting.Wait)
	}
	if x := s.explained(got.ID, task.ReasonBudget); x.Until == nil || !x.Until.After(time.Now()) {
		t.Errorf("explained as %+v", x)
	}
	t.Log(strings.TrimSpace(s.expect(exitOK, []string{"waiting: ", "budget"}, "tasks", "explain", got.ID)))
	s.expect(exitOK, []string{"state       waiting", "waits       the budget of tenant dev"}, "tasks", "get", got.ID)
	if n := len(model.Calls()); n != 0 {
		t.Errorf("the model was asked %d times without money", n)
	}
	s.expect(exitOK, []string{"the day's budget of tenant dev is topped up"}, "policy", "top-up", "tenant", "dev", "--period", "day", "--tokens", "1000000", "--reason", "term begins")
	topped := time.Now()
	done := s.await(got.ID, task.Completed, task.Failed)
	if done.State != task.Completed || done.Dispatch != 2 || done.Attempt != 1 {
		t.Errorf("%s in attempt %d of dispatch %d", done.State, done.Attempt, done.Dispatch)
	}
	t.Logf("it went on %s after the top-up", w.first(got.ID, events.TypeStep).Time.Sub(topped).Round(time.Millisecond))
	s.expect(exitOK, []string{"waiting", "resumed", "completed"}, "tasks", "watch", got.ID)
	s.expect(exitOK, []string{"policy.changed", "conflict"}, "policy", "audit")
	if out := s.expect(exitOK, []string{"budget.topped_up", "tenant dev"}, "audit", "list", "--action", "budget.", "--since", "1h"); strings.Contains(out, "policy.changed") {
		t.Errorf("listed %s", out)
	}
	eventually(t, "the ledger has what it cost", func() error {
		var report usageReport
		day := time.Now().UTC().Truncate(24 * time.Hour)
		err := s.get(fmt.Sprintf("/api/v1/admin/usage?from=%s&to=%s", day.Format(time.RFC3339), day.Add(48*time.Hour).Format(time.RFC3339)), &report)
		if err != nil {
			return err
		}
		if len(report.Rows) != 1 || report.Rows[0].InputTokens != int64(done.Usage.InputTokens) || report.Rows[0].OutputTokens != int64(done.Usage.OutputTokens) {
			return fmt.Errorf("%+v, want %+v", report.Rows, done.Usage)
		}
		return nil
	})
	s.expect(exitOK, []string{"USER", "teacher", "quiz"}, "usage", "--by", "user,kind")
}

// awayFromMidnight returns when at least so much time is left until the UTC day ends: at once, unless it is about to.
func awayFromMidnight(room time.Duration) {
	now := time.Now().UTC()
	if next := now.Truncate(24 * time.Hour).Add(24 * time.Hour); next.Sub(now) < room {
		<-time.After(next.Sub(now))
	}
}

// After an outage: 30 dead letters of one incident, looked at, planned, and replayed, two first.
func TestEngine_AnIncidentIsReplayedByACampaign(t *testing.T) {
	t.Parallel()
	const dead = 30
	var mended atomic.Bool
	answers := recordAnswers(t)
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		if !mended.Load() {
			return llmtest.Reply{Status: http.StatusBadRequest, Raw: `{"error":{"message":"no such model"}}`}
		}
		_, text := answers.of(c)
		return llmtest.Reply{Text: text}
	})
	s := newSite(t, pgtest.New(t), "MAX_AGENT_RETRIES=0")
	s.api()
	s.role("recorder")
	w := s.witness()
	s.role("worker", scripted(model)...)
	s.batch(nil, dead, quizBody, "")
	w.reaches(events.TypeFailed, dead)
	var incidents incidentPage
	eventually(t, "one incident has all of them", func() error {
		if err := s.get("/api/v1/admin/incidents", &incidents); err != nil {
			return err
		}
		if len(incidents.Incidents) != 1 || incidents.Incidents[0].Count != dead {
			return fmt.Errorf("%+v", incidents)
		}
		return nil
	})
	mark := incidents.Incidents[0].Fingerprint
	s.expect(exitOK, []string{mark, "30", "no such model", "campaigns plan replay --fingerprint " + mark}, "incidents")
	s.expect(exitOK, []string{`"count": 30`}, "incidents", "list", "--json", "--order", "count")
	s.expect(exitOK, []string{"no dead letters"}, "incidents", "--kind", "terrain")

	s.expect(exitOK, []string{"30 match; start would replay 30 of them"}, "campaigns", "plan", "replay", "--fingerprint", mark)
	s.expect(exitFailed, []string{"0 match"}, "campaigns", "plan", "replay", "--fingerprint", "0123456789abcdef")
	s.expect(exitOK, []string{"the edit does not fit", "num_questions"}, "campaigns", "plan", "replay", "--fingerprint", mark, "--edit", `{"num_questions":999}`)
	if n := w.count(events.TypeQueued, ""); n != dead {
		t.Fatalf("a plan has made %d dispatches", n-dead)
	}
	// Nothing is mended yet: the canaries fail, and the others are left alone.
	s.expect(exitFailed, []string{"failed", "2 replayed", "28 remain"}, "campaigns", "start", "replay", "--fingerprint", mark, "--canary", "2", "--rate", "6000", "--reason", "too early", "--wait")
	mended.Store(true)
	eventually(t, "the canaries are listed again", func() error {
		out, _ := s.command("campaigns", "plan", "replay", "--fingerprint", mark)
		if !strings.HasPrefix(out, "30 match") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	s.expect(exitOK, []string{"done", "30 replayed", "30 succeeded", "0 failed again"},
		"campaigns", "start", "replay", "--fingerprint", mark, "--canary", "2", "--rate", "6000", "--reason", "the model is back", "--wait", "--key", "c1")
	out := s.expect(exitOK, []string{`"state": "done"`}, "campaigns", "start", "replay", "--fingerprint", mark, "--canary", "2", "--rate", "6000", "--reason", "the model is back", "--key", "c1", "--json")
	var made campaign.Campaign
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	if n := w.count(events.TypeQueued, ""); n != dead+2+dead {
		t.Errorf("%d dispatches, want %d: the tasks, two canaries, and each of them once", n, dead+2+dead)
	}
	if n := w.count(events.TypeCompleted, ""); n != dead {
		t.Errorf("%d completed, want %d", n, dead)
	}
	s.expect(exitOK, []string{"replays   30 succeeded"}, "campaigns", "show", made.ID)
	s.expect(exitOK, []string{made.ID, "done", "failed", "too early"}, "campaigns", "list")
	s.expect(exitOK, []string{"is done"}, "campaigns", "stop", made.ID)
	s.expect(exitFailed, []string{"there is no campaign"}, "campaigns", "show", "nothing")
	s.expect(exitFailed, []string{"there is no campaign"}, "campaigns", "watch", "nothing")
	s.expect(exitFailed, []string{"filter", "matches nothing"}, "campaigns", "start", "replay", "--fingerprint", mark, "--reason", "again")
}
