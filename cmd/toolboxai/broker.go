package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/nats"
)

// broker is a role's connection to the log and the queue.
type broker struct {
	conn       *natsgo.Conn
	js         jetstream.JetStream
	log        *nats.Log
	queue      *nats.Queue
	blobs      *nats.Blobs
	syncAlways bool
}

// openBroker connects to the embedded broker, or to NATS_URL when that is nil. The caller closes the connection.
func openBroker(cfg Config, logger *slog.Logger, name string, embedded *nats.Embedded) (*broker, error) {
	connect := nats.ConnectConfig{URL: cfg.NATSURL, Embedded: embedded, Creds: cfg.NATSCreds, Name: name, Inbox: cfg.NATSInbox, Logger: logger}
	if embedded == nil {
		if err := need("the broker", map[string]string{"NATS_URL": cfg.NATSURL}); err != nil {
			return nil, &usageError{err}
		}
	}
	if cfg.NATSCA != "" {
		pem, err := os.ReadFile(cfg.NATSCA)
		if err != nil {
			return nil, &usageError{fmt.Errorf("NATS_CA: %w", err)}
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, &usageError{fmt.Errorf("NATS_CA: %s holds no certificate", cfg.NATSCA)}
		}
		connect.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	conn, js, err := nats.Connect(connect)
	if err != nil {
		return nil, err
	}
	queue, err := nats.NewQueue(js, nats.QueueConfig{})
	if err != nil {
		conn.Close()
		return nil, err
	}
	b := &broker{conn: conn, js: js, log: nats.NewLog(js, nats.LogConfig{Logger: logger}), queue: queue, blobs: nats.NewBlobs(js), syncAlways: cfg.NATSSync}
	if embedded != nil {
		b.syncAlways = embedded.SyncAlways()
	}
	return b, nil
}

// ready returns nil when the broker answers and has the log and the consumers.
func (b *broker) ready(ctx context.Context, consumers ...nats.ConsumerRef) error {
	if _, err := b.head(ctx); err != nil {
		return fmt.Errorf("stream %s: %w", events.StreamEvents, err)
	}
	for _, c := range consumers {
		if _, err := b.js.Consumer(ctx, c.Stream, c.Name); err != nil {
			return fmt.Errorf("consumer %s of %s: %w", c.Name, c.Stream, err)
		}
	}
	return nil
}

// readyForAPI returns nil when the broker answers and has the log and the queue.
func (b *broker) readyForAPI(ctx context.Context) error {
	if _, err := b.js.Stream(ctx, events.StreamTasks); err != nil {
		return fmt.Errorf("stream %s: %w", events.StreamTasks, err)
	}
	return b.ready(ctx)
}

// awaitProvisioned waits until the log and the consumers are there: a role that starts beside the broker, or before or while
// migrate runs, says so and goes on when they are.
func (b *broker) awaitProvisioned(ctx context.Context, logger *slog.Logger, consumers ...nats.ConsumerRef) error {
	for said := false; ; {
		err := b.ready(ctx, consumers...)
		if err == nil {
			return nil
		}
		if !said {
			said = true
			logger.WarnContext(ctx, "waiting for the broker and its streams; 'toolboxai migrate' makes them", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}
