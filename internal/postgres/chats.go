package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Chats keeps conversations, behind the second lock. It is safe for concurrent use.
type Chats struct{ db *DB }

var _ chat.Store = (*Chats)(nil)

// NewChats returns the conversations in db.
func NewChats(db *DB) *Chats { return &Chats{db} }

const (
	conversationColumns = `tenant, id, user_id, title, archived, turns, created_at, updated_at`

	// lockChats makes who gives a user conversations wait for each other.
	lockChats          = `SELECT pg_advisory_xact_lock(hashtextextended('chat_conversations ' || $1 || ' ' || $2, 0))`
	countConversations = `SELECT count(*) FROM chat_conversations WHERE tenant = $1 AND user_id = $2`
	insertConversation = `INSERT INTO chat_conversations (` + conversationColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	getConversation    = `SELECT ` + conversationColumns + ` FROM chat_conversations WHERE tenant = $1 AND user_id = $2 AND id = $3`
	lockConversation   = getConversation + ` FOR UPDATE`
	listConversations  = `SELECT ` + conversationColumns + ` FROM chat_conversations WHERE tenant = $1 AND user_id = $2 AND archived = $3
		AND (updated_at, id) < ($4, $5) ORDER BY updated_at DESC, id DESC LIMIT $6`
	changeConversation = `UPDATE chat_conversations SET title = coalesce($4, title), archived = coalesce($5, archived), updated_at = greatest(updated_at, $6)
		WHERE tenant = $1 AND user_id = $2 AND id = $3 RETURNING ` + conversationColumns
	noteDeleted = `INSERT INTO chat_deleted (tenant, task, deleted_at) SELECT m.tenant, m.task, now() FROM chat_messages m
		JOIN chat_conversations c ON c.tenant = m.tenant AND c.id = m.conversation
		WHERE m.tenant = $1 AND c.user_id = $2 AND m.conversation = $3 ON CONFLICT DO NOTHING`
	deleteConversation = `DELETE FROM chat_conversations WHERE tenant = $1 AND user_id = $2 AND id = $3`
)

func scanConversation(row pgx.Row) (c chat.Conversation, err error) {
	err = row.Scan(&c.Owner.Tenant, &c.ID, &c.Owner.UserID, &c.Title, &c.Archived, &c.Turns, &c.CreatedAt, &c.UpdatedAt)
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	return c, err
}

// Create implements chat.Store.
func (s *Chats) Create(ctx context.Context, c chat.Conversation, atMost int) error {
	o := c.Owner
	return s.db.asTenant(ctx, o.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockChats, o.Tenant, indexed(o.UserID)); err != nil {
			return err
		}
		var there int
		if err := tx.QueryRow(ctx, countConversations, o.Tenant, indexed(o.UserID)).Scan(&there); err != nil {
			return err
		}
		if there >= atMost {
			return fault.New(fault.Conflict, "you have %d conversations, as many as are kept: delete one first", there)
		}
		_, err := tx.Exec(ctx, insertConversation, o.Tenant, c.ID, indexed(o.UserID), storable(c.Title), c.Archived, c.Turns, c.CreatedAt, c.UpdatedAt)
		return err
	})
}

// List implements chat.Store.
func (s *Chats) List(ctx context.Context, o chat.Owner, f chat.Filter) (page chat.Page, err error) {
	list := []any{"conversations", o, f.Archived}
	at, id, err := placeOf(f.Cursor, list)
	if err != nil {
		return page, err
	}
	found, err := askRows(ctx, s.db.of(o.Tenant), listConversations, []any{o.Tenant, indexed(o.UserID), f.Archived, at, id, f.Limit + 1},
		func(row pgx.CollectableRow) (chat.Conversation, error) { return scanConversation(row) })
	if err != nil {
		return page, err
	}
	page.Conversations, page.Next = cut(found, f.Limit, list, func(c chat.Conversation) (time.Time, string) { return c.UpdatedAt, c.ID })
	return page, nil
}

// Get implements chat.Store.
func (s *Chats) Get(ctx context.Context, o chat.Owner, id string) (c chat.Conversation, err error) {
	err = askRow(ctx, s.db.of(o.Tenant), getConversation, []any{o.Tenant, indexed(o.UserID), indexed(id)}, func(row pgx.Row) (err error) {
		c, err = scanConversation(row)
		return err
	})
	return c, missing("conversation", id, err)
}

// Change implements chat.Store.
func (s *Chats) Change(ctx context.Context, o chat.Owner, id string, change chat.Change, at time.Time) (c chat.Conversation, err error) {
	title := change.Title
	if title != nil {
		kept := storable(*title)
		title = &kept
	}
	err = s.db.asTenant(ctx, o.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		c, err = scanConversation(tx.QueryRow(ctx, changeConversation, o.Tenant, indexed(o.UserID), indexed(id), title, change.Archived, at))
		return missing("conversation", id, err)
	})
	return c, err
}

// Delete implements chat.Store.
func (s *Chats) Delete(ctx context.Context, o chat.Owner, id string) error {
	return s.db.asTenant(ctx, o.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, noteDeleted, o.Tenant, indexed(o.UserID), indexed(id)); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, deleteConversation, o.Tenant, indexed(o.UserID), indexed(id))
		if err == nil && tag.RowsAffected() == 0 {
			err = missing("conversation", id, pgx.ErrNoRows)
		}
		return err
	})
}

const (
	messageFields = `m.id, m.conversation, m.n, m.text, m.state, m.task, m.answer, m.error, m.created_at, m.settled_at`
	ownMessages   = ` FROM chat_messages m JOIN chat_conversations c ON c.tenant = m.tenant AND c.id = m.conversation
		WHERE m.tenant = $1 AND c.user_id = $2 AND m.conversation = $3`

	findOpen      = `SELECT id FROM chat_messages WHERE tenant = $1 AND conversation = $2 AND (state = 'open' OR id = $3) LIMIT 1`
	insertMessage = `INSERT INTO chat_messages (tenant, id, conversation, n, text, task, state, input, created_at) VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, $8)`
	noteTurn      = `UPDATE chat_conversations SET turns = $3, title = CASE WHEN title = '' THEN $4 ELSE title END, updated_at = greatest(updated_at, $5)
		WHERE tenant = $1 AND id = $2`
	listMessages  = `SELECT ` + messageFields + ownMessages + ` AND m.n < $4 ORDER BY m.n DESC LIMIT $5`
	getMessage    = `SELECT ` + messageFields + ownMessages + ` AND m.id = $4`
	getInput      = `SELECT m.input` + ownMessages + ` AND m.id = $4 AND m.state = 'open'`
	settleMessage = `UPDATE chat_messages m SET state = $5, answer = $6, error = $7, settled_at = $8, input = NULL FROM chat_conversations c
		WHERE c.tenant = m.tenant AND c.id = m.conversation AND m.tenant = $1 AND c.user_id = $2 AND m.conversation = $3 AND m.id = $4`
)

func scanMessage(row pgx.Row) (m chat.Message, err error) {
	var answer, failure []byte
	if err := row.Scan(&m.ID, &m.Conversation, &m.N, &m.Text, &m.State, &m.TaskID, &answer, &failure, &m.CreatedAt, &m.SettledAt); err != nil {
		return m, err
	}
	m.CreatedAt, m.SettledAt = m.CreatedAt.UTC(), utc(m.SettledAt)
	if answer != nil {
		err = json.Unmarshal(answer, &m.Answer)
	}
	if failure != nil && err == nil {
		err = json.Unmarshal(failure, &m.Error)
	}
	return m, err
}

// Add implements chat.Store.
func (s *Chats) Add(ctx context.Context, o chat.Owner, m chat.Message, input json.RawMessage, title string, atMost int) (chat.Message, error) {
	err := s.db.asTenant(ctx, o.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		c, err := scanConversation(tx.QueryRow(ctx, lockConversation, o.Tenant, indexed(o.UserID), indexed(m.Conversation)))
		if err != nil {
			return missing("conversation", m.Conversation, err)
		}
		var open string
		switch err := tx.QueryRow(ctx, findOpen, o.Tenant, c.ID, m.ID).Scan(&open); {
		case err == nil:
			return fault.New(fault.Conflict, "message %s is being answered; wait for it, or end it with POST /ai-chat/conversations/%s/cancel", open, c.ID)
		case !errors.Is(err, pgx.ErrNoRows):
			return err
		case c.Archived:
			return fault.New(fault.Conflict, "the conversation is archived: open it again first, with PATCH and archived false")
		case c.Turns >= atMost:
			return fault.New(fault.Conflict, "the conversation has %d messages with their answers, as many as are kept: begin a new one", c.Turns)
		}
		m.N = c.Turns + 1
		if _, err := tx.Exec(ctx, insertMessage, o.Tenant, m.ID, c.ID, m.N, storable(m.Text), m.TaskID, input, m.CreatedAt); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, noteTurn, o.Tenant, c.ID, m.N, storable(title), m.CreatedAt)
		return err
	})
	return m, err
}

// Messages implements chat.Store.
func (s *Chats) Messages(ctx context.Context, o chat.Owner, conversation string, before, limit int) ([]chat.Message, error) {
	if before == 0 {
		before = chat.MaxTurns + 1
	}
	return askRows(ctx, s.db.of(o.Tenant), listMessages, []any{o.Tenant, indexed(o.UserID), indexed(conversation), before, limit},
		func(row pgx.CollectableRow) (chat.Message, error) { return scanMessage(row) })
}

// Message implements chat.Store.
func (s *Chats) Message(ctx context.Context, o chat.Owner, conversation, id string) (m chat.Message, err error) {
	err = askRow(ctx, s.db.of(o.Tenant), getMessage, []any{o.Tenant, indexed(o.UserID), indexed(conversation), indexed(id)}, func(row pgx.Row) (err error) {
		m, err = scanMessage(row)
		return err
	})
	return m, missing("message", id, err)
}

// Input implements chat.Store.
func (s *Chats) Input(ctx context.Context, o chat.Owner, conversation, id string) (input json.RawMessage, err error) {
	err = askRow(ctx, s.db.of(o.Tenant), getInput, []any{o.Tenant, indexed(o.UserID), indexed(conversation), indexed(id)}, func(row pgx.Row) error {
		return row.Scan(&input)
	})
	return input, missing("open message", id, err)
}

// Settle implements chat.Store.
func (s *Chats) Settle(ctx context.Context, o chat.Owner, m chat.Message) error {
	var answer, failure []byte
	var err error
	if m.Answer != nil {
		answer, err = json.Marshal(m.Answer)
	}
	if m.Error != nil && err == nil {
		failure, err = json.Marshal(m.Error)
	}
	if err != nil {
		return err
	}
	return s.db.asTenant(ctx, o.Tenant, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, settleMessage, o.Tenant, indexed(o.UserID), indexed(m.Conversation), indexed(m.ID), m.State, answer, failure, m.SettledAt)
		if err == nil && tag.RowsAffected() == 0 {
			err = missing("message", m.ID, pgx.ErrNoRows)
		}
		return err
	})
}
