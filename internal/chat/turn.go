package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Send begins a turn. The second result is false when an earlier call with the same key did.
//
// Errors: Conflict when another turn of the conversation is open, the conversation is full or archived, or the key was used for another
// text. Unavailable may mean that the message is on record and its task is not: it is submitted by who looks at the message next, or
// repeats the call with the key.
func (s *Service) Send(ctx context.Context, o Owner, conversation string, d Draft) (Message, bool, error) {
	text := strings.TrimSpace(d.Text)
	switch n := utf8.RuneCountInString(text); {
	case n == 0 || n > MaxText:
		return Message{}, false, fault.InvalidField("text", "has %d characters, must have 1 to %d", n, MaxText)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return Message{}, false, fault.InvalidField("text", "is no text")
	case len(d.Key) > maxKey:
		return Message{}, false, fault.InvalidField("Idempotency-Key", "has %d bytes, at most %d are allowed", len(d.Key), maxKey)
	}
	id, err := messageID(conversation, d.Key)
	if err != nil {
		return Message{}, false, err
	}
	if d.Key != "" {
		found, err := s.repeated(ctx, o, conversation, id, text)
		if !fault.Is(err, fault.NotFound) {
			return found, false, err
		}
	}
	before, err := s.before(ctx, o, conversation)
	if err != nil {
		return Message{}, false, err
	}
	m := Message{ID: id, Conversation: conversation, Text: text, State: Open, TaskID: task.KeyedID(o.Tenant, KeyPrefix+id), CreatedAt: s.time()}
	in := raw(input(m, d, before))
	made, err := s.store.Add(ctx, o, m, in, titleOf(text), MaxTurns)
	if fault.Is(err, fault.Conflict) && d.Key != "" { // the same call, made twice at once
		if found, again := s.repeated(ctx, o, conversation, id, text); again == nil {
			return found, false, nil
		}
	}
	if err != nil {
		return Message{}, false, err
	}
	made, err = s.submit(ctx, o, made, in, d.TraceParent)
	return made, true, err
}

func messageID(conversation, key string) (string, error) {
	if key != "" {
		return uuid.NewSHA1(uuid.NewSHA1(uuid.NameSpaceURL, []byte("toolboxai:chat:"+conversation)), []byte(key)).String(), nil
	}
	id, err := uuid.NewV7()
	return id.String(), err
}

// titleOf returns the beginning of a message.
func titleOf(text string) string {
	const length = 60
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= length {
		return text
	}
	return strings.TrimSpace(string([]rune(text)[:length-1])) + "…"
}

// repeated returns the message that an earlier call made.
func (s *Service) repeated(ctx context.Context, o Owner, conversation, id, text string) (Message, error) {
	m, err := s.store.Message(ctx, o, conversation, id)
	if err != nil {
		return Message{}, err
	}
	if m.Text != text {
		return Message{}, fault.New(fault.Conflict, "the Idempotency-Key was used for message %s with another text; take a new key", id)
	}
	return s.look(ctx, o, m)
}

// before returns what was said, the newest first. Conflict when a turn is open, or the conversation is archived.
func (s *Service) before(ctx context.Context, o Owner, conversation string) ([]Message, error) {
	c, err := s.store.Get(ctx, o, conversation)
	if err != nil {
		return nil, err
	}
	if c.Archived {
		return nil, fault.New(fault.Conflict, "the conversation is archived: open it again first, with PATCH and archived false")
	}
	found, err := s.store.Messages(ctx, o, conversation, 0, MaxHistory)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if found[0].State == Open {
		if found[0], err = s.look(ctx, o, found[0]); err != nil {
			return nil, err
		}
	}
	if open := found[0]; open.State == Open {
		return nil, fault.New(fault.Conflict, "message %s is being answered; wait for it, or end it with POST /ai-chat/conversations/%s/cancel", open.ID, conversation)
	}
	return found, nil
}

// submit submits the task of an open message. The log takes it once. What can never be submitted has failed.
func (s *Service) submit(ctx context.Context, o Owner, m Message, in json.RawMessage, trace string) (Message, error) {
	_, _, err := s.tasks.Submit(ctx, task.Submission{
		Tenant: o.Tenant, UserID: o.UserID, Kind: Kind, Internal: true, Input: in, Priority: events.High, Key: KeyPrefix + m.ID, TraceParent: trace,
	})
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge) || fault.Is(err, fault.Conflict) {
		s.logger.ErrorContext(ctx, "a turn cannot be submitted", "message", m.ID, "error", err)
		return s.settle(ctx, o, m, Failed, nil, &Failure{Code: "lost", Message: "the turn could not be submitted"})
	}
	return m, err
}

// lookAt brings messages up to date as far as that can be done now: what was said is shown also while the log is away.
func (s *Service) lookAt(ctx context.Context, o Owner, messages []Message) {
	for i, m := range messages {
		now, err := s.look(ctx, o, m)
		if err != nil {
			s.logger.DebugContext(ctx, "a turn is shown as it was", "message", m.ID, "error", err)
			continue
		}
		messages[i] = now
	}
}

// look returns a message as it stands now, and puts on record what came of it. The task of an open one that was lost on the way is
// submitted.
func (s *Service) look(ctx context.Context, o Owner, m Message) (Message, error) {
	if m.State != Open && m.State != Failed {
		return m, nil
	}
	t, err := s.tasks.Get(ctx, o.Tenant, m.TaskID)
	switch {
	case fault.Is(err, fault.NotFound):
		return s.heal(ctx, o, m)
	case err != nil:
		return m, fmt.Errorf("read the turn of message %s: %w", m.ID, err)
	}
	return s.outcome(ctx, o, m, t)
}

// heal submits an open message whose task is not there.
func (s *Service) heal(ctx context.Context, o Owner, m Message) (Message, error) {
	if m.State != Open {
		return m, nil
	}
	if s.time().Sub(m.CreatedAt) > healWithin {
		return s.settle(ctx, o, m, Failed, nil, &Failure{Code: "lost", Message: "the message was not handed on: send it again"})
	}
	in, err := s.store.Input(ctx, o, m.Conversation, m.ID)
	if fault.Is(err, fault.NotFound) {
		return s.store.Message(ctx, o, m.Conversation, m.ID)
	}
	if err != nil {
		return m, err
	}
	return s.submit(ctx, o, m, in, "")
}

// outcome puts on record what came of a turn whose task is t.
func (s *Service) outcome(ctx context.Context, o Owner, m Message, t task.Task) (Message, error) {
	switch t.State {
	case task.Completed:
		var a Answer
		if err := json.Unmarshal(t.Result, &a); err != nil {
			return m, fault.After(0, "the answer to message %s cannot be read now: %w", m.ID, err)
		}
		return s.settle(ctx, o, m, Answered, &a, nil)
	case task.Cancelled:
		return s.settle(ctx, o, m, Cancelled, nil, &Failure{Code: "cancelled", Message: "the turn was cancelled"})
	case task.Failed:
		if m.State == Failed {
			return m, nil
		}
		f := &Failure{Code: string(events.CauseBug), Message: "the assistant could not answer; send the message again"}
		if t.Failure != nil {
			f.Code = string(t.Failure.Cause)
		}
		return s.settle(ctx, o, m, Failed, nil, f)
	}
	return m, nil
}

func (s *Service) settle(ctx context.Context, o Owner, m Message, state State, a *Answer, f *Failure) (Message, error) {
	now := s.time()
	m.State, m.Answer, m.Error, m.SettledAt = state, a, f, &now
	return m, s.store.Settle(context.WithoutCancel(ctx), o, m)
}

// Cancel ends the open turn of a conversation. Conflict when there is none. What it submitted before goes on.
func (s *Service) Cancel(ctx context.Context, o Owner, conversation string) (Message, error) {
	if _, err := s.store.Get(ctx, o, conversation); err != nil {
		return Message{}, err
	}
	found, err := s.store.Messages(ctx, o, conversation, 0, 1)
	if err != nil {
		return Message{}, err
	}
	if len(found) == 0 {
		return Message{}, fault.New(fault.Conflict, "no message of the conversation is being answered")
	}
	m, err := s.look(ctx, o, found[0]) // a task that is not there yet could begin behind us
	if err != nil {
		return m, err
	}
	if m.State != Open {
		return m, fault.New(fault.Conflict, "no message of the conversation is being answered")
	}
	t, err := s.tasks.Cancel(ctx, o.Tenant, m.TaskID, o.UserID, "the user ended the turn")
	if fault.Is(err, fault.Conflict) { // it ended by itself
		return s.look(ctx, o, m)
	}
	if err != nil {
		return m, err
	}
	return s.outcome(ctx, o, m, t)
}
