package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/privacy"
)

const (
	listDeleted = `SELECT tenant, task FROM chat_deleted WHERE deleted_at < $1 ORDER BY deleted_at LIMIT $2`
	dropDeleted = `DELETE FROM chat_deleted WHERE tenant = $1 AND task = $2`
)

// DeletedTurns implements privacy.Backlog.
func (db *DB) DeletedTurns(ctx context.Context, before time.Time, limit int) (found []privacy.DeletedTurn, err error) {
	err = db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, listDeleted, before, limit)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[privacy.DeletedTurn])
		return err
	})
	return found, err
}

// DropTurn implements privacy.Backlog.
func (db *DB) DropTurn(ctx context.Context, t privacy.DeletedTurn) error {
	return db.asPlatform(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, dropDeleted, t.Tenant, t.Task)
		return err
	})
}
