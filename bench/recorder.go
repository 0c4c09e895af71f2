package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/workers"
)

// recorder measures how many events a second go from the log into Postgres, whole lives of four events each.
func (b *bench) recorder(ctx context.Context) error {
	var rates []float64
	for range b.rounds {
		r, err := b.recordOnce(ctx, b.n(15_000))
		if err != nil {
			return err
		}
		rates = append(rates, r)
	}
	b.add("(e) events from the log into Postgres", "1/s", "≥ 20,000", median(rates))
	return nil
}

func (b *bench) recordOnce(ctx context.Context, tasks int) (float64, error) {
	url, drop, err := database(ctx)
	if err != nil {
		return 0, err
	}
	defer drop()
	if err := b.purge(ctx); err != nil {
		return 0, err
	}
	log := nats.NewLog(b.js, nats.LogConfig{})
	if _, err := rate(ctx, tasks, func(ctx context.Context) error { return life(ctx, log) }); err != nil {
		return 0, err
	}
	head := func(ctx context.Context) (uint64, error) {
		stream, err := b.js.Stream(ctx, events.StreamEvents)
		if err != nil {
			return 0, err
		}
		return stream.CachedInfo().State.LastSeq, nil
	}
	last, err := head(ctx)
	if err != nil {
		return 0, err
	}
	db, err := postgres.Open(ctx, postgres.Config{URL: url, Head: head})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	feed, err := nats.NewFeed(b.js, nats.Recorder, nats.FeedConfig{Batch: 4000})
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	until := &until{Archive: db, last: last, reached: make(chan struct{})}
	began := time.Now()
	go func() {
		done <- (&workers.Recorder{Feed: feed, Archive: until, Logger: b.logger}).Run(ctx)
	}()
	select {
	case <-until.reached:
	case err := <-done:
		return 0, fmt.Errorf("the recorder ended: %w", err)
	}
	took := time.Since(began)
	stop()
	if err := <-done; err != nil {
		return 0, err
	}
	return float64(4*tasks) / took.Seconds(), b.purge(context.WithoutCancel(ctx))
}

// until tells when the last event is on record.
type until struct {
	workers.Archive
	last    uint64
	reached chan struct{}
}

func (u *until) Record(ctx context.Context, batch []events.Event) error {
	err := u.Archive.Record(ctx, batch)
	if err == nil && batch[len(batch)-1].Seq >= u.last {
		close(u.reached)
	}
	return err
}

// life puts the history of a task that completed in one step on the log.
func life(ctx context.Context, log task.Log) error {
	id := uuid.NewString()
	seq := uint64(0)
	for _, p := range []events.Payload{
		events.Queued{Kind: "noop", Input: input, Priority: events.Normal, Dispatch: 1, UserID: "u"},
		events.Started{Attempt: 1, Dispatch: 1, Worker: "w"},
		events.Step{Attempt: 1, Name: "draft", InputHash: strings.Repeat("0", 64), Output: input},
		events.Completed{Attempt: 1, Result: input, Usage: events.Usage{Calls: 1, InputTokens: 500, OutputTokens: 900}},
	} {
		e, err := events.New("bench", id, "/bench", p)
		if err != nil {
			return err
		}
		if seq, err = log.Append(ctx, e, seq); err != nil {
			return err
		}
	}
	return nil
}

// database makes a migrated database on the server that TEST_DATABASE_URL names.
func database(ctx context.Context) (url string, drop func(), err error) {
	base := os.Getenv("TEST_DATABASE_URL")
	if base == "" {
		return "", nil, errors.New("TEST_DATABASE_URL is not set; 'make bench' sets it")
	}
	cfg, err := pgx.ParseConfig(base)
	if err != nil {
		return "", nil, err
	}
	name := "bench_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if err := execute(ctx, base, "CREATE DATABASE "+name); err != nil {
		return "", nil, err
	}
	url = fmt.Sprintf("host='%s' port=%d user='%s' password='%s' dbname=%s sslmode=disable", cfg.Host, cfg.Port, cfg.User, cfg.Password, name)
	drop = func() { _ = execute(context.WithoutCancel(ctx), base, "DROP DATABASE "+name+" WITH (FORCE)") }
	if _, err := postgres.Migrate(ctx, url); err != nil {
		drop()
		return "", nil, err
	}
	return url, drop, nil
}

func execute(ctx context.Context, url, statement string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
