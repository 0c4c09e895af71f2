package api

import (
	"context"
	"strings"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Chats keeps conversations. *chat.Service has it; see there for what each method does and returns.
type Chats interface {
	Create(ctx context.Context, o chat.Owner, title string) (chat.Conversation, error)
	List(ctx context.Context, o chat.Owner, f chat.Filter) (chat.Page, error)
	Get(ctx context.Context, o chat.Owner, id string) (chat.Conversation, error)
	Change(ctx context.Context, o chat.Owner, id string, change chat.Change) (chat.Conversation, error)
	Delete(ctx context.Context, o chat.Owner, id string) error
	Messages(ctx context.Context, o chat.Owner, conversation string, before, limit int) (chat.MessagePage, error)
	Message(ctx context.Context, o chat.Owner, conversation, id string) (chat.Message, error)
	Send(ctx context.Context, o chat.Owner, conversation string, d chat.Draft) (chat.Message, bool, error)
	Cancel(ctx context.Context, o chat.Owner, conversation string) (chat.Message, error)
	Follow(ctx context.Context, o chat.Owner, conversation, id string, from chat.Position) (*chat.Stream, error)
}

var _ Chats = (*chat.Service)(nil)

// chatsOf returns the conversations of who asks: nobody reaches those of others.
func (s *Server) chatsOf(ctx context.Context) (Chats, chat.Owner, auth.Principal, error) {
	p, err := principal(ctx)
	if err == nil && s.cfg.Chats == nil {
		err = fault.New(fault.Unavailable, "this server has no assistant")
	}
	return s.cfg.Chats, chat.Owner{Tenant: p.Tenant, UserID: p.UserID}, p, err
}

// ListConversations implements StrictServerInterface.
func (s *Server) ListConversations(ctx context.Context, r ListConversationsRequestObject) (ListConversationsResponseObject, error) {
	chats, o, _, err := s.chatsOf(ctx)
	if err != nil {
		return nil, err
	}
	page, err := chats.List(ctx, o, chat.Filter{Archived: r.Params.State == "archived", Cursor: r.Params.Cursor, Limit: r.Params.Limit})
	if err != nil {
		return nil, err
	}
	return ListConversations200JSONResponse(success(ctx, ConversationPage{Conversations: orNone(page.Conversations), Next: page.Next}, "ok")), nil
}

// CreateConversation implements StrictServerInterface.
func (s *Server) CreateConversation(ctx context.Context, r CreateConversationRequestObject) (CreateConversationResponseObject, error) {
	chats, o, _, err := s.chatsOf(ctx)
	if err != nil {
		return nil, err
	}
	title := ""
	if r.Body != nil {
		title = r.Body.Title
	}
	made, err := chats.Create(ctx, o, title)
	if err != nil {
		return nil, err
	}
	return CreateConversation201JSONResponse(success(ctx, made, "the conversation has begun")), nil
}

// GetConversation implements StrictServerInterface.
func (s *Server) GetConversation(ctx context.Context, r GetConversationRequestObject) (GetConversationResponseObject, error) {
	chats, o, _, err := s.chatsOf(ctx)
	if err != nil {
		return nil, err
	}
	found, err := chats.Get(ctx, o, r.ID)
	if err != nil {
		return nil, err
	}
	return GetConversation200JSONResponse(success(ctx, found, "ok")), nil
}

// UpdateConversation implements StrictServerInterface.
func (s *Server) UpdateConversation(ctx context.Context, r UpdateConversationRequestObject) (UpdateConversationResponseObject, error) {
	chats, o, _, err := s.chatsOf(ctx)
	if err != nil {
		return nil, err
	}
	saved, err := chats.Change(ctx, o, r.ID, chat.Change{Title: r.Body.Title, Archived: r.Body.Archived})
	if err != nil {
		return nil, err
	}
	return UpdateConversation200JSONResponse(success(ctx, saved, "the conversation is changed")), nil
}

// DeleteConversation implements StrictServerInterface.
func (s *Server) DeleteConversation(ctx context.Context, r DeleteConversationRequestObject) (DeleteConversationResponseObject, error) {
	chats, o, _, err := s.chatsOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := chats.Delete(ctx, o, r.ID); err != nil {
		return nil, err
	}
	return DeleteConversation200JSONResponse(done(ctx, "the conversation is deleted")), nil
}

// CancelTurn implements StrictServerInterface.
func (s *Server) CancelTurn(ctx context.Context, r CancelTurnRequestObject) (CancelTurnResponseObject, error) {
	chats, o, _, err := s.chatsOf(ctx)
	if err != nil {
		return nil, err
	}
	m, err := chats.Cancel(ctx, o, r.ID)
	if err != nil {
		return nil, err
	}
	return CancelTurn200JSONResponse(success(ctx, m, "the turn has ended: it is "+string(m.State))), nil
}

// ListMessages implements StrictServerInterface.
func (s *Server) ListMessages(ctx context.Context, r ListMessagesRequestObject) (ListMessagesResponseObject, error) {
	chats, o, _, err := s.chatsOf(ctx)
	if err != nil {
		return nil, err
	}
	page, err := chats.Messages(ctx, o, r.ID, r.Params.Before, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	return ListMessages200JSONResponse(success(ctx, ChatMessagePage{Messages: orNone(page.Messages), Next: page.Next}, "ok")), nil
}

// GetMessage implements StrictServerInterface.
func (s *Server) GetMessage(ctx context.Context, r GetMessageRequestObject) (GetMessageResponseObject, error) {
	chats, o, _, err := s.chatsOf(ctx)
	if err != nil {
		return nil, err
	}
	m, err := chats.Message(ctx, o, r.ID, r.Message)
	if err != nil {
		return nil, err
	}
	return GetMessage200JSONResponse(success(ctx, m, "the message is "+string(m.State))), nil
}

// SendMessage implements StrictServerInterface.
func (s *Server) SendMessage(ctx context.Context, r SendMessageRequestObject) (SendMessageResponseObject, error) {
	chats, o, p, err := s.chatsOf(ctx)
	if err != nil {
		return nil, err
	}
	streams := callOf(ctx).follows()
	if streams { // before anything is begun that nobody could then follow
		if err := s.streams.acquire(p.UserID); err != nil {
			return nil, err
		}
	}
	m, created, err := chats.Send(ctx, o, r.ID, chat.Draft{
		Text: r.Body.Text, Key: r.Params.IdempotencyKey, May: s.maySubmit(ctx), Role: string(p.Role), Grounds: groundsOf(p), TraceParent: callOf(ctx).trace,
	})
	if streams {
		if err != nil {
			s.streams.release(p.UserID)
			return nil, err
		}
		return s.openChat(ctx, o, p, m, chat.Position{})
	}
	switch {
	case err != nil:
		return nil, err
	case !created:
		answer := success(ctx, m, "an earlier request with this Idempotency-Key sent the message")
		return SendMessage200JSONResponse{Body: answer, Headers: SendMessage200ResponseHeaders{IdempotentReplayed: "true"}}, nil
	}
	return SendMessage202JSONResponse(success(ctx, m, "the message is being answered")), nil
}

// groundsOf returns on what grounds a message of p is taken.
func groundsOf(p auth.Principal) chat.Grounds {
	g := chat.Grounds{Proved: p.IssuedAt, Home: p.Home, KeyID: p.KeyID}
	if p.KeyID != "" && !p.Expires.IsZero() {
		g.Until = &p.Expires
	}
	return g
}

// maySubmit returns the kinds that who asks may submit now, as POST /tasks decides it, but for those that are paused.
func (s *Server) maySubmit(ctx context.Context) []string {
	paused := s.cfg.Policies.Current().Paused
	var may []string
	for _, k := range s.cfg.Catalog.Kinds() {
		if _, off := paused[k.Name]; !off && s.mayDeploy(ctx, k.Name) == nil {
			may = append(may, k.Name)
		}
	}
	return may
}

// chatLines reports whether a request for a chat wants its stream as lines of JSON.
func chatLines(path, accept string) bool {
	return strings.HasPrefix(path, prefix+"/ai-chat/") && strings.Contains(accept, ndjson) && !acceptsStream(accept)
}
