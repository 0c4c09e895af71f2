package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// serveOps answers /health/live, /health/ready and /metrics until ctx ends.
func serveOps(ctx context.Context, listener net.Listener, ready func(context.Context) error, metrics http.Handler) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if err := ready(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ready returns nil when the role can do its work. Postgres may be away: then the recorder waits, which is its work.
func (s *system) ready(ctx context.Context) error { return s.broker.ready(ctx) }

// head returns the sequence of the log's last event.
func (b *broker) head(ctx context.Context) (uint64, error) {
	stream, err := b.js.Stream(ctx, events.StreamEvents)
	if err != nil {
		return 0, err
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// retryable reports whether a step may succeed later without a change.
func retryable(err error) bool { return fault.KindOf(err).Retryable() }
