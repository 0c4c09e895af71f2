package main

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"sync/atomic"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/agentcontext"
	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/mail"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/privacy"
	"github.com/toolboxai/orchestrator/internal/redis"
	"github.com/toolboxai/orchestrator/internal/school"
	"github.com/toolboxai/orchestrator/internal/secret"
	"github.com/toolboxai/orchestrator/internal/ticket"
	"github.com/toolboxai/orchestrator/nats"
)

// identity is everything that says who somebody is and what they may do, as an API process has it.
type identity struct {
	revocations *nats.Revocations
	revoked     *auth.Revocations
	known       atomic.Bool // what was revoked before this process began has been read
	verifier    *auth.Verifier
	keyring     *auth.Keyring
	accounts    *account.Service
	schools     *school.Service
	keys        *apikey.Service
	keyCheck    *apikey.Authenticator
	privacy     *privacy.Service
	mails       *mail.Queue
	tickets     *ticket.Service
	breakers    *breaker.Registry
	webhooks    *callback.Service
	contexts    *agentcontext.Service
}

// identify composes it. It connects to nothing yet.
func (s *system) identify() (*identity, error) {
	id := &identity{revoked: auth.NewRevocations(), breakers: breaker.NewRegistry()}
	var err error
	if id.keyring, err = s.cfg.keyring(); err != nil {
		return nil, &usageError{err}
	}
	box, err := s.cfg.box()
	if err != nil {
		return nil, err
	}
	if id.revocations, err = nats.NewRevocations(s.broker.js, s.logger); err != nil {
		return nil, err
	}
	if id.verifier, err = auth.NewVerifier(auth.VerifierConfig{Keys: id.keyring, Revocations: id.revoked, Known: id.known.Load}); err != nil {
		return nil, err
	}
	if id.mails, err = s.mails(id.breakers); err != nil {
		return nil, err
	}
	lent, err := nats.NewTickets(s.broker.js, s.logger)
	if err != nil {
		return nil, err
	}
	if id.tickets, err = ticket.New(lent, box, nil); err != nil {
		return nil, err
	}
	record, hasher := s.auditStream(), account.NewHasher(account.Cost{})
	if id.accounts, err = account.New(s.accountConfig(id, box, hasher)); err != nil {
		return nil, &usageError{err}
	}
	if id.schools, err = school.New(school.Config{
		Store: postgres.NewSchool(s.db), Accounts: id.accounts, Hasher: hasher, Revoker: id.revocations, Audit: record, Logger: s.logger,
	}); err != nil {
		return nil, err
	}
	keys := postgres.NewAPIKeys(s.db)
	if id.keys, err = apikey.NewService(apikey.Config{Store: keys, Box: box, Revoker: id.revocations, Audit: record, Logger: s.logger}); err != nil {
		return nil, err
	}
	if id.keyCheck, err = apikey.NewAuthenticator(apikey.AuthenticatorConfig{Store: keys, Box: box, Revocations: id.revoked, Logger: s.logger}); err != nil {
		return nil, err
	}
	if id.webhooks, err = s.webhooks(box); err != nil {
		return nil, err
	}
	if id.contexts, err = agentcontext.NewService(agentcontext.Config{Store: postgres.NewAgentContexts(s.db)}); err != nil {
		return nil, err
	}
	id.privacy, err = privacy.NewService(privacy.Config{Records: s.db, Revoke: id.accounts.RevokeUser, Audit: record, Logger: s.logger})
	return id, err
}

func (s *system) accountConfig(id *identity, box *secret.Box, hasher *account.Hasher) account.Config {
	cfg := account.Config{
		Store: postgres.NewAccounts(s.db), Factors: postgres.NewSecondFactors(s.db), Keys: id.keyring, Box: box, Revoker: id.revocations,
		Audit: s.auditStream(), Mail: id.mails, Hasher: hasher, Enrolment: account.Enrolment(s.cfg.Registration), OpenRole: auth.Role(s.cfg.OpenRole),
		OpenTenant: s.cfg.OpenTenant, AccessTTL: s.cfg.accessTTL(), PublicURL: s.cfg.PublicURL, Logger: s.logger,
	}
	for _, role := range s.cfg.SecondFactor {
		cfg.Require = append(cfg.Require, auth.Role(role))
	}
	if u, err := url.Parse(s.cfg.PublicURL); err == nil && u.Host != "" {
		cfg.RelyingParty = account.RelyingParty{ID: u.Hostname(), Origins: append([]string{u.Scheme + "://" + u.Host}, s.cfg.PasskeyOrigins...)}
	}
	return cfg
}

// mails returns where mails are handed over: to the server of SMTP_HOST, or in dev to the terminal.
func (s *system) mails(breakers *breaker.Registry) (*mail.Queue, error) {
	var sender mail.Sender = unsent{s.logger}
	switch {
	case s.cfg.SMTPHost != "":
		brk, err := breaker.New(breaker.Config{Name: "mail", Logger: s.logger})
		if err != nil {
			return nil, err
		}
		if err := breakers.Add(brk); err != nil {
			return nil, err
		}
		if sender, err = mail.NewSMTP(mail.SMTPConfig{
			Host: s.cfg.SMTPHost, Port: s.cfg.SMTPPort, Username: s.cfg.SMTPUser, Password: s.cfg.SMTPPassword, From: s.cfg.SMTPFrom,
			Security: mail.Security(s.cfg.SMTPTLS), Breaker: brk,
		}); err != nil {
			return nil, &usageError{err}
		}
	case s.cfg.dev:
		sender = mail.NewPrinter(os.Stdout)
	}
	return mail.NewQueue(mail.QueueConfig{Sender: sender, Logger: s.logger})
}

// unsent stands in for a mail server where there is none. An invitation and a reset can be handed over otherwise.
type unsent struct{ logger *slog.Logger }

// Send implements mail.Sender.
func (u unsent) Send(ctx context.Context, m mail.Message) error {
	u.logger.WarnContext(ctx, "a mail was not sent: SMTP_HOST is not set", "subject", m.Subject)
	return nil
}

// serve fills into cfg what the edge needs of it.
func (id *identity) serve(cfg *api.Config) {
	cfg.Verifier, cfg.Authenticator, cfg.Sharing, cfg.Students = id.verifier, id.keyCheck, id.schools, id.schools
	cfg.Accounts, cfg.Directory, cfg.Keys, cfg.Privacy, cfg.JWKS = id.accounts, id.schools, id.keys, id.privacy, id.keyring.JWKS()
	cfg.Tickets, cfg.Webhooks, cfg.Contexts = id.tickets, id.webhooks, id.contexts
}

// roles returns what runs beside the HTTP server.
func (id *identity) roles(s *system) []role {
	return []role{
		{"revocations", s.provisioned(func(ctx context.Context) error {
			return id.revocations.Run(ctx, id.revoked, func() { id.known.Store(true) })
		})},
		{"mails", id.mails.Run},
		{"sessions", id.accounts.Sweep},
	}
}

// ready reports whether it is known what was revoked. Until then nobody knows whom to let in.
func (id *identity) ready(context.Context) error {
	if !id.known.Load() {
		return errors.New("what was revoked has not been read yet")
	}
	return nil
}

// limiter returns what counts requests, and how to end it: shared in Redis, or this process alone where REDIS_URL is not set. Nil where
// RATE_LIMITS is off.
func (s *system) limiter(process string, breakers *breaker.Registry) (counting limit.Limiter, run func(context.Context) error, err error) {
	idle := func(ctx context.Context) error { <-ctx.Done(); return nil }
	if s.cfg.RateLimits == "off" {
		s.logger.Warn("RATE_LIMITS is off: nobody is asked to slow down")
		return nil, idle, nil
	}
	if s.cfg.RedisURL == "" {
		s.logger.Warn("REDIS_URL is not set: this process counts requests alone")
		counting, err = limit.NewLocal(limit.LocalConfig{})
		return counting, idle, err
	}
	client, err := redis.Open(redis.Config{URL: s.cfg.RedisURL})
	if err != nil {
		return nil, nil, &usageError{err}
	}
	shared, err := redis.NewLimiter(client)
	if err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	fallback, err := limit.NewFallback(limit.FallbackConfig{Shared: shared, Process: process, Logger: s.logger})
	if err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	if err := breakers.Add(fallback.Breaker()); err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	return fallback, func(ctx context.Context) error { return errors.Join(fallback.Run(ctx), client.Close()) }, nil
}

// rates returns the limits in force, made anew for each revision of the policy.
func rates(current func() policy.Policy) func() limit.Rates {
	type made struct {
		revision uint64
		rates    limit.Rates
	}
	var last atomic.Pointer[made]
	return func() limit.Rates {
		p := current()
		if m := last.Load(); m != nil && m.revision == p.Revision {
			return m.rates
		}
		m := &made{p.Revision, limit.NewRates(p)}
		last.Store(m)
		return m.rates
	}
}
