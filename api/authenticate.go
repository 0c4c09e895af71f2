package api

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Headers by which a request says who sends it.
const (
	headerAPIKey = "X-API-Key"
	headerTenant = "X-Tenant-ID"
)

// keyPrefix tells API keys from other bearer tokens.
const keyPrefix = "tbai_"

// KeyAuthenticator turns API keys into principals. *apikey.Authenticator has it; see there for what it keeps and for how long.
type KeyAuthenticator interface {
	// Authenticate returns whom the key proves, when it is used from ip by a page of origin, which is empty outside browsers. Errors:
	// Unauthorized, Forbidden for an address or origin that the key does not allow, Unavailable.
	Authenticate(ctx context.Context, text string, ip netip.Addr, origin string) (auth.Principal, error)
}

// proof is how a principal proved who they are, kept so that an answer that stays open can ask whether it still holds.
type proof struct {
	token  string // a bearer token of ours, or empty
	key    string // an API key, or empty
	origin string
}

// authenticate returns who sends r. What is sent is verified, also where the development principal would do.
func (s *Server) authenticate(r *http.Request, c *call) (auth.Principal, error) {
	found, err := proofOf(r)
	if err == nil {
		found, err = s.redeem(r, c, found)
	}
	if err != nil {
		return auth.Principal{}, err
	}
	c.proof = found
	return s.verify(r.Context(), found, c.ip)
}

// proofOf returns the proof in r's headers. Two of them, or one that stands twice, are Invalid: which of them counts must not depend on
// who reads the request.
func proofOf(r *http.Request) (proof, error) {
	bearers, keys := r.Header.Values(echo.HeaderAuthorization), r.Header.Values(headerAPIKey)
	if len(bearers)+len(keys) > 1 {
		return proof{}, &fault.Error{Kind: fault.Invalid, Message: "the request says more than once who sends it: send one Authorization or one " + headerAPIKey + " header"}
	}
	found := proof{origin: r.Header.Get(echo.HeaderOrigin)}
	if len(keys) == 1 {
		if found.key = strings.TrimSpace(keys[0]); !strings.HasPrefix(found.key, keyPrefix) {
			return proof{}, fault.New(fault.Unauthorized, "%s holds no API key", headerAPIKey)
		}
		return found, nil
	}
	if len(bearers) == 0 || bearers[0] == "" {
		return found, nil
	}
	scheme, text, _ := strings.Cut(bearers[0], " ")
	text = strings.TrimSpace(text)
	switch {
	case !strings.EqualFold(scheme, "Bearer") || text == "":
		return proof{}, fault.New(fault.Unauthorized, "the Authorization header must have the form Bearer <token>")
	case strings.HasPrefix(text, keyPrefix):
		found.key = text
	default:
		found.token = text
	}
	return found, nil
}

// verify returns whom a proof proves now. Errors: Unauthorized, Forbidden, Unavailable.
func (s *Server) verify(ctx context.Context, from proof, ip netip.Addr) (auth.Principal, error) {
	switch {
	case from.key != "" && s.cfg.Authenticator == nil:
		return auth.Principal{}, fault.New(fault.Unauthorized, "this server takes no API keys")
	case from.key != "":
		return s.cfg.Authenticator.Authenticate(ctx, from.key, ip, from.origin)
	case from.token == "" && s.cfg.DevPrincipal != nil:
		return *s.cfg.DevPrincipal, nil
	case from.token == "":
		return auth.Principal{}, fault.New(fault.Unauthorized, "a bearer token or an API key is needed: send Authorization: Bearer <token> or %s", headerAPIKey)
	case s.cfg.Verifier == nil:
		return auth.Principal{}, fault.New(fault.Unauthorized, "this server verifies no tokens; send none")
	}
	return s.cfg.Verifier.Verify(from.token)
}

// actIn returns p in the tenant that r names. Only platform admins have another one than their own, and what they do there is put on
// that tenant's record before it is done: what cannot be put on record is not done.
func (s *Server) actIn(r *http.Request, c *call, p auth.Principal) (auth.Principal, error) {
	named := r.Header.Values(headerTenant)
	if len(named) == 0 {
		return p, nil
	}
	if len(named) > 1 {
		return p, fault.InvalidField(headerTenant, "stands more than once")
	}
	acting, err := p.ActIn(named[0])
	if fault.Is(err, fault.Invalid) {
		return p, fault.InvalidField(headerTenant, "must be a tenant's id: 1 to 64 of a-z, 0-9, _ and -")
	}
	if err != nil || acting.Home == "" {
		return acting, err
	}
	return acting, s.cfg.Audit.Append(r.Context(), audit.Entry{
		Tenant: acting.Tenant, Actor: acting.UserID, Action: "platform.acted", Target: c.route, Outcome: audit.Done,
	})
}
