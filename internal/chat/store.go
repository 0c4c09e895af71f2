package chat

import (
	"context"
	"encoding/json"
	"time"
)

// Store keeps conversations. postgres.Chats is one; chattest has one in memory, and the suite that both pass. It shows an owner nothing of
// others: what is theirs is NotFound. Unavailable and Timeout while it is away.
type Store interface {
	// Create is a Conflict fault when the owner has atMost conversations already.
	Create(ctx context.Context, c Conversation, atMost int) error
	List(ctx context.Context, o Owner, f Filter) (Page, error)
	Get(ctx context.Context, o Owner, id string) (Conversation, error)
	Change(ctx context.Context, o Owner, id string, change Change, at time.Time) (Conversation, error)
	// Delete deletes a conversation and its messages, and notes whose tasks are to be deleted.
	Delete(ctx context.Context, o Owner, id string) error

	// Add adds an open message, with the input of its task, to its conversation, and returns it with its N. The conversation takes the title
	// when it has none. It is a Conflict fault, and changes nothing, when the conversation has an open message, has atMost messages, is
	// archived, or has this one.
	Add(ctx context.Context, o Owner, m Message, input json.RawMessage, title string, atMost int) (Message, error)
	// Messages returns at most limit messages before the given one, 0 for all, the newest first.
	Messages(ctx context.Context, o Owner, conversation string, before, limit int) ([]Message, error)
	Message(ctx context.Context, o Owner, conversation, id string) (Message, error)
	// Input returns the input of an open message; NotFound when it is open no more.
	Input(ctx context.Context, o Owner, conversation, id string) (json.RawMessage, error)
	// Settle puts on record what came of a turn. It may be repeated, and forgets the input. NotFound when the message is gone.
	Settle(ctx context.Context, o Owner, m Message) error
}
