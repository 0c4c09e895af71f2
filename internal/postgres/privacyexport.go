package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// exports are the sections of what is kept of a user, in the order in which they are handed over. Each yields JSON objects; $1 is the
// tenant and $2 the user. No section holds a secret or the hash of one.
var exports = []struct{ section, sql string }{
	{"account", `SELECT to_json(x) FROM (SELECT id, tenant AS tenant_id, username, email, name, role, state, totp_confirmed_at IS NOT NULL AS second_factor,
		password_changed_at, last_login_at, created_at, updated_at FROM users WHERE tenant = $1 AND id = $2) x`},
	{"sessions", `SELECT to_json(x) FROM (SELECT id, created_at, last_seen_at, expires_at, second_factor, ip, user_agent, revoked_at, revoked_because
		FROM sessions WHERE tenant = $1 AND user_id = $2 ORDER BY created_at, id) x`},
	{"passkeys", `SELECT to_json(x) FROM (SELECT id, name, created_at, last_used_at FROM passkeys WHERE tenant = $1 AND user_id = $2 ORDER BY created_at, id) x`},
	{"api_keys", `SELECT to_json(x) FROM (SELECT id, name, scopes, ips, origins, per_minute, created_at, rotated_at, expires_at, last_used_at, revoked_at
		FROM api_keys WHERE tenant = $1 AND user_id = $2 ORDER BY created_at, id) x`},
	{"classes", `SELECT to_json(x) FROM (SELECT c.id, c.name, m.added_by, m.added_at FROM class_members m JOIN classes c ON c.id = m.class
		WHERE m.tenant = $1 AND m.user_id = $2 ORDER BY m.added_at, c.id) x`},
	{"classes_made", `SELECT to_json(x) FROM (SELECT id, name, created_at, archived_at FROM classes WHERE tenant = $1 AND created_by = $2 ORDER BY created_at, id) x`},
	{"guardians", `SELECT to_json(x) FROM (SELECT parent, child, added_by, added_at FROM guardians WHERE tenant = $1 AND (parent = $2 OR child = $2) ORDER BY added_at, parent, child) x`},
	{"shares", `SELECT to_json(x) FROM (SELECT class, task, shared_at FROM shares WHERE tenant = $1 AND shared_by = $2 ORDER BY shared_at, class, task) x`},
	{"agent_context", `SELECT to_json(x) FROM (SELECT key, content, priority, source, created_at, updated_at FROM agent_context_entries
		WHERE tenant = $1 AND user_id = $2 ORDER BY key) x`},
	{"tasks", `SELECT json_build_object('task', t.doc, 'input', t.input, 'result', r.result)
		FROM tasks t LEFT JOIN results r ON r.tenant = t.tenant AND r.task = t.id WHERE t.tenant = $1 AND t.user_id = $2 ORDER BY t.created_at, t.id`},
	{"conversations", `SELECT to_json(x) FROM (SELECT id, title, archived, created_at, updated_at FROM chat_conversations
		WHERE tenant = $1 AND user_id = $2 ORDER BY created_at, id) x`},
	{"messages", `SELECT to_json(x) FROM (SELECT m.conversation, m.id, m.n, m.text, m.state, m.task, m.answer, m.error, m.created_at, m.settled_at
		FROM chat_messages m JOIN chat_conversations c ON c.tenant = m.tenant AND c.id = m.conversation
		WHERE c.tenant = $1 AND c.user_id = $2 ORDER BY c.created_at, c.id, m.n) x`},
	{"audit", `SELECT to_json(x) FROM (SELECT n, at, actor, action, target, outcome FROM audit_log WHERE tenant = $1 AND (actor = $2 OR target = $2) ORDER BY n) x`},
	{"looked_at_by", `SELECT to_json(x) FROM (SELECT at, actor, resource, route FROM access_log WHERE tenant = $1 AND student = $2 ORDER BY id) x`},
}

// maxExported bounds one export, in rows. Who has more is told, instead of being handed a part.
const maxExported = 1_000_000

// Export implements privacy.Records. The sections are of one moment.
func (db *DB) Export(ctx context.Context, tenant, userID string, emit func(section string, item json.RawMessage) error) error {
	if _, err := db.userState(ctx, tenant, userID); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, db.writeTimeout)
	defer cancel()
	return classify(pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, bindTenant, tenant); err != nil {
			return err
		}
		rows := 0
		for _, e := range exports {
			found, err := tx.Query(ctx, e.sql, tenant, userID)
			if err != nil {
				return fmt.Errorf("export %s: %w", e.section, err)
			}
			var item json.RawMessage
			_, err = pgx.ForEachRow(found, []any{&item}, func() error {
				if rows++; rows > maxExported {
					return fault.New(fault.TooLarge, "the export has more than %d entries", maxExported)
				}
				return emit(e.section, item)
			})
			if err != nil {
				return fmt.Errorf("export %s: %w", e.section, err)
			}
		}
		return nil
	}))
}
