package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/agentcontext"
)

// AgentContexts keeps what agents remember. All of it is asked for a tenant, behind the second lock. It is safe for concurrent use.
type AgentContexts struct {
	db     *DB
	shared bool // contexts are not locked; only a negative control sets it
}

var _ agentcontext.Store = (*AgentContexts)(nil)

// NewAgentContexts returns the contexts in db.
func NewAgentContexts(db *DB) *AgentContexts { return &AgentContexts{db: db} }

const (
	entryHeads  = `key, priority, tokens, source, created_at, updated_at`
	listContext = `SELECT ` + entryHeads + `, content FROM agent_context_entries WHERE tenant = $1 AND user_id = $2 AND ($3 = '' OR key = $3)`
	listHeads   = `SELECT ` + entryHeads + `, '' FROM agent_context_entries WHERE tenant = $1 AND user_id = $2`
	lockContext = `INSERT INTO agent_contexts (tenant, user_id, changed_at) VALUES ($1, $2, now()) ON CONFLICT (tenant, user_id) DO UPDATE SET changed_at = now()`
	openContext = `INSERT INTO agent_contexts (tenant, user_id, changed_at) VALUES ($1, $2, now()) ON CONFLICT DO NOTHING`
	putEntry    = `INSERT INTO agent_context_entries (tenant, user_id, ` + entryHeads + `, content) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (tenant, user_id, key) DO UPDATE SET priority = $4, tokens = $5, source = $6, updated_at = $8, content = $9`
	rankEntry     = `UPDATE agent_context_entries SET priority = $4 WHERE tenant = $1 AND user_id = $2 AND key = $3`
	dropEntries   = `DELETE FROM agent_context_entries WHERE tenant = $1 AND user_id = $2 AND key = ANY ($3)`
	forgetContext = `DELETE FROM agent_contexts WHERE tenant = $1 AND user_id = $2`
)

func scanEntry(row pgx.CollectableRow) (e agentcontext.Entry, err error) {
	err = row.Scan(&e.Key, &e.Priority, &e.Tokens, &e.Source, &e.CreatedAt, &e.UpdatedAt, &e.Content)
	e.CreatedAt, e.UpdatedAt = e.CreatedAt.UTC(), e.UpdatedAt.UTC()
	return e, err
}

// Entries implements agentcontext.Store.
func (c *AgentContexts) Entries(ctx context.Context, of agentcontext.Owner, key string) ([]agentcontext.Entry, error) {
	return askRows(ctx, c.db.of(of.Tenant), listContext, []any{of.Tenant, of.UserID, indexed(key)}, scanEntry)
}

// Change implements agentcontext.Store.
func (c *AgentContexts) Change(ctx context.Context, of agentcontext.Owner, decide func([]agentcontext.Entry) (agentcontext.Change, error)) error {
	return c.db.asTenant(ctx, of.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		lock := lockContext
		if c.shared {
			lock = openContext
		}
		if _, err := tx.Exec(ctx, lock, of.Tenant, of.UserID); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, listHeads, of.Tenant, of.UserID)
		if err != nil {
			return err
		}
		heads, err := pgx.CollectRows(rows, scanEntry)
		if err != nil {
			return err
		}
		change, err := decide(heads)
		if err != nil {
			return err
		}
		var q pgx.Batch
		for _, e := range change.Put {
			q.Queue(putEntry, of.Tenant, of.UserID, e.Key, e.Priority, e.Tokens, storable(e.Source), e.CreatedAt, e.UpdatedAt, storable(e.Content))
		}
		for _, e := range change.Rank {
			q.Queue(rankEntry, of.Tenant, of.UserID, e.Key, e.Priority)
		}
		if len(change.Drop) > 0 {
			q.Queue(dropEntries, of.Tenant, of.UserID, change.Drop)
		}
		return tx.SendBatch(ctx, &q).Close()
	})
}
