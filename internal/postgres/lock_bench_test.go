package postgres_test

import (
	"fmt"
	"testing"

	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// BenchmarkSecondLock asks with and without the second lock, in turns, so that the ratio of the two is that of one machine's same minute.
func BenchmarkSecondLock(b *testing.B) {
	url := pgtest.New(b)
	locked, unlocked := open(b, postgres.Config{URL: url}), open(b, postgres.Config{URL: url})
	unlocked.Unlock()
	log := lives(b, 20_000, 5000)
	if err := locked.Record(b.Context(), log); err != nil {
		b.Fatal(err)
	}
	execute(b, url, "ANALYZE")
	for name, read := range map[string]func(*postgres.DB, int) error{
		"Get": func(db *postgres.DB, i int) error {
			return errOf(db.Get(b.Context(), "school", fmt.Sprintf("task-%08d", i%20_000)))
		},
		"History": func(db *postgres.DB, i int) error {
			return errOf(db.History(b.Context(), "school", fmt.Sprintf("task-%08d", i%20_000), 0, 0))
		},
		"List": func(db *postgres.DB, _ int) error {
			return errOf(db.List(b.Context(), task.Filter{Tenant: "school", Limit: 50}))
		},
	} {
		b.Run(name, func(b *testing.B) {
			var spent [2]float64
			for i := range b.N {
				for which, db := range []*postgres.DB{unlocked, locked} {
					began := b.Elapsed()
					if err := read(db, i); err != nil {
						b.Fatal(err)
					}
					spent[which] += float64((b.Elapsed() - began).Microseconds())
				}
			}
			b.ReportMetric(spent[1]/spent[0], "ratio")
			b.ReportMetric(spent[0]/float64(b.N), "us/unlocked")
			b.ReportMetric(spent[1]/float64(b.N), "us/locked")
		})
	}
}
