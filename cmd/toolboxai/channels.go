package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/channels/httpapi"
	"github.com/toolboxai/orchestrator/internal/channels/webhook"
	"github.com/toolboxai/orchestrator/internal/pusher"
	"github.com/toolboxai/orchestrator/internal/telemetry"
	"github.com/toolboxai/orchestrator/nats"
)

// webhookTime bounds one webhook.
const webhookTime = 10 * time.Second

// push fills into cfg what subscribers of channels need, and returns what runs beside the HTTP server: with CHANNELS_ENABLED the server of
// channels itself, which with those of all other API processes is one.
func (s *system) push(cfg *api.Config) ([]role, error) {
	if !s.cfg.pusherWanted() {
		return nil, nil
	}
	if err := need("the API", map[string]string{"PUSHER_KEY": s.cfg.PusherKey, "PUSHER_SECRET": s.cfg.PusherSecret}); err != nil {
		return nil, &usageError{err}
	}
	cfg.Push = pusher.Signer{Key: s.cfg.PusherKey, Secret: s.cfg.PusherSecret}
	app := channels.App{ID: s.cfg.PusherAppID, Key: s.cfg.PusherKey, Secret: s.cfg.PusherSecret, ClientEvents: s.cfg.ChannelsClientEvents}
	count, err := telemetry.CountChannelEvents(s.shown)
	if err != nil {
		return nil, err
	}
	cfg.PushEvents = channelEvents{app: app, count: count, logger: s.logger}
	if !s.cfg.Channels {
		return nil, nil
	}
	bus, err := nats.NewChannelBus(s.broker.js, app.ID)
	if err != nil {
		return nil, &usageError{fmt.Errorf("PUSHER_APP_ID: %w", err)}
	}
	var roles []role
	occurred := func(channels.Occurrence) {}
	if len(s.cfg.ChannelsWebhooks) > 0 {
		sender, err := webhook.New(webhook.Config{
			App: app, URLs: s.cfg.ChannelsWebhooks, Client: &http.Client{Timeout: webhookTime}, Logger: s.logger,
		})
		if err != nil {
			return nil, &usageError{fmt.Errorf("CHANNELS_WEBHOOKS: %w", err)}
		}
		occurred, roles = sender.Occurred, append(roles, role{"webhooks", sender.Run})
	}
	server, err := channels.New(channels.Config{App: app, Bus: bus, Logger: s.logger, Occurred: occurred})
	if err != nil {
		return nil, &usageError{err}
	}
	triggers, err := httpapi.New(httpapi.Config{App: app, Hub: server, Logger: s.logger})
	if err != nil {
		return nil, &usageError{err}
	}
	cfg.Channels, cfg.ChannelTriggers = server, triggers
	return append(roles, role{"channels", s.provisioned(func(ctx context.Context) error { return server.Run(ctx) })}), nil
}

// channelEvents takes webhooks of whoever serves the channels: it counts what they tell of.
type channelEvents struct {
	app    channels.App
	count  func(event string)
	logger *slog.Logger
}

// Receive implements api.PushEvents.
func (c channelEvents) Receive(ctx context.Context, key, signature string, body []byte) error {
	header := http.Header{}
	header.Set("X-Pusher-Key", key)
	header.Set("X-Pusher-Signature", signature)
	found, err := webhook.Verify(c.app, header, body)
	if err != nil {
		return err
	}
	for _, e := range found {
		c.count(e.Name)
		c.logger.DebugContext(ctx, "channel event", "event", e.Name, "channel", e.Channel)
	}
	return nil
}
