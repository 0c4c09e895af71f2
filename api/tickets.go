package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/ticket"
)

// paramTicket is where an address carries a ticket.
const paramTicket = "ticket"

// Tickets lend proofs to what cannot send headers. *ticket.Service has it; see there.
type Tickets interface {
	Issue(ctx context.Context, content []byte) (ticket.Ticket, error)
	Redeem(ctx context.Context, text string) ([]byte, error)
}

// lent is what a ticket stands for: the proof that its request came with, and the tenant that it named.
type lent struct {
	Token  string `json:"token,omitempty"`
	Key    string `json:"key,omitempty"`
	Tenant string `json:"tenant,omitempty"`
}

// IssueTicket implements StrictServerInterface.
func (s *Server) IssueTicket(ctx context.Context, _ IssueTicketRequestObject) (IssueTicketResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	from := callOf(ctx).proof
	content := lent{Token: from.token, Key: from.key}
	if p.Home != "" {
		content.Tenant = p.Tenant
	}
	data, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encode a ticket: %w", err)
	}
	made, err := s.cfg.Tickets.Issue(ctx, data)
	if err != nil {
		return nil, err
	}
	return IssueTicket201JSONResponse(success(ctx, made, "it is good for one stream or WebSocket")), nil
}

// takesTicket reports whether a ticket may stand in the address.
func (c *call) takesTicket() bool {
	return c.socket || c.operation != nil && c.operation.query[paramTicket] != nil
}

// redeem returns found, or the proof that a ticket in r's address stands for.
func (s *Server) redeem(r *http.Request, c *call, found proof) (proof, error) {
	if !c.takesTicket() {
		return found, nil
	}
	given := r.URL.Query()[paramTicket]
	switch {
	case len(given) == 0:
		return found, nil
	case len(given) > 1 || found.token != "" || found.key != "":
		return proof{}, fault.InvalidField(paramTicket, "the request says more than once who sends it: send one ticket, or a header")
	case !c.stream:
		return proof{}, fault.InvalidField(paramTicket, "is for streams: send Accept: text/event-stream, or a header that says who asks")
	}
	data, err := s.cfg.Tickets.Redeem(r.Context(), given[0])
	if err != nil {
		return proof{}, err
	}
	var content lent
	if err := json.Unmarshal(data, &content); err != nil {
		return proof{}, fmt.Errorf("decode a ticket: %w", err)
	}
	if content.Tenant != "" {
		r.Header.Set(headerTenant, content.Tenant)
	}
	return proof{token: content.Token, key: content.Key, origin: found.origin}, nil
}
