package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/postgres"
)

// BenchmarkRecord records lives of five events each, with about 1 KiB of input, 2 KiB of steps and 2 KiB of result. What a
// batch costs depends on how many tasks it touches: few tasks at once end within a batch, many leave one event in each.
func BenchmarkRecord(b *testing.B) {
	for _, c := range []struct{ batch, atOnce int }{{100, 200}, {1000, 200}, {1000, 5000}, {4000, 5000}} {
		b.Run(fmt.Sprintf("batch=%d/tasks=%d", c.batch, c.atOnce), func(b *testing.B) {
			db := open(b, postgres.Config{})
			log := lives(b, b.N/5+1, c.atOnce)[:b.N]
			b.ReportAllocs()
			b.ResetTimer()
			for len(log) > 0 {
				n := min(c.batch, len(log))
				if err := db.Record(b.Context(), log[:n]); err != nil {
					b.Fatal(err)
				}
				log = log[n:]
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// lives returns the log of n tasks of which so many run at once.
func lives(tb testing.TB, n, atOnce int) []events.Event {
	tb.Helper()
	quoted := func(size int) json.RawMessage {
		return json.RawMessage(`{"text":"` + strings.Repeat("lorem ipsum ", size/12) + `"}`)
	}
	usage := events.Usage{Calls: 1, InputTokens: 900, OutputTokens: 400, CostUSD: 0.0042, CostKnown: true}
	by := events.Provenance{GeneratedBy: "openai/gpt-5-mini", Provider: "openai", Model: "gpt-5-mini", PromptVersion: "quiz/3"}
	steps := []events.Payload{
		events.Queued{Kind: "quiz", Input: quoted(1000), Priority: events.Normal, Dispatch: 1, UserID: "teacher-1", Labels: map[string]string{"class": "3b"}},
		events.Started{Attempt: 1, Dispatch: 1, Worker: "worker-1"},
		events.Step{Attempt: 1, Name: "draft", InputHash: strings.Repeat("ab", 32), Output: quoted(1500), Usage: &usage, Provenance: &by},
		events.Step{Attempt: 1, Name: "check", InputHash: strings.Repeat("cd", 32), Output: quoted(200)},
		events.Completed{Attempt: 1, Result: quoted(2000), Usage: usage, Provenance: by},
	}
	log := make([]events.Event, 0, n*len(steps))
	for first := 0; first < n; first += atOnce {
		for _, p := range steps {
			for i := first; i < min(first+atOnce, n); i++ {
				e, err := events.New("school", fmt.Sprintf("task-%08d", i), "/bench", p)
				if err != nil {
					tb.Fatal(err)
				}
				e.Seq = uint64(len(log) + 1)
				log = append(log, e)
			}
		}
	}
	return log
}
