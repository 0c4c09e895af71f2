package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/secret"
	"github.com/toolboxai/orchestrator/nats"
)

// leases is how many times the timeout of a request a delivery is held for: what a process that was killed had in hand comes again then.
const leases = 4

// checkCallbacks holds what says who may be told by HTTP against the rules.
func (c Config) checkCallbacks() error {
	if _, err := c.callbackAllow(); err != nil {
		return err
	}
	if c.CallbackTimeout < time.Second || c.CallbackTimeout > time.Minute {
		return fmt.Errorf("CALLBACK_TIMEOUT is %s, must be 1s to 1m", c.CallbackTimeout)
	}
	return c.checkAddress("API_URL", c.APIURL, "https://toolbox.example.org")
}

func (c Config) callbackAllow() (*callback.Allow, error) {
	allow, err := callback.ParseAllow(strings.Join(c.CallbackAllow, ","))
	if err != nil {
		return nil, fmt.Errorf("CALLBACK_ALLOW: %w", err)
	}
	return allow, nil
}

// withCallbacks lets receivers be on this machine, at any port of localhost and without TLS: there they are while somebody writes them, and
// dev, which has no sign-in, is for that somebody alone. All other addresses are refused as in production.
func (c Config) withCallbacks(host string, port int) Config {
	c.CallbackAllow = append(c.CallbackAllow, "localhost:*")
	c.APIURL = cmp.Or(c.APIURL, "http://"+net.JoinHostPort(host, strconv.Itoa(port)))
	return c
}

// box returns what seals and opens what is stored.
func (c Config) box() (*secret.Box, error) {
	box, err := secret.New(c.EncryptionKey, c.EncryptionBefore...)
	if err != nil {
		return nil, &usageError{fmt.Errorf("ENCRYPTION_KEY: %w", err)}
	}
	return box, nil
}

// webhooks returns what admins say of webhooks, and where it is kept.
func (s *system) webhooks(box *secret.Box) (*callback.Service, error) {
	allow, err := s.cfg.callbackAllow()
	if err != nil {
		return nil, &usageError{err}
	}
	store := postgres.NewCallbacks(s.db)
	return callback.NewService(callback.ServiceConfig{Endpoints: store, Log: store, Sealer: box, Allow: allow})
}

// callbacks plans and delivers what webhooks are told until ctx ends. Of several processes one plans, and all deliver.
func (s *system) callbacks(ctx context.Context) error {
	if err := need("callbacks", map[string]string{"ENCRYPTION_KEY": s.cfg.EncryptionKey}); err != nil {
		return &usageError{err}
	}
	box, boxErr := s.cfg.box()
	allow, allowErr := s.cfg.callbackAllow()
	if err := errors.Join(boxErr, allowErr); err != nil {
		return &usageError{err}
	}
	feed, err := nats.NewFeed(s.broker.js, nats.Callbacks, nats.FeedConfig{Wait: notifyWait, Logger: s.logger})
	if err != nil {
		return err
	}
	store := postgres.NewCallbacks(s.db)
	planner, err := callback.NewPlanner(callback.PlannerConfig{
		Feed: feed, Lookup: s.broker.log, Queue: store, Allow: allow, Base: strings.TrimRight(s.cfg.APIURL, "/"), Logger: s.logger,
	})
	if err != nil {
		return err
	}
	runner, err := callback.NewRunner(callback.RunnerConfig{
		Planner: planner, Queue: store, Secrets: store, Sealer: box, Allow: allow, Timeout: s.cfg.CallbackTimeout, Lease: leases * s.cfg.CallbackTimeout,
		Logger: s.logger,
	})
	if err != nil {
		return err
	}
	return runner.Run(ctx)
}
