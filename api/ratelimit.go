package api

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"

	"golang.org/x/text/unicode/norm"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
)

// globalKey is whose the limit of all requests together is.
const globalKey = "*"

// currentRates returns the limits in force, made anew with each revision of the policy.
func currentRates(policies Policies) func() limit.Rates {
	type made struct {
		revision uint64
		rates    limit.Rates
	}
	var last atomic.Pointer[made]
	return func() limit.Rates {
		p := policies.Current()
		if was := last.Load(); was != nil && was.revision == p.Revision {
			return was.rates
		}
		now := &made{p.Revision, limit.NewRates(p)}
		last.Store(now)
		return now.rates
	}
}

// limit counts a request that the guard knows the sender of, or whose sender nobody has to know. What is refused is RateLimited.
//
//	by           key                  class
//	session      user id              user, and the rule's class
//	API key      key id; user id      key, as the key says; the rule's class: a user's keys share it
//	public       address              public, and the rule's class where that is counted by address
//	everything                        global
//
// A request that was counted by /mcp counts in the rule's class alone.
//
// Signing in is counted by address as public, because a school has one address and a class signs in at once; by account as login, see
// limitAccount; and it is refused while the address has used up its auth-failures.
func (s *Server) limit(ctx context.Context, c *call, rule auth.Rule) error {
	if s.cfg.Limiter == nil || rule.Public && rule.Class == "" {
		return nil
	}
	asks := s.asks(c, rule)
	if len(asks) == 0 {
		return nil
	}
	return s.take(ctx, c, asks...)
}

func (s *Server) asks(c *call, rule auth.Rule) []limit.Ask {
	rates := s.cfg.Rates()
	asks := make([]limit.Ask, 0, 4)
	p := c.principal
	switch {
	case c.paid && p != nil:
	case p == nil:
		address := addressKey(c.ip)
		asks = append(asks, limit.Ask{Key: address, Limit: rates.For(limit.ClassPublic, "")})
		switch rule.Class {
		case limit.ClassPublic:
		case limit.ClassLogin:
			asks = append(asks, limit.Ask{Key: address, Limit: rates.For(limit.ClassAuthFailures, ""), Cost: limit.Peek})
		default:
			asks = append(asks, limit.Ask{Key: address, Limit: rates.For(rule.Class, "")})
		}
	case p.KeyID != "":
		asks = append(asks, limit.Ask{Key: p.KeyID, Limit: rates.Key(homeOf(*p), p.PerMinute)})
	default:
		asks = append(asks, limit.Ask{Key: p.UserID, Limit: rates.For(limit.ClassUser, homeOf(*p))})
	}
	if p != nil && rule.Class != "" && rule.Class != limit.ClassUser {
		asks = append(asks, limit.Ask{Key: p.UserID, Limit: rates.For(rule.Class, homeOf(*p))})
	}
	if c.paid && p != nil {
		return asks
	}
	return append(asks, limit.Ask{Key: globalKey, Limit: rates.For(limit.ClassGlobal, "")})
}

// homeOf returns the tenant whose limits hold for p.
func homeOf(p auth.Principal) string { return cmp.Or(p.Home, p.Tenant) }

// addressKey returns what stands for an address: an IPv6 network of 64 bits is one connection, whose user has all its addresses.
func addressKey(ip netip.Addr) string {
	ip = ip.Unmap()
	if ip.Is6() {
		if network, err := ip.Prefix(64); err == nil {
			return network.String()
		}
	}
	return ip.String()
}

// limitClass counts n more requests of a class that the guard could not know, and returns how many of them pass: with fewer than n the
// error is RateLimited, or why nobody knows.
func (s *Server) limitClass(ctx context.Context, class string, n int) (int, error) {
	c := callOf(ctx)
	if s.cfg.Limiter == nil || c.principal == nil || n == 0 {
		return n, nil
	}
	by := s.cfg.Rates().For(class, homeOf(*c.principal))
	for cost := min(n, by.Capacity()); ; {
		v, err := s.ask(ctx, c, limit.Ask{Key: c.principal.UserID, Limit: by, Cost: cost})
		switch {
		case err != nil:
			return 0, err
		case v.Allowed && cost == n:
			return n, nil
		case v.Allowed:
			v.RetryAfter = v.Reset
			return cost, refusal(v)
		case v.Remaining <= 0 || v.Remaining >= cost:
			return 0, refusal(v)
		}
		cost = v.Remaining // somebody else may be faster: then it is less again
	}
}

// limitAccount counts a try to prove to be the account that login names, whether there is one or not: who guesses from many addresses
// is held back as well. Only a digest of the name is kept.
func (s *Server) limitAccount(ctx context.Context, login string) error {
	if s.cfg.Limiter == nil {
		return nil
	}
	name := strings.ToLower(norm.NFKC.String(strings.TrimSpace(login)))
	return s.take(ctx, callOf(ctx), limit.Ask{Key: "account/" + name, Limit: s.cfg.Rates().For(limit.ClassLogin, "")})
}

// countFailure counts a refused proof of who somebody is, and returns what to answer: cause, until the address has had too many.
// Whoever has a good proof is not held back by a neighbour who has none.
func (s *Server) countFailure(ctx context.Context, c *call, cause error) error {
	if s.cfg.Limiter == nil || !fault.Is(cause, fault.Unauthorized) {
		return cause
	}
	rates := s.cfg.Rates()
	if err := s.take(ctx, c,
		limit.Ask{Key: addressKey(c.ip), Limit: rates.For(limit.ClassAuthFailures, "")},
		limit.Ask{Key: globalKey, Limit: rates.For(limit.ClassGlobal, "")},
	); err != nil {
		return err
	}
	return cause
}

// take asks the limiter, notes what is to be said about it, and returns a RateLimited fault for what is refused.
func (s *Server) take(ctx context.Context, c *call, asks ...limit.Ask) error {
	v, err := s.ask(ctx, c, asks...)
	if err == nil && !v.Allowed {
		err = refusal(v)
	}
	return err
}

func (s *Server) ask(ctx context.Context, c *call, asks ...limit.Ask) (limit.Verdict, error) {
	v, err := s.cfg.Limiter.Take(ctx, asks...)
	switch {
	case fault.Is(err, fault.Invalid): // our asks, not the client's
		return v, fault.New(fault.Internal, "ask the rate limiter: %w", err)
	case err != nil:
		return v, fmt.Errorf("ask the rate limiter: %w", err)
	}
	if c.verdict == nil || !v.Allowed || v.Remaining < c.verdict.Remaining {
		c.verdict = &v
		for name, value := range limit.Headers(v) {
			if name != "Retry-After" { // answerError says it
				c.header.Set(name, value)
			}
		}
	}
	return v, nil
}

func refusal(v limit.Verdict) error {
	e := fault.New(fault.RateLimited, "too many requests: the limit %s allows %d in %s", v.Limit.Name, v.Limit.Rate, v.Limit.Per)
	e.RetryAfter = v.RetryAfter
	return e
}
