package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// role is a part of the system that runs until its context ends.
type role struct {
	name string
	run  func(ctx context.Context) error
}

// runRoles starts roles in order, runs them until ctx ends or one of them does, and stops them in reverse, each one
// before the next: intake closes first, what it feeds drains behind it.
func runRoles(ctx context.Context, logger *slog.Logger, roles ...role) error {
	type started struct {
		role
		cancel context.CancelFunc
		done   chan error
	}
	ended := make(chan string, len(roles))
	var running []started
	for _, r := range roles {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		s := started{r, cancel, make(chan error, 1)}
		go func() {
			s.done <- r.run(own)
			ended <- r.name
		}()
		running = append(running, s)
	}
	select {
	case <-ctx.Done():
		logger.Info("stopping")
	case name := <-ended:
		logger.Info("a role ended, stopping the others", "role", name)
	}
	var errs []error
	for i := len(running) - 1; i >= 0; i-- {
		s := running[i]
		s.cancel()
		if err := <-s.done; err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	return errors.Join(errs...)
}
