package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Push signs what subscribers of channels ask for. *pusher.Signer has it.
type Push interface {
	// UserChannel, OrgChannel and TaskChannel return the names of private channels.
	UserChannel(userID string) string
	OrgChannel(tenant string) string
	TaskChannel(task string) string
	// SignChannel returns the auth of a connection's subscription; member is who joins a presence channel, as JSON, else empty.
	SignChannel(socketID, channel, member string) string
	// SignUser returns the auth of a connection's sign-in as user, which is JSON.
	SignUser(socketID, user string) string
}

// presencePrefix is of channels whose subscribers see each other.
const presencePrefix = "presence-"

// member is what others learn of who joins a presence channel.
type member struct {
	ID   string     `json:"user_id"`
	Info memberInfo `json:"user_info"`
}

type memberInfo struct {
	Name string    `json:"name"`
	Role auth.Role `json:"role"`
}

// AuthorizeChannel implements StrictServerInterface. It signs the names of channels that there are and nothing else: a signature over what
// a client makes up could be one for something else.
func (s *Server) AuthorizeChannel(ctx context.Context, r AuthorizeChannelRequestObject) (AuthorizeChannelResponseObject, error) {
	if s.cfg.Push == nil {
		return nil, noPush()
	}
	if r.JSONBody == nil {
		return nil, fault.InvalidField("body", "is missing")
	}
	p, reach, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	channel, joins := r.JSONBody.ChannelName, ""
	if err := s.mayJoin(ctx, p, reach, channel); err != nil {
		return nil, err
	}
	if strings.HasPrefix(channel, presencePrefix) {
		if joins, err = s.memberOf(ctx, p); err != nil {
			return nil, err
		}
	}
	return AuthorizeChannel200JSONResponse{
		Status: "success", Data: ChannelAuth{Channel: channel}, Message: "the connection may join", Metadata: metadata(ctx),
		Auth: s.cfg.Push.SignChannel(r.JSONBody.SocketID, channel, joins), ChannelData: joins,
	}, nil
}

// mayJoin returns nil when p may listen to a channel. NotFound for a task that p may not read; Forbidden for all others.
func (s *Server) mayJoin(ctx context.Context, p auth.Principal, reach auth.Reach, channel string) error {
	org := s.cfg.Push.OrgChannel(p.Tenant)
	switch {
	case channel == s.cfg.Push.UserChannel(p.UserID):
		return nil
	case channel == org || channel == presencePrefix+strings.TrimPrefix(org, "private-"):
		if reach < auth.Tenant {
			return fault.New(fault.Forbidden, "this channel is for teachers and admins")
		}
		return nil
	}
	id, ok := strings.CutPrefix(channel, s.cfg.Push.TaskChannel(""))
	if !ok {
		return fault.New(fault.Forbidden, "you may join your own channel, your school's and those of tasks that you may read")
	}
	_, t, err := s.readable(ctx, id)
	if err == nil && s.cfg.Push.TaskChannel(t.ID) != channel {
		return fault.New(fault.NotFound, "there is no task %q", clip(id))
	}
	return err
}

// memberOf returns what others learn of p, from our own record.
func (s *Server) memberOf(ctx context.Context, p auth.Principal) (string, error) {
	me, err := s.cfg.Accounts.Me(ctx, p)
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(member{ID: me.ID, Info: memberInfo{Name: me.Name, Role: me.Role}})
	if err != nil {
		return "", fmt.Errorf("encode a member: %w", err)
	}
	return string(data), nil
}

// AuthenticateChannelUser implements StrictServerInterface.
func (s *Server) AuthenticateChannelUser(ctx context.Context, r AuthenticateChannelUserRequestObject) (AuthenticateChannelUserResponseObject, error) {
	if s.cfg.Push == nil {
		return nil, noPush()
	}
	if r.JSONBody == nil {
		return nil, fault.InvalidField("body", "is missing")
	}
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(ChannelUser{ID: p.UserID})
	if err != nil {
		return nil, fmt.Errorf("encode a user: %w", err)
	}
	return AuthenticateChannelUser200JSONResponse{
		Status: "success", Data: ChannelUser{ID: p.UserID}, Message: "the connection is yours", Metadata: metadata(ctx),
		Auth: s.cfg.Push.SignUser(r.JSONBody.SocketID, string(data)), UserData: string(data),
	}, nil
}

func noPush() error {
	return fault.New(fault.NotFound, "this server pushes nothing: PUSHER_APP_ID is not set; follow GET /tasks/{id}/events instead")
}

// PushEvents takes what the server of channels tells by webhooks.
type PushEvents interface {
	// Receive takes a webhook, given its headers X-Pusher-Key and X-Pusher-Signature and its body as it was sent. It does not wait for anything.
	// Unauthorized when nobody who has the app's secret signed it, or it is old; Invalid; TooLarge.
	Receive(ctx context.Context, key, signature string, body []byte) error
}

// ReceiveChannelEvents implements StrictServerInterface.
func (s *Server) ReceiveChannelEvents(ctx context.Context, r ReceiveChannelEventsRequestObject) (ReceiveChannelEventsResponseObject, error) {
	if s.cfg.PushEvents == nil {
		return nil, noPush()
	}
	if r.Body == nil {
		return nil, fault.InvalidField("body", "is missing")
	}
	if err := s.cfg.PushEvents.Receive(ctx, r.Params.XPusherKey, r.Params.XPusherSignature, *r.Body); err != nil {
		return nil, err
	}
	return ReceiveChannelEvents200JSONResponse(done(ctx, "it was taken")), nil
}
