package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/chat"
)

// chatAnswer writes a turn for as long as it goes on.
type chatAnswer func(w http.ResponseWriter) error

// VisitSendMessageResponse implements SendMessageResponseObject.
func (a chatAnswer) VisitSendMessageResponse(w http.ResponseWriter) error { return a(w) }

// VisitFollowMessageResponse implements FollowMessageResponseObject.
func (a chatAnswer) VisitFollowMessageResponse(w http.ResponseWriter) error { return a(w) }

// FollowMessage implements StrictServerInterface.
func (s *Server) FollowMessage(ctx context.Context, r FollowMessageRequestObject) (FollowMessageResponseObject, error) {
	chats, o, p, err := s.chatsOf(ctx)
	if err != nil {
		return nil, err
	}
	from, err := chat.ParsePosition(r.Params.LastEventID)
	if err != nil {
		return nil, err
	}
	m, err := chats.Message(ctx, o, r.ID, r.Message)
	if err != nil {
		return nil, err
	}
	if from.Over {
		return FollowMessage204Response{}, nil
	}
	if err := s.streams.acquire(p.UserID); err != nil {
		return nil, err
	}
	return s.openChat(ctx, o, p, m, from)
}

// openChat answers with the stream of a turn, and releases the slot that p has for it.
func (s *Server) openChat(ctx context.Context, o chat.Owner, p auth.Principal, m chat.Message, from chat.Position) (chatAnswer, error) {
	ctx, cancel := context.WithCancel(ctx)
	st, err := s.cfg.Chats.Follow(ctx, o, m.Conversation, m.ID, from)
	if err != nil {
		cancel()
		s.streams.release(p.UserID)
		return nil, err
	}
	return func(w http.ResponseWriter) error {
		defer s.streams.release(p.UserID)
		defer letGo(cancel, st.Events)
		f := &frames{out: w, control: callOf(ctx).control, lines: callOf(ctx).lines}
		if err := s.streamChat(ctx, f, p, st); err != nil && !errors.Is(err, context.Canceled) {
			s.logger.DebugContext(ctx, "stream broke off", "request_id", callOf(ctx).id, "message", m.ID, "error", err)
		}
		return nil
	}, nil
}

func (s *Server) streamChat(ctx context.Context, f *frames, p auth.Principal, st *chat.Stream) error {
	if err := f.open(); err != nil {
		return err
	}
	if err := f.told(st.Rest); err != nil || st.Events == nil {
		return err
	}
	mayNot := func(int) string {
		_, reach, why, err := s.reachesNow(ctx, p.Tenant)
		if err == nil && why == "" && reach < auth.Own {
			return notAnyMore
		}
		return why
	}
	err := s.relay(ctx, f, p, st.Events, mayNot, func(e events.Event) (bool, error) {
		told, end, err := st.Tell(ctx, e)
		if err != nil {
			return true, errors.Join(err, f.hint("try again"))
		}
		return end, f.told(told)
	})
	if errors.Is(err, errLiveEnded) {
		return errors.Join(ctx.Err(), f.hint("try again"))
	}
	return err
}

func (f *frames) told(all []chat.Told) error {
	for _, one := range all {
		f.id = one.At.String()
		if err := f.data(one.Name, one.Data); err != nil {
			return err
		}
	}
	return nil
}
