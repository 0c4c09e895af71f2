// Package chattest has a chat.Store in memory, and the suite that every one of them passes.
package chattest

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Memory is a chat.Store in memory.
type Memory struct {
	mu    sync.Mutex
	chats map[string]*kept
}

type kept struct {
	chat.Conversation
	messages []chat.Message
	inputs   map[string]json.RawMessage
}

var _ chat.Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{chats: map[string]*kept{}} }

func (m *Memory) of(o chat.Owner, id string) (*kept, error) {
	if c := m.chats[id]; c != nil && c.Owner == o {
		return c, nil
	}
	return nil, fault.New(fault.NotFound, "there is no conversation %.64q", id)
}

// Create implements chat.Store.
func (m *Memory) Create(_ context.Context, c chat.Conversation, atMost int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, other := range m.chats {
		if other.Owner == c.Owner {
			n++
		}
	}
	if n >= atMost {
		return fault.New(fault.Conflict, "there are %d conversations already: delete one first", n)
	}
	m.chats[c.ID] = &kept{Conversation: c, inputs: map[string]json.RawMessage{}}
	return nil
}

// List implements chat.Store.
func (m *Memory) List(_ context.Context, o chat.Owner, f chat.Filter) (chat.Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page chat.Page
	for _, c := range m.chats {
		if c.Owner == o && c.Archived == f.Archived {
			page.Conversations = append(page.Conversations, c.Conversation)
		}
	}
	slices.SortFunc(page.Conversations, func(a, b chat.Conversation) int {
		if c := b.UpdatedAt.Compare(a.UpdatedAt); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	from := 0
	if f.Cursor != "" {
		n, err := strconv.Atoi(f.Cursor)
		if err != nil || n < 0 || n > len(page.Conversations) {
			return chat.Page{}, fault.InvalidField("cursor", "is none that a list gave out")
		}
		from = n
	}
	page.Conversations = page.Conversations[from:]
	if len(page.Conversations) > f.Limit {
		page.Conversations, page.Next = page.Conversations[:f.Limit], strconv.Itoa(from+f.Limit)
	}
	return page, nil
}

// Get implements chat.Store.
func (m *Memory) Get(_ context.Context, o chat.Owner, id string) (chat.Conversation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.of(o, id)
	if err != nil {
		return chat.Conversation{}, err
	}
	return c.Conversation, nil
}

// Change implements chat.Store.
func (m *Memory) Change(_ context.Context, o chat.Owner, id string, change chat.Change, at time.Time) (chat.Conversation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.of(o, id)
	if err != nil {
		return chat.Conversation{}, err
	}
	if change.Title != nil {
		c.Title = *change.Title
	}
	if change.Archived != nil {
		c.Archived = *change.Archived
	}
	c.UpdatedAt = at
	return c.Conversation, nil
}

// Delete implements chat.Store.
func (m *Memory) Delete(_ context.Context, o chat.Owner, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.of(o, id)
	if err == nil {
		delete(m.chats, id)
	}
	return err
}

// Add implements chat.Store.
func (m *Memory) Add(_ context.Context, o chat.Owner, msg chat.Message, input json.RawMessage, title string, atMost int) (chat.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.of(o, msg.Conversation)
	if err != nil {
		return chat.Message{}, err
	}
	for _, other := range c.messages {
		if other.State == chat.Open || other.ID == msg.ID {
			return chat.Message{}, fault.New(fault.Conflict, "message %s is being answered", other.ID)
		}
	}
	if c.Archived || len(c.messages) >= atMost {
		return chat.Message{}, fault.New(fault.Conflict, "the conversation takes no more messages")
	}
	if c.Title == "" {
		c.Title = title
	}
	msg.N = len(c.messages) + 1
	c.messages, c.inputs[msg.ID] = append(c.messages, msg), input
	c.Turns, c.UpdatedAt = msg.N, msg.CreatedAt
	return msg, nil
}

// Messages implements chat.Store.
func (m *Memory) Messages(_ context.Context, o chat.Owner, conversation string, before, limit int) ([]chat.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.of(o, conversation)
	if err != nil {
		return nil, nil //nolint:nilerr // as a query finds nothing
	}
	var found []chat.Message
	for i := len(c.messages) - 1; i >= 0 && len(found) < limit; i-- {
		if before == 0 || c.messages[i].N < before {
			found = append(found, c.messages[i])
		}
	}
	return found, nil
}

func (m *Memory) message(o chat.Owner, conversation, id string) (*kept, *chat.Message, error) {
	c, err := m.of(o, conversation)
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(c.messages, func(other chat.Message) bool { return other.ID == id })
	if i < 0 {
		return nil, nil, fault.New(fault.NotFound, "there is no message %.64q", id)
	}
	return c, &c.messages[i], nil
}

// Message implements chat.Store.
func (m *Memory) Message(_ context.Context, o chat.Owner, conversation, id string) (chat.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, found, err := m.message(o, conversation, id)
	if err != nil {
		return chat.Message{}, err
	}
	return *found, nil
}

// Input implements chat.Store.
func (m *Memory) Input(_ context.Context, o chat.Owner, conversation, id string) (json.RawMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, found, err := m.message(o, conversation, id)
	if err != nil {
		return nil, err
	}
	if found.State != chat.Open {
		return nil, fault.New(fault.NotFound, "message %s is open no more", id)
	}
	return c.inputs[id], nil
}

// Settle implements chat.Store.
func (m *Memory) Settle(_ context.Context, o chat.Owner, msg chat.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, found, err := m.message(o, msg.Conversation, msg.ID)
	if err != nil {
		return err
	}
	found.State, found.Answer, found.Error, found.SettledAt = msg.State, msg.Answer, msg.Error, msg.SettledAt
	delete(c.inputs, msg.ID)
	return nil
}
