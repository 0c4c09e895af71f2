package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
)

// Run serves on l until ctx ends, and closes l. Then it takes no new connections, ends the streams with a hint to connect
// again, and waits up to Config.Drain for the other requests; what is left after that is cut off, and Run says so in its
// error. It returns nil after a clean stop and is called once.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	limits := s.cfg.Limits
	srv := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: limits.HeaderTime, ReadTimeout: limits.ReadTime, WriteTimeout: limits.WriteTime, IdleTimeout: limits.IdleTime,
		MaxHeaderBytes: limits.HeaderBytes, ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	close(s.stopping)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain)
	defer cancel()
	err := srv.Shutdown(drain)
	if left := s.upgraded.wait(drain); left > 0 {
		err = errors.Join(err, fmt.Errorf("stop http: %d WebSockets are open after %v", left, s.cfg.Drain))
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("stop http: requests were cut off after %v: %w", s.cfg.Drain, err), srv.Close())
	}
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve http: %w", end))
	}
	return err
}
