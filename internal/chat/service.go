package chat

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Tasks is what turns are made of. *task.Service has it.
type Tasks interface {
	Submit(ctx context.Context, sub task.Submission) (task.Task, bool, error)
	Get(ctx context.Context, tenant, id string) (task.Task, error)
	Cancel(ctx context.Context, tenant, id, by, reason string) (task.Task, error)
	Follow(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, error)
}

var _ Tasks = (*task.Service)(nil)

// Config is what a Service needs. Store and Tasks are required.
type Config struct {
	Store  Store
	Tasks  Tasks
	Now    func() time.Time // time.Now when nil
	Logger *slog.Logger     // nil discards
}

// Service keeps conversations. It is safe for concurrent use and holds no state of its own.
//
// All its methods return, beside what they name: Invalid with the field; NotFound for what the owner does not have; Unavailable and
// Timeout while the store or the log is away.
type Service struct {
	store  Store
	tasks  Tasks
	now    func() time.Time
	logger *slog.Logger
}

// New checks cfg and returns the service.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Tasks == nil {
		return nil, errors.New("chat: Config.Store and Tasks are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{store: cfg.Store, tasks: cfg.Tasks, now: cfg.Now, logger: cfg.Logger}, nil
}

// time returns the present time as the database holds it.
func (s *Service) time() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Create makes a conversation. Conflict when the owner has MaxConversations.
func (s *Service) Create(ctx context.Context, o Owner, title string) (Conversation, error) {
	title, err := cleanTitle(title)
	if err != nil {
		return Conversation{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Conversation{}, err
	}
	now := s.time()
	c := Conversation{ID: id.String(), Owner: o, Title: title, CreatedAt: now, UpdatedAt: now}
	return c, s.store.Create(ctx, c, MaxConversations)
}

func cleanTitle(title string) (string, error) {
	title = strings.Join(strings.Fields(title), " ")
	if utf8.RuneCountInString(title) > MaxTitle {
		return "", fault.InvalidField("title", "has more than %d characters", MaxTitle)
	}
	return title, nil
}

// List returns a page of the owner's conversations.
func (s *Service) List(ctx context.Context, o Owner, f Filter) (Page, error) {
	if err := checkLimit(&f.Limit); err != nil {
		return Page{}, err
	}
	return s.store.List(ctx, o, f)
}

func checkLimit(limit *int) error {
	if *limit == 0 {
		*limit = DefaultPage
	}
	if *limit < 1 || *limit > MaxPage {
		return fault.InvalidField("limit", "is %d, must be 1 to %d", *limit, MaxPage)
	}
	return nil
}

// Get returns a conversation.
func (s *Service) Get(ctx context.Context, o Owner, id string) (Conversation, error) {
	return s.store.Get(ctx, o, id)
}

// Change changes a conversation.
func (s *Service) Change(ctx context.Context, o Owner, id string, change Change) (Conversation, error) {
	if change.Title != nil {
		title, err := cleanTitle(*change.Title)
		if err != nil {
			return Conversation{}, err
		}
		change.Title = &title
	}
	return s.store.Change(ctx, o, id, change, s.time())
}

// Delete ends the open turn of a conversation and deletes it with its messages.
func (s *Service) Delete(ctx context.Context, o Owner, id string) error {
	if _, err := s.Cancel(ctx, o, id); err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	return s.store.Delete(ctx, o, id)
}

// Messages returns a page of a conversation's messages before the one with the number before, 0 for the newest.
func (s *Service) Messages(ctx context.Context, o Owner, conversation string, before, limit int) (MessagePage, error) {
	if err := checkLimit(&limit); err != nil {
		return MessagePage{}, err
	}
	if _, err := s.store.Get(ctx, o, conversation); err != nil {
		return MessagePage{}, err
	}
	found, err := s.store.Messages(ctx, o, conversation, before, limit+1)
	if err != nil {
		return MessagePage{}, err
	}
	page := MessagePage{Messages: found}
	if len(found) > limit {
		page.Messages = found[:limit]
		page.Next = found[limit-1].N
	}
	s.lookAt(ctx, o, page.Messages)
	return page, nil
}

// Message returns a message as it stands now.
func (s *Service) Message(ctx context.Context, o Owner, conversation, id string) (Message, error) {
	m, err := s.store.Message(ctx, o, conversation, id)
	if err != nil {
		return Message{}, err
	}
	return s.look(ctx, o, m)
}
