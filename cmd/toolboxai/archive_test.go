package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// A database that was restored from a backup is behind what its recorder has settled with the log: nobody would deliver again what
// lies between, if the recorder did not go back.
func TestRecorder_GoesBackToWhereARestoredArchiveIs(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	s := newSite(t, database)
	s.api()
	s.role("worker")
	recorder := s.role("recorder")
	id := s.mustSubmit("").ID
	s.await(id, task.Completed)
	listed := func() error {
		status, answer, err := s.request(http.MethodGet, "/api/v1/tasks?state=completed", nil, "")
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("list: %d, %w", status, err)
		}
		var page taskPage
		if err := json.Unmarshal(answer.Data, &page); err != nil {
			return err
		}
		if len(page.Tasks) != 1 || page.Tasks[0].ID != id {
			return fmt.Errorf("it lists %d tasks", len(page.Tasks))
		}
		return nil
	}
	eventually(t, "the list shows the task", listed)
	recorder.signal(syscall.SIGTERM)

	db, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), "TRUNCATE tasks, results, task_events, ledger; UPDATE recorder_position SET seq = 0"); err != nil {
		t.Fatal(err)
	}
	if listed() == nil {
		t.Fatal("the archive was not set back")
	}
	s.role("recorder")
	eventually(t, "the list shows the task again", listed)
}
