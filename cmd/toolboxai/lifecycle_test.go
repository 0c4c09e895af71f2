package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestRunRoles_StopsInReverse(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var stopped []string
	up := make(chan string, 3)
	named := func(name string) role {
		return role{name, func(ctx context.Context) error {
			up <- name
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			stopped = append(stopped, name)
			return ctx.Err()
		}}
	}
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		for range 3 {
			<-up
		}
		stop()
	}()
	if err := runRoles(ctx, slog.New(slog.DiscardHandler), named("a"), named("b"), named("c")); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(stopped, []string{"c", "b", "a"}) {
		t.Errorf("stopped %v", stopped)
	}
}

func TestRunRoles_OneThatFailsStopsTheOthers(t *testing.T) {
	t.Parallel()
	err := runRoles(t.Context(), slog.New(slog.DiscardHandler),
		role{"a", func(ctx context.Context) error { <-ctx.Done(); return nil }},
		role{"b", func(context.Context) error { return errors.New("boom") }})
	if err == nil || !strings.Contains(err.Error(), "b: boom") {
		t.Errorf("got %v", err)
	}
}
