// Package chat keeps conversations with an assistant that may submit tasks in its user's name.
//
// A message of a user and its answer are a turn, and a turn is a task: of the internal kind Kind, private to its user, with the
// message's id in its idempotency key. So a turn has what tasks have: a record, budgets, steps that are not paid for twice, text that is
// read as it is written, cancelling. Package workers/agents/chat works on it; this package writes its input and reads its result.
//
//	             the row is written   the task is submitted      a reader finds the task at its end
//	(nothing) ──────────────────────► open ──────────────────► open ──────────────────────────────► answered, failed, cancelled
//
// The row, with the input of the task in it, is written first, and the task's id follows from the message's. So nothing is lost between
// the two: whoever looks at an open message whose task is not there submits it, with the same input, and the log takes it once. What
// came of a turn is read from the log, and is copied into the row by who reads it first; so a reader finds what was streamed, however
// far the archive is behind. A failed turn is looked at again each time: an admin may have replayed it.
//
// A conversation has one open turn at a time. The tasks of its turns are deleted with it, by the janitor, a minute later or more.
package chat

import (
	"encoding/json"
	"time"
)

// Kind is the kind of the tasks that turns are.
const Kind = "chat"

// KeyPrefix begins the idempotency keys of turns' tasks, and of those that a turn submits.
const KeyPrefix = "chat:"

// Bounds of chats.
const (
	MaxConversations = 1000 // of a user, archived ones among them
	MaxTurns         = 1000 // of a conversation: 2,000 messages, asked and answered
	MaxText          = 8000 // characters of a message
	MaxTitle         = 200  // characters
	DefaultPage      = 50
	MaxPage          = 200

	// HistoryTokens is how many tokens of what was said before a turn is told.
	HistoryTokens = 8000
	// MaxHistory is how many turns are looked at for that.
	MaxHistory = 100

	maxKey = 255
	// healWithin is how long an open message whose task is not there is submitted by who looks at it: what its user might do then is what
	// they may do now, more or less. One that is older has failed.
	healWithin = 10 * time.Minute
)

// Owner is whose conversations are meant: nobody reads those of somebody else.
type Owner struct {
	Tenant string
	UserID string
}

// Conversation is a sequence of turns.
type Conversation struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"` // the beginning of the first message where nobody gave one
	Archived  bool      `json:"archived"`
	Turns     int       `json:"turns"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Owner     Owner     `json:"-"`
}

// State says how far a turn is.
type State string

// The states of a turn.
const (
	Open      State = "open"
	Answered  State = "answered"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Message is what a user said, and what came of it.
type Message struct {
	ID           string     `json:"id"`
	Conversation string     `json:"conversation_id"`
	N            int        `json:"n"` // of the conversation, from 1
	Text         string     `json:"text"`
	State        State      `json:"state"`
	TaskID       string     `json:"task_id"`
	Answer       *Answer    `json:"answer,omitempty"`
	Error        *Failure   `json:"error,omitempty"`
	CreatedAt    time.Time  `json:"created_at"`
	SettledAt    *time.Time `json:"settled_at,omitempty"`
}

// Answer is what the assistant said, as the result of a turn's task holds it.
type Answer struct {
	Text  string    `json:"text"` // Markdown
	Tools []ToolUse `json:"tools"`
}

// ToolUse says what the assistant did with a tool, as the output of the step holds it that did it.
type ToolUse struct {
	N      int    `json:"n"`    // of the turn, from 1
	Name   string `json:"name"` // "submit_task"
	Kind   string `json:"kind,omitempty"`
	TaskID string `json:"task_id,omitempty"`
	OK     bool   `json:"ok"`
	Error  string `json:"error,omitempty"`
}

// Failure says why there is no answer.
type Failure struct {
	Code    string `json:"code"` // the cause of the task's failure, "cancelled" or "lost"
	Message string `json:"message"`
}

// Input is the input of a turn's task.
type Input struct {
	Conversation string   `json:"conversation"`
	Message      string   `json:"message"`
	Text         string   `json:"text"`
	History      []Turn   `json:"history"` // oldest first
	May          []string `json:"may"`     // the kinds that the user may submit
	Tasks        []string `json:"tasks"`   // that the conversation submitted before, the newest last
	Facts        Facts    `json:"facts"`
	Grounds      *Grounds `json:"grounds,omitempty"` // nil in what was written before there were any
}

// Grounds are on what grounds a message was taken. Who starts a task because of it holds them against what was revoked since. They hold no
// secret, and the model is not told of them.
type Grounds struct {
	At     time.Time  `json:"at"`               // when the message was sent
	Proved time.Time  `json:"proved"`           // when what proved its user was issued; At when that is not known
	Home   string     `json:"home,omitempty"`   // of a platform admin who acted in another tenant
	KeyID  string     `json:"key_id,omitempty"` // of an API key
	Until  *time.Time `json:"until,omitempty"`  // when that key ends
}

// Facts are what the assistant knows of its circumstances. None of them is secret.
type Facts struct {
	Date string `json:"date"` // 2006-01-02, UTC
	Role string `json:"role"`
}

// Turn is a turn that was answered, as the next one is told of it.
type Turn struct {
	User      string    `json:"user"`
	Tools     []ToolUse `json:"tools"`
	Assistant string    `json:"assistant"`
}

// Draft is a message to be sent.
type Draft struct {
	Text string
	Key  string   // Idempotency-Key: the same key and text is the same message; empty for none
	May  []string // the kinds that the assistant may submit
	Role string
	// Grounds are those of the request; At is filled in, and Proved where it is zero.
	Grounds Grounds
	// TraceParent is that of the request.
	TraceParent string
}

// Filter says which conversations to list, those first that were used last.
type Filter struct {
	Archived bool
	Cursor   string
	Limit    int // 1 to MaxPage; DefaultPage when 0
}

// Page is a page of conversations.
type Page struct {
	Conversations []Conversation
	Next          string // the next page's Cursor; empty on the last one
}

// MessagePage is a page of messages, the newest first.
type MessagePage struct {
	Messages []Message
	Next     int // what Before is for the next page; 0 on the last one
}

// Change says what to change of a conversation; nil leaves it.
type Change struct {
	Title    *string
	Archived *bool
}

// raw encodes what always encodes: our own types.
func raw(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
