package channels

import (
	"log/slog"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Config says how a Server serves its app. Zero fields take the defaults.
type Config struct {
	App    App
	Bus    Bus // required; NewLocalBus for one process
	Logger *slog.Logger

	ActivityTimeout time.Duration // a connection that says nothing for so long is sent a ping; 120 s
	PongTimeout     time.Duration // and closed with 4201 when it still says nothing after so long; 30 s

	QueueMessages  int // that wait for a slow client, which is closed with 4200 beyond that; 256
	QueueBytes     int // the same in bytes; 1 MiB
	MaxConnections int // of this process; 50,000. One more is closed with 4100
	MaxChannels    int // that one connection may be subscribed to; 100

	SubscriptionCount bool // whether subscribers and Occurred are told how many there are; not on presence channels

	// Occurred is told what webhooks tell of, by one process each. It must not block and must not call the Server. May be nil.
	Occurred func(Occurrence)
}

const (
	defaultActivityTimeout = 120 * time.Second
	defaultPongTimeout     = 30 * time.Second
	defaultQueueMessages   = 256
	defaultQueueBytes      = 1 << 20
	defaultMaxConnections  = 50_000
	defaultMaxChannels     = 100
)

func (cfg Config) withDefaults() (Config, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Occurred == nil {
		cfg.Occurred = func(Occurrence) {}
	}
	if cfg.ActivityTimeout == 0 {
		cfg.ActivityTimeout = defaultActivityTimeout
	}
	if cfg.PongTimeout == 0 {
		cfg.PongTimeout = defaultPongTimeout
	}
	var wrong []fault.Detail
	for _, n := range []struct {
		field    string
		value    *int
		fallback int
	}{
		{"queue_messages", &cfg.QueueMessages, defaultQueueMessages}, {"queue_bytes", &cfg.QueueBytes, defaultQueueBytes},
		{"max_connections", &cfg.MaxConnections, defaultMaxConnections}, {"max_channels", &cfg.MaxChannels, defaultMaxChannels},
	} {
		if *n.value == 0 {
			*n.value = n.fallback
		}
		if *n.value < 0 {
			wrong = append(wrong, fault.Detail{Field: n.field, Reason: "must be above zero"})
		}
	}
	if cfg.App.ID == "" || cfg.App.Key == "" || cfg.App.Secret == "" {
		wrong = append(wrong, fault.Detail{Field: "app", Reason: "needs an id, a key and a secret"})
	}
	if cfg.Bus == nil {
		wrong = append(wrong, fault.Detail{Field: "bus", Reason: "is missing"})
	}
	if cfg.ActivityTimeout < 0 || cfg.PongTimeout < 0 {
		wrong = append(wrong, fault.Detail{Field: "activity_timeout", Reason: "and pong_timeout must be above zero"})
	}
	if len(wrong) > 0 {
		return cfg, fault.InvalidFields(wrong)
	}
	return cfg, nil
}
