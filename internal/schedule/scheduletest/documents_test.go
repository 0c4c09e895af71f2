package scheduletest_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/schedule/scheduletest"
)

func TestMemory_KeepsTheContract(t *testing.T) {
	t.Parallel()
	scheduletest.RunDocuments(t, func(*testing.T) scheduletest.Documents[schedule.Schedule] {
		return scheduletest.NewMemory[schedule.Schedule]()
	}, sample)
}

func sample(key string, n int) schedule.Schedule {
	return schedule.Schedule{
		ID: key, Tenant: "school", Revision: n, CreatedAt: time.Date(2026, 1, n+1, 8, 0, 0, 0, time.UTC),
		Definition: schedule.Definition{Name: "Quiz", Input: json.RawMessage(`{"a":1}`), Every: schedule.Duration(time.Minute)},
	}
}
