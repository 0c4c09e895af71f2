package postgres

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/task"
)

// Unguard removes the guard by sequence: the negative control of the tests on repetition.
func (db *DB) Unguard() { db.unguarded = true }

// Statements returns every statement of the package but the lists.
func Statements() []string {
	return []string{
		schemaVersion, setUp, lockPosition, loadStates, updateTasks + onlyNewer, requeueTask, insertResult, repeatFolded,
		repeatOther, movePosition, readPosition, getTask, listHistory, hasHistory,
	}
}

// ListStatement returns the statement that List uses for f, and its arguments.
func ListStatement(f task.Filter) (string, []any, error) {
	q, err := listQuery(f)
	if err != nil {
		return "", nil, err
	}
	return q.sql(), q.args, nil
}

// NewHead returns what List asks for the log's head.
func NewHead(ask func(context.Context) (uint64, error)) func(context.Context) (uint64, time.Time, bool) {
	return (&head{ask: ask}).last
}

// Classify makes a fault of an error from pgx.
func Classify(err error) error { return classify(err) }
